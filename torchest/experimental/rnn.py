"""Estimators of sequences: a constructor is a recurrent model, a head and an optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.canned.parts import check_model, classifier_head
from torchest.columns.layers.layers import in_order
from torchest.columns.numeric import NumericColumn
from torchest.engine.scope import get_or_create
from torchest.engine.step_values import clip_gradients, gradient_norm
from torchest.estimator import Estimator
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
    from torchest.heads.base import Head
    from torchest.run_config import RunConfig
    from torchest.spec import EstimatorSpec

_LEARNING_RATE = 0.05
_CLIP_NORM = 5.0


class RNNEstimator(Estimator):
    """A recurrent model with any head.

    Args:
        head: What the logits mean.
        sequence_feature_columns: Sequence numeric columns, and embeddings and indicators of sequence categorical
            ones.
        context_feature_columns: Dense columns, whose values every step has besides its own.
        units: The width of each recurrent layer.
        cell_type: "simple_rnn", "lstm" or "gru".
        rnn_cell_fn: Instead of `units` and `cell_type`: a function of the number of inputs that makes a recurrent
            module, such as `lambda inputs: torch.nn.LSTM(inputs, 8, batch_first=True)`.
        return_sequences: Whether every step has a label and a prediction; if not, each row has one.
        model_dir: Where checkpoints and events go.
        optimizer: As for `DNNEstimator`; one that is given by name has the learning rate 0.05, and makes each
            gradient that is longer than 5 as long as 5.
        config: How to run.

    Raises:
        ValueError: An argument is wrong.
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
        optimizer: Any = "Adagrad",
        config: RunConfig | None = None,
    ) -> None:
        head, mask = _of_steps(head, return_sequences)
        columns = in_order(sequence_feature_columns, "sequence_feature_columns")
        if any(mask in column.feature_keys for column in columns):
            raise ValueError(
                f"sequence_mask={mask!r} is the key of a feature of sequence_feature_columns: use another name."
            )
        context = (
            in_order(context_feature_columns, "context_feature_columns")
            if context_feature_columns is not None
            else None
        )

        def make_model() -> RNNModel:
            return RNNModel(
                columns,
                context,
                units,
                cell_type,
                rnn_cell_fn,
                head.logits_dimension,
                return_sequences,
            )

        check_model(make_model)
        make_optimizer = _optimizer_maker(optimizer)

        def model_fn(features: Any, labels: Any, mode: str) -> EstimatorSpec:
            model = get_or_create("rnn", make_model)
            logits, steps = model(features)
            made = (
                get_or_create("optimizer", lambda: make_optimizer(model))
                if mode == ModeKeys.TRAIN
                else None
            )
            if mask is not None:
                features[mask] = steps
            return head.create_estimator_spec(features, mode, logits, labels, optimizer=made)

        super().__init__(model_fn, model_dir, config)


class RNNClassifier(RNNEstimator):
    """Classifies sequences, or each of their steps, with a recurrent model.

    Args:
        sequence_feature_columns: See `RNNEstimator`.
        context_feature_columns: See `RNNEstimator`.
        units: The width of each recurrent layer.
        cell_type: "simple_rnn", "lstm" or "gru".
        rnn_cell_fn: See `RNNEstimator`.
        return_sequences: Whether every step has a label and a prediction; if not, each row has one. Labels are then
            lists with one for each step, or tensors [batch, time], and weights too.
        model_dir: Where checkpoints and events go.
        n_classes: The number of classes. With 2, the model has one logit.
        weight_column: The key of a feature, or a numeric column, that weighs the examples.
        label_vocabulary: The classes as strings, if labels are strings. Otherwise labels are integers
            from 0 to `n_classes` − 1.
        optimizer: See `RNNEstimator`.
        loss_reduction: How the losses of a batch become one: "sum_over_batch_size" (the mean) or "sum".
        sequence_mask: With `return_sequences`, the key of the prediction that says which steps are there.
        config: How to run.

    Raises:
        ValueError: An argument is wrong.
        TypeError: Likewise.
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
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: Any = "Adagrad",
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        sequence_mask: str = "sequence_mask",
        config: RunConfig | None = None,
    ) -> None:
        head = classifier_head(n_classes, weight_column, label_vocabulary, loss_reduction)
        text("sequence_mask", sequence_mask)
        if boolean("return_sequences", return_sequences):
            if isinstance(weight_column, NumericColumn):
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


def _of_steps(head: Any, return_sequences: bool) -> tuple[Head, str | None]:
    """The head, and under which key it wants to know which steps there are."""
    check_head(head)
    if not boolean("return_sequences", return_sequences):
        return head, None
    if isinstance(head, MultiHead):
        raise ValueError("head is a MultiHead, which return_sequences cannot have: give one head.")
    if not isinstance(head, SequentialHead):
        head = SequentialHead(head, "sequence_mask", getattr(head, "_weight_column", None))
    return head, head.mask


def _optimizer_maker(optimizer: Any) -> Callable[[RNNModel], torch.optim.Optimizer]:
    make = resolve(optimizer, lr=_LEARNING_RATE)

    def make_for(model: RNNModel) -> torch.optim.Optimizer:
        made = make([each for each in model.parameters() if each.requires_grad])
        if isinstance(optimizer, str):
            clipped = model.gradients()
            made.register_step_pre_hook(lambda *_: _clip(clipped))
        return made

    return make_for


def _clip(gradients: Iterable[Sequence[torch.nn.Parameter]]) -> None:
    """Makes every gradient no longer than the limit, each for itself."""
    for parameters in gradients:
        clip_gradients(parameters, _CLIP_NORM, gradient_norm(parameters))
