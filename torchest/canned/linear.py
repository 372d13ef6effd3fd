"""Linear models: each constructor combines a model, a head and a default optimizer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torchest.canned.parts import CannedModel, Part, check_model, classifier_head
from torchest.columns.layers.arguments import in_order
from torchest.estimator.estimator import Estimator
from torchest.heads.base import check_head
from torchest.heads.regression import RegressionHead
from torchest.losses import Reduction
from torchest.models.linear import LinearModel
from torchest.optimizers.resolve import resolve

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from torchest.canned.parts import ModelFn
    from torchest.columns.base import FeatureColumn
    from torchest.heads.base import Head
    from torchest.heads.weights import WeightColumn
    from torchest.optimizers.resolve import OptimizerLike
    from torchest.run_config import RunConfig
    from torchest.warm_start.settings import WarmStartFrom

_LEARNING_RATE = 0.2


@runtime_checkable
class LinearTrainer(Protocol):
    """Trains linear models without an optimizer of torch; `experimental.LinearSDCA` is one."""

    def linear_model_fn(
        self, name: str, make_model: Callable[[], LinearModel], head: Head, sparse_combiner: str
    ) -> ModelFn:
        """Returns a model_fn."""


class LinearEstimator(Estimator):
    """A linear model with any head.

    Args:
        head: Defines loss, metrics and predictions.
        feature_columns: Dense and categorical columns.
        model_dir: Directory of checkpoints and events. None: `config.model_dir`, or a temporary directory.
        optimizer: The name of an optimizer of torchest, with learning rate 0.2; an optimizer without parameters,
            such as `optimizers.Ftrl(learning_rate=0.1)`; a `torch.optim` class; a function from parameters to an
            optimizer; or an `experimental.LinearSDCA`. None: Ftrl with learning rate
            min(0.2, 1 / √number of columns).
        config: Configuration of training and evaluation.
        sparse_combiner: How the ids of a multivalent categorical column are combined: "sum", "mean" or
            "sqrtn".
        warm_start_from: Source of the initial weights of a new model: a `model_dir`, a checkpoint, or
            `WarmStartSettings`. Ignored, with a warning, if `model_dir` has a checkpoint.

    Raises:
        ValueError: An argument is invalid.

    >>> from torchest import LinearEstimator, MultiLabelHead, columns
    >>> model = LinearEstimator(MultiLabelHead(3), [columns.numeric_column("x")])
    >>> next(model.predict(lambda: {"x": [1.0]}))["probabilities"]
    array([0.5, 0.5, 0.5], dtype=float32)
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        head: Head,
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        optimizer: OptimizerLike | LinearTrainer | None = "Ftrl",
        config: RunConfig | None = None,
        sparse_combiner: str = "sum",
        warm_start_from: WarmStartFrom = None,
    ) -> None:
        check_head(head)
        columns = in_order(feature_columns, "feature_columns")
        make_model = partial(LinearModel, columns, head.logits_dimension, sparse_combiner)
        check_model(make_model)
        rate = _LEARNING_RATE
        if optimizer is None:
            optimizer, rate = "Ftrl", min(rate, len(columns) ** -0.5)
        if isinstance(optimizer, LinearTrainer):
            model_fn = optimizer.linear_model_fn("linear", make_model, head, sparse_combiner)
        else:
            model_fn = CannedModel({"linear": Part(make_model, resolve(optimizer, rate))}, head)
        super().__init__(model_fn, model_dir, config, warm_start_from=warm_start_from)


class LinearClassifier(LinearEstimator):
    """A linear classifier with the defaults of TensorFlow 2; `torchest.v1.LinearClassifier` has those of TensorFlow 1.

    Args:
        feature_columns: As for `LinearEstimator`; so are `model_dir`, `optimizer`, `config`,
            `warm_start_from` and `sparse_combiner`.
        n_classes: Number of classes. With 2, the model has one logit.
        weight_column: The key of a feature, or a numeric column, with the weights of the examples.
        label_vocabulary: The names of the classes, if labels are strings. Otherwise labels are integers
            from 0 to `n_classes` − 1.
        loss_reduction: How the losses of a batch are reduced: "sum_over_batch_size" (the mean), "sum",
            or a reduction of `torchest.v1.losses`.

    >>> from torchest import LinearClassifier, columns
    >>> model = LinearClassifier([columns.numeric_column("x")])
    >>> model = model.train(lambda: ({"x": [-1.0, 1.0]}, [0, 1]), steps=5)
    >>> next(model.predict(lambda: {"x": [2.0]}))["class_ids"]
    array([1])
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        n_classes: int = 2,
        weight_column: WeightColumn = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: OptimizerLike | LinearTrainer | None = "Ftrl",
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
    """A linear regressor with the defaults of TensorFlow 2; `torchest.v1.LinearRegressor` has those of TensorFlow 1.

    Args:
        feature_columns: As for `LinearEstimator`; so are `model_dir`, `optimizer`, `config`,
            `warm_start_from` and `sparse_combiner`.
        label_dimension: Number of labels of an example.
        weight_column: As for `LinearClassifier`; so is `loss_reduction`.

    >>> from torchest import LinearRegressor, columns
    >>> model = LinearRegressor([columns.numeric_column("x")], optimizer="SGD")
    >>> model = model.train(lambda: ({"x": [-1.0, 1.0]}, [-2.0, 2.0]), steps=20)
    >>> next(model.predict(lambda: {"x": [3.0]}))["predictions"].round(1)
    array([6.], dtype=float32)
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        label_dimension: int = 1,
        weight_column: WeightColumn = None,
        optimizer: OptimizerLike | LinearTrainer | None = "Ftrl",
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        sparse_combiner: str = "sum",
    ) -> None:
        head = RegressionHead(label_dimension, weight_column, loss_reduction)
        super().__init__(
            head, feature_columns, model_dir, optimizer, config, sparse_combiner, warm_start_from
        )
