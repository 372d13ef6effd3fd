"""Linear models: a constructor is a model, a head and a default optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.canned.parts import check_model, classifier_head, single_model_fn
from torchest.columns.layers.layers import in_order
from torchest.estimator import Estimator
from torchest.heads.base import check_head
from torchest.heads.regression import RegressionHead
from torchest.losses import Reduction
from torchest.models.linear import LinearModel
from torchest.optimizers.resolve import resolve

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from torchest.columns.base import FeatureColumn
    from torchest.heads.base import Head
    from torchest.run_config import RunConfig
    from torchest.warm_start.settings import WarmStartFrom

_LEARNING_RATE = 0.2


class LinearEstimator(Estimator):
    """A linear model with any head.

    Args:
        head: What the logits mean.
        feature_columns: Dense and categorical columns.
        model_dir: Where checkpoints and events go.
        optimizer: The name of an optimizer of torchest, at learning rate 0.2; a `torch.optim` class; a
            function that makes an optimizer from parameters; or an `experimental.LinearSDCA`. None: Ftrl at
            min(0.2, 1 / √number of columns).
        config: How to run.
        sparse_combiner: How the ids of a multivalent categorical column combine: "sum", "mean", "sqrtn".
        warm_start_from: Where a new model takes its first weights from: a `model_dir`, a checkpoint, or
            `WarmStartSettings`. Without effect, and with a warning, where `model_dir` has a checkpoint.

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        head: Head,
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        sparse_combiner: str = "sum",
        warm_start_from: WarmStartFrom = None,
    ) -> None:
        check_head(head)
        columns = in_order(feature_columns, "feature_columns")

        def make_model() -> LinearModel:
            return LinearModel(columns, head.logits_dimension, sparse_combiner)

        check_model(make_model)
        rate = _LEARNING_RATE
        if optimizer is None:
            optimizer, rate = "Ftrl", min(rate, len(columns) ** -0.5)
        if hasattr(optimizer, "linear_model_fn"):  # LinearSDCA, which not every program imports
            model_fn = optimizer.linear_model_fn("linear", make_model, head, sparse_combiner)
        else:
            model_fn = single_model_fn("linear", make_model, head, resolve(optimizer, rate))
        super().__init__(model_fn, model_dir, config, warm_start_from=warm_start_from)


class LinearClassifier(LinearEstimator):
    """Classifies with a linear model.

    Args:
        feature_columns: Dense and categorical columns.
        model_dir: Where checkpoints and events go.
        n_classes: The number of classes. With 2, the model has one logit.
        weight_column: The key of a feature, or a numeric column, that weighs the examples.
        label_vocabulary: The classes as strings, if labels are strings. Otherwise labels are integers
            from 0 to `n_classes` − 1.
        optimizer: See `LinearEstimator`.
        config: How to run.
        warm_start_from: Where a new model takes its first weights from: a `model_dir`, a checkpoint, or
            `WarmStartSettings`. Without effect, and with a warning, where `model_dir` has a checkpoint.
        loss_reduction: How the losses of a batch become one: "sum_over_batch_size" (the mean) or "sum",
            the default of TensorFlow 1.
        sparse_combiner: How the ids of a multivalent categorical column combine: "sum", "mean", "sqrtn".

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        sparse_combiner: str = "sum",
    ) -> None:
        head = classifier_head(n_classes, weight_column, label_vocabulary, loss_reduction)
        super().__init__(
            head, feature_columns, model_dir, optimizer, config, sparse_combiner, warm_start_from
        )


class LinearRegressor(LinearEstimator):
    """Predicts numbers with a linear model.

    Args:
        feature_columns: Dense and categorical columns.
        model_dir: Where checkpoints and events go.
        label_dimension: How many numbers an example has to be predicted.
        weight_column: The key of a feature, or a numeric column, that weighs the examples.
        optimizer: See `LinearEstimator`.
        config: How to run.
        warm_start_from: Where a new model takes its first weights from: a `model_dir`, a checkpoint, or
            `WarmStartSettings`. Without effect, and with a warning, where `model_dir` has a checkpoint.
        loss_reduction: How the losses of a batch become one: "sum_over_batch_size" (the mean) or "sum",
            the default of TensorFlow 1.
        sparse_combiner: How the ids of a multivalent categorical column combine: "sum", "mean", "sqrtn".

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        label_dimension: int = 1,
        weight_column: Any = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        sparse_combiner: str = "sum",
    ) -> None:
        head = RegressionHead(label_dimension, weight_column, loss_reduction)
        super().__init__(
            head, feature_columns, model_dir, optimizer, config, sparse_combiner, warm_start_from
        )
