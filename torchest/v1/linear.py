"""Linear models with the defaults of TensorFlow 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.canned import linear
from torchest.heads.regression import RegressionHead
from torchest.v1.arguments import ignore, optimizer_named
from torchest.v1.heads import classifier_head
from torchest.v1.losses import Reduction

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from torchest.canned.linear import LinearTrainer
    from torchest.columns.base import FeatureColumn
    from torchest.heads.base import Head
    from torchest.heads.weights import WeightColumn
    from torchest.optimizers.resolve import OptimizerLike
    from torchest.run_config import RunConfig
    from torchest.warm_start.settings import WarmStartFrom

_LEARNING_RATE = 0.2


class LinearEstimator(linear.LinearEstimator):
    """A linear model with any head.

    Args:
        head: As for `torchest.LinearEstimator`; so are all other arguments but these:
        optimizer: The name of an optimizer of TensorFlow 1 (Adagrad, Adam, Ftrl, RMSProp, SGD), with learning rate 0.2;
            an optimizer of `torchest.v1.train`; or as for `torchest.LinearEstimator`. None: Ftrl with learning rate
            min(0.2, 1 / √number of columns).
        partitioner: Has no effect: tables are not partitioned.

    Raises:
        ValueError: An argument is invalid.

    >>> from torchest import MultiLabelHead, columns, v1
    >>> model = v1.LinearEstimator(MultiLabelHead(3), [columns.numeric_column("x")])
    >>> next(model.predict(lambda: {"x": [1.0]}))["probabilities"]
    array([0.5, 0.5, 0.5], dtype=float32)
    """

    def __init__(
        self,
        head: Head,
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        optimizer: OptimizerLike | LinearTrainer | None = "Ftrl",
        config: RunConfig | None = None,
        partitioner: object = None,
        sparse_combiner: str = "sum",
        warm_start_from: WarmStartFrom = None,
    ) -> None:
        ignore(partitioner=partitioner)
        super().__init__(
            head,
            feature_columns,
            model_dir,
            optimizer_named(optimizer, _LEARNING_RATE),
            config,
            sparse_combiner,
            warm_start_from,
        )


class LinearClassifier(LinearEstimator):
    """A linear classifier.

    Args:
        feature_columns: As for `LinearEstimator`; so are all other arguments but these:
        n_classes: As for `torchest.LinearClassifier`; so are `weight_column` and `label_vocabulary`.
        loss_reduction: How the losses of a batch are reduced: a reduction of `torchest.v1.losses`, by default the sum.

    >>> from torchest import columns, v1
    >>> model = v1.LinearClassifier([columns.numeric_column("x")])
    >>> model = model.train(lambda: ({"x": [-1.0, 1.0]}, [0, 1]), steps=5)
    >>> next(model.predict(lambda: {"x": [2.0]}))["class_ids"]
    array([1])
    """

    def __init__(
        self,
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        n_classes: int = 2,
        weight_column: WeightColumn = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: OptimizerLike | LinearTrainer | None = "Ftrl",
        config: RunConfig | None = None,
        partitioner: object = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM,
        sparse_combiner: str = "sum",
    ) -> None:
        super().__init__(
            classifier_head(n_classes, weight_column, label_vocabulary, loss_reduction),
            feature_columns,
            model_dir,
            optimizer,
            config,
            partitioner,
            sparse_combiner,
            warm_start_from,
        )


class LinearRegressor(LinearEstimator):
    """A linear regressor.

    Args:
        feature_columns: As for `LinearEstimator`; so are all other arguments but these:
        label_dimension: As for `torchest.LinearRegressor`; so is `weight_column`.
        loss_reduction: As for `LinearClassifier`.

    >>> from torchest import columns, v1
    >>> model = v1.LinearRegressor([columns.numeric_column("x")], optimizer="SGD")
    >>> model = model.train(lambda: ({"x": [-1.0, 1.0]}, [-2.0, 2.0]), steps=20)
    >>> next(model.predict(lambda: {"x": [3.0]}))["predictions"].round(1)
    array([6.], dtype=float32)
    """

    def __init__(
        self,
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        label_dimension: int = 1,
        weight_column: WeightColumn = None,
        optimizer: OptimizerLike | LinearTrainer | None = "Ftrl",
        config: RunConfig | None = None,
        partitioner: object = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM,
        sparse_combiner: str = "sum",
    ) -> None:
        super().__init__(
            RegressionHead(label_dimension, weight_column, loss_reduction),
            feature_columns,
            model_dir,
            optimizer,
            config,
            partitioner,
            sparse_combiner,
            warm_start_from,
        )
