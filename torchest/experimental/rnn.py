"""Recurrent models: each constructor combines a model, a head and a default optimizer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torchest.canned.parts import check_model, classifier_head
from torchest.columns.layers.arguments import in_order
from torchest.engine.scope import get_or_create
from torchest.engine.step_values import clip_each, clip_gradients, gradient_norm
from torchest.estimator.estimator import Estimator
from torchest.heads.base import check_head
from torchest.heads.multi import MultiHead
from torchest.heads.sequential import SequentialHead
from torchest.keys import ModeKeys
from torchest.losses import Reduction
from torchest.models.rnn import RNNModel
from torchest.optimizers.resolve import resolve
from torchest.utils.checks import boolean, text

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    import torch

    from torchest.columns.base import FeatureColumn
    from torchest.heads.base import Head, Labels, RawFeatures
    from torchest.heads.weights import WeightColumn
    from torchest.optimizers.resolve import OptimizerLike
    from torchest.run_config import RunConfig
    from torchest.spec import EstimatorSpec

_LEARNING_RATE = 0.05
_CLIP_NORM = 5.0


class RNNEstimator(Estimator):
    """A recurrent model with any head.

    Args:
        head: Defines loss, metrics and predictions.
        sequence_feature_columns: Sequence numeric columns, and embeddings and indicators of sequence categorical
            ones.
        context_feature_columns: Dense columns, whose values are appended to those of every step.
        units: Widths of the recurrent layers.
        cell_type: "simple_rnn", "lstm" or "gru".
        rnn_cell_fn: Instead of `units` and `cell_type`: a function from the number of inputs to a recurrent
            module, such as `lambda inputs: torch.nn.LSTM(inputs, 8, batch_first=True)`.
        return_sequences: Whether each step has a label and a prediction, instead of each row. Labels and weights
            are then lists with one for each step, or tensors [batch, time].
        model_dir: As for `LinearEstimator`; so is `config`.
        optimizer: As for `DNNEstimator`; an optimizer named by a string has learning rate 0.05, and scales each
            gradient so that its norm is at most 5.

    Raises:
        ValueError: An argument is invalid.
        TypeError: Likewise.

    >>> import torchest
    >>> from torchest import columns, experimental
    >>> watched = columns.sequence_categorical_column_with_identity("watched", 9)
    >>> model = experimental.RNNEstimator(
    ...     torchest.RegressionHead(), [columns.embedding_column(watched, 4)], units=[8], cell_type="gru"
    ... )
    >>> row = next(model.predict(lambda: {"watched": [[3, 5, 1], [2]]}))
    >>> row["predictions"].shape
    (1,)
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        head: Head,
        sequence_feature_columns: Iterable[FeatureColumn],
        context_feature_columns: Iterable[FeatureColumn] | None = None,
        units: Sequence[int] | None = None,
        cell_type: str = "simple_rnn",
        rnn_cell_fn: Callable[[int], torch.nn.Module] | None = None,
        return_sequences: bool = False,
        model_dir: str | os.PathLike[str] | None = None,
        optimizer: OptimizerLike = "Adagrad",
        config: RunConfig | None = None,
    ) -> None:
        head, mask = _of_steps(head, return_sequences)
        columns = in_order(sequence_feature_columns, "sequence_feature_columns")
        if any(mask in column.feature_keys for column in columns):
            raise ValueError(
                f"sequence_mask={mask!r} is the key of a feature of sequence_feature_columns: use another name."
            )
        context = context_feature_columns
        if context is not None:
            context = in_order(context, "context_feature_columns")
        outputs = head.logits_dimension
        make_model = partial(
            RNNModel, columns, context, units, cell_type, rnn_cell_fn, outputs, return_sequences
        )
        check_model(make_model)
        make_optimizer = _optimizer_maker(optimizer)

        def model_fn(features: RawFeatures, labels: Labels, mode: str) -> EstimatorSpec:
            model = get_or_create("rnn", make_model)
            logits, steps = model(features)
            optimizer = None
            if mode == ModeKeys.TRAIN:
                optimizer = get_or_create("optimizer", lambda: make_optimizer(model))
            if mask is not None:
                features[mask] = steps
            return head.create_estimator_spec(features, mode, logits, labels, optimizer)

        super().__init__(model_fn, model_dir, config)


