"""Wide and deep models: a linear and a deep model whose logits are added, each with an optimizer of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from torchest.canned.parts import Part, check_model, classifier_head, joint_model_fn
from torchest.columns.layers.layers import in_order
from torchest.estimator import Estimator
from torchest.heads.base import check_head
from torchest.heads.regression import RegressionHead
from torchest.losses import Reduction
from torchest.models.dnn import DNNModel
from torchest.models.linear import LinearModel
from torchest.optimizers.resolve import resolve

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from torchest.columns.base import FeatureColumn
    from torchest.heads.base import Head
    from torchest.run_config import RunConfig
    from torchest.warm_start.settings import WarmStartFrom

_LINEAR_LEARNING_RATE = 0.005


def _columns(given: Iterable[FeatureColumn] | None, argument: str) -> list[FeatureColumn]:
    if given is None or (isinstance(given, list | tuple) and not given):
        return []
    return in_order(given, argument)


class DNNLinearCombinedEstimator(Estimator):
    """A wide and deep model with any head.

    Args:
        head: What the logits mean.
        model_dir: Where checkpoints and events go.
        linear_feature_columns: Columns of the linear model; None or empty for no linear model.
        linear_optimizer: The name of an optimizer of torchest, at learning rate min(0.005, 1 / √number of
            linear columns); a `torch.optim` class; or a function that makes an optimizer from parameters.
        dnn_feature_columns: Dense columns of the deep model; None or empty for no deep model.
        dnn_optimizer: As `linear_optimizer`, at the optimizer's default learning rate (0.001 for Adagrad).
        dnn_hidden_units: The width of each hidden layer.
        dnn_activation_fn: What follows each hidden layer.
        dnn_dropout: The probability that an activation is dropped in training; None for none.
        config: How to run.
        batch_norm: Whether hidden layers end with batch normalisation.
        linear_sparse_combiner: How the ids of a multivalent categorical column combine in the linear
            model: "sum", "mean" or "sqrtn".
        warm_start_from: Where a new model takes its first weights from: a `model_dir`, a checkpoint, or
            `WarmStartSettings`. Without effect, and with a warning, where `model_dir` has a checkpoint.

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        head: Head,
        model_dir: str | os.PathLike[str] | None = None,
        linear_feature_columns: Iterable[FeatureColumn] | None = None,
        linear_optimizer: Any = "Ftrl",
        dnn_feature_columns: Iterable[FeatureColumn] | None = None,
        dnn_optimizer: Any = "Adagrad",
        dnn_hidden_units: Sequence[int] | None = None,
        dnn_activation_fn: Callable[[Tensor], Tensor] | None = F.relu,
        dnn_dropout: float | None = None,
        config: RunConfig | None = None,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
        warm_start_from: WarmStartFrom = None,
    ) -> None:
        check_head(head)
        linear = _columns(linear_feature_columns, "linear_feature_columns")
        deep = _columns(dnn_feature_columns, "dnn_feature_columns")
        widths: Any = dnn_hidden_units  # the model tells that None is wrong
        if not linear and not deep:
            raise ValueError(
                "linear_feature_columns and dnn_feature_columns are both empty: give columns to at least one "
                "of the two models."
            )

        def make_linear() -> LinearModel:
            return LinearModel(linear, head.logits_dimension, linear_sparse_combiner)

        def make_deep() -> DNNModel:
            return DNNModel(
                deep,
                widths,
                head.logits_dimension,
                dnn_activation_fn,
                dnn_dropout,
                batch_norm,
            )

        parts: dict[str, Part] = {}
        if linear:
            check_model(make_linear, "linear_")
            rate = min(_LINEAR_LEARNING_RATE, len(linear) ** -0.5)
            named = "Ftrl" if linear_optimizer is None else linear_optimizer
            make_optimizer = resolve(named, rate, "linear_optimizer")
            parts["linear"] = Part(make_linear, "linear_optimizer", make_optimizer)
        if deep:
            check_model(make_deep, "dnn_")
            make_optimizer = resolve(dnn_optimizer, None, "dnn_optimizer")
            parts["dnn"] = Part(make_deep, "dnn_optimizer", make_optimizer)
        super().__init__(
            joint_model_fn(parts, head), model_dir, config, warm_start_from=warm_start_from
        )