class RNNClassifier(RNNEstimator):
    """A recurrent classifier of sequences, or of each of their steps.

    Args:
        sequence_feature_columns: As for `RNNEstimator`; so are all other arguments but these:
        n_classes: As for `LinearClassifier`; so are `weight_column`, `label_vocabulary` and `loss_reduction`.
        sequence_mask: With `return_sequences`, the key of a prediction that is True for the steps of a row, and False
            after its last step.

    >>> from torchest import columns, experimental
    >>> watched = columns.sequence_categorical_column_with_identity("watched", 9)
    >>> model = experimental.RNNClassifier([columns.indicator_column(watched)], units=[4])
    >>> model = model.train(lambda: ({"watched": [[3, 5, 1], [2]]}, [0, 1]), steps=2)
    >>> next(model.predict(lambda: {"watched": [[3, 5]]}))["logits"].shape
    (1,)
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        sequence_feature_columns: Iterable[FeatureColumn],
        context_feature_columns: Iterable[FeatureColumn] | None = None,
        units: Sequence[int] | None = None,
        cell_type: str = "simple_rnn",
        rnn_cell_fn: Callable[[int], torch.nn.Module] | None = None,
        return_sequences: bool = False,
        model_dir: str | os.PathLike[str] | None = None,
        n_classes: int = 2,
        weight_column: WeightColumn = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: OptimizerLike = "Adagrad",
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        sequence_mask: str = "sequence_mask",
        config: RunConfig | None = None,
    ) -> None:
        head = classifier_head(n_classes, weight_column, label_vocabulary, loss_reduction)
        text("sequence_mask", sequence_mask)
        if boolean("return_sequences", return_sequences):
            if weight_column is not None and not isinstance(weight_column, str):
                raise ValueError(
                    f"weight_column {weight_column.name!r} is a column: with return_sequences give the key of a "
                    "feature with a weight for each step."
                )
            head = SequentialHead(head, sequence_mask, weight_column)
        super().__init__(
            head,
            sequence_feature_columns,
            context_feature_columns,
            units,
            cell_type,
            rnn_cell_fn,
            return_sequences,
            model_dir,
            optimizer,
            config,
        )


def _of_steps(head: Head, return_sequences: bool) -> tuple[Head, str | None]:
    """The head, and the key of its mask of steps."""
    check_head(head)
    if not boolean("return_sequences", return_sequences):
        return head, None
    if isinstance(head, MultiHead):
        raise ValueError(
            "head is a MultiHead, which return_sequences does not support: give one head."
        )
    if not isinstance(head, SequentialHead):
        head = SequentialHead(head, "sequence_mask", getattr(head, "_weight_column", None))
    return head, head.mask


def _optimizer_maker(optimizer: OptimizerLike) -> Callable[[RNNModel], torch.optim.Optimizer]:
    make = resolve(optimizer, lr=_LEARNING_RATE)

    def make_for(model: RNNModel) -> torch.optim.Optimizer:
        made = make([each for each in model.parameters() if each.requires_grad])
        if isinstance(optimizer, str):
            groups, banks = model.gradients(), model.banks()
            made.register_step_pre_hook(lambda *_: _clip(groups, banks))
        return made

    return make_for


def _clip(
    groups: Iterable[Sequence[torch.nn.Parameter]],
    banks: Iterable[tuple[torch.nn.Parameter, Sequence[slice]]],
) -> None:
    """Scales the gradients of each group, and of each table in a bank, so that their norm is at most `_CLIP_NORM`."""
    for parameters in groups:
        clip_gradients(parameters, _CLIP_NORM, gradient_norm(parameters))
    for parameter, tables in banks:
        clip_each(parameter, tables, _CLIP_NORM)