class DNNLinearCombinedClassifier(DNNLinearCombinedEstimator):
    """Classifies with a wide and deep model.

    Args:
        model_dir: Where checkpoints and events go.
        linear_feature_columns: Columns of the linear model; None or empty for no linear model.
        linear_optimizer: The name of an optimizer of torchest, at learning rate min(0.005, 1 / √number of
            linear columns); a `torch.optim` class; or a function that makes an optimizer from parameters.
        dnn_feature_columns: Dense columns of the deep model; None or empty for no deep model.
        dnn_optimizer: As `linear_optimizer`, at the optimizer's default learning rate (0.001 for Adagrad).
        dnn_hidden_units: The width of each hidden layer.
        dnn_activation_fn: What follows each hidden layer.
        dnn_dropout: The probability that an activation is dropped in training; None for none.
        n_classes: The number of classes. With 2, the model has one logit.
        weight_column: The key of a feature, or a numeric column, that weighs the examples.
        label_vocabulary: The classes as strings, if labels are strings. Otherwise labels are integers
            from 0 to `n_classes` − 1.
        config: How to run.
        warm_start_from: Where a new model takes its first weights from: a `model_dir`, a checkpoint, or
            `WarmStartSettings`. Without effect, and with a warning, where `model_dir` has a checkpoint.
        loss_reduction: How the losses of a batch become one: "sum_over_batch_size" (the mean) or "sum",
            the default of TensorFlow 1.
        batch_norm: Whether hidden layers end with batch normalisation.
        linear_sparse_combiner: How the ids of a multivalent categorical column combine in the linear
            model: "sum", "mean" or "sqrtn".

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        model_dir: str | os.PathLike[str] | None = None,
        linear_feature_columns: Iterable[FeatureColumn] | None = None,
        linear_optimizer: Any = "Ftrl",
        dnn_feature_columns: Iterable[FeatureColumn] | None = None,
        dnn_optimizer: Any = "Adagrad",
        dnn_hidden_units: Sequence[int] | None = None,
        dnn_activation_fn: Callable[[Tensor], Tensor] | None = F.relu,
        dnn_dropout: float | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
    ) -> None:
        head = classifier_head(n_classes, weight_column, label_vocabulary, loss_reduction)
        super().__init__(
            head,
            model_dir,
            linear_feature_columns,
            linear_optimizer,
            dnn_feature_columns,
            dnn_optimizer,
            dnn_hidden_units,
            dnn_activation_fn,
            dnn_dropout,
            config,
            batch_norm,
            linear_sparse_combiner,
            warm_start_from,
        )


class DNNLinearCombinedRegressor(DNNLinearCombinedEstimator):
    """Predicts numbers with a wide and deep model.

    Args:
        model_dir: Where checkpoints and events go.
        linear_feature_columns: Columns of the linear model; None or empty for no linear model.
        linear_optimizer: The name of an optimizer of torchest, at learning rate min(0.005, 1 / √number of
            linear columns); a `torch.optim` class; or a function that makes an optimizer from parameters.
        dnn_feature_columns: Dense columns of the deep model; None or empty for no deep model.
        dnn_optimizer: As `linear_optimizer`, at the optimizer's default learning rate (0.001 for Adagrad).
        dnn_hidden_units: The width of each hidden layer.
        dnn_activation_fn: What follows each hidden layer.
        dnn_dropout: The probability that an activation is dropped in training; None for none.
        label_dimension: How many numbers an example has to be predicted.
        weight_column: The key of a feature, or a numeric column, that weighs the examples.
        config: How to run.
        warm_start_from: Where a new model takes its first weights from: a `model_dir`, a checkpoint, or
            `WarmStartSettings`. Without effect, and with a warning, where `model_dir` has a checkpoint.
        loss_reduction: How the losses of a batch become one: "sum_over_batch_size" (the mean) or "sum",
            the default of TensorFlow 1.
        batch_norm: Whether hidden layers end with batch normalisation.
        linear_sparse_combiner: How the ids of a multivalent categorical column combine in the linear
            model: "sum", "mean" or "sqrtn".

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        model_dir: str | os.PathLike[str] | None = None,
        linear_feature_columns: Iterable[FeatureColumn] | None = None,
        linear_optimizer: Any = "Ftrl",
        dnn_feature_columns: Iterable[FeatureColumn] | None = None,
        dnn_optimizer: Any = "Adagrad",
        dnn_hidden_units: Sequence[int] | None = None,
        dnn_activation_fn: Callable[[Tensor], Tensor] | None = F.relu,
        dnn_dropout: float | None = None,
        label_dimension: int = 1,
        weight_column: Any = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
    ) -> None:
        head = RegressionHead(label_dimension, weight_column, loss_reduction)
        super().__init__(
            head,
            model_dir,
            linear_feature_columns,
            linear_optimizer,
            dnn_feature_columns,
            dnn_optimizer,
            dnn_hidden_units,
            dnn_activation_fn,
            dnn_dropout,
            config,
            batch_norm,
            linear_sparse_combiner,
            warm_start_from,
        )
