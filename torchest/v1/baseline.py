"""Baselines with the defaults of TensorFlow 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.canned import baseline
from torchest.heads.regression import RegressionHead
from torchest.v1.arguments import optimizer_named
from torchest.v1.heads import classifier_head
from torchest.v1.losses import Reduction

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from torchest.heads.base import Head
    from torchest.heads.weights import WeightColumn
    from torchest.optimizers.resolve import OptimizerLike
    from torchest.run_config import RunConfig

_LEARNING_RATE = 0.3


class BaselineEstimator(baseline.BaselineEstimator):
    """Predicts the same for every example, with any head.

    Args:
        head: As for `torchest.BaselineEstimator`; so are `model_dir` and `config`.
        optimizer: The name of an optimizer of TensorFlow 1 (Adagrad, Adam, Ftrl, RMSProp, SGD), with learning rate 0.3;
            an optimizer of `torchest.v1.train`; or as for `torchest.BaselineEstimator`.

    Raises:
        ValueError: An argument is invalid.

    >>> from torchest import PoissonRegressionHead, v1
    >>> model = v1.BaselineEstimator(PoissonRegressionHead())
    >>> next(model.predict(lambda: {"x": [5.0]}))["predictions"]
    array([1.], dtype=float32)
    """

    def __init__(
        self,
        head: Head,
        model_dir: str | os.PathLike[str] | None = None,
        optimizer: OptimizerLike = "Ftrl",
        config: RunConfig | None = None,
    ) -> None:
        super().__init__(head, model_dir, optimizer_named(optimizer, _LEARNING_RATE), config)


class BaselineClassifier(BaselineEstimator):
    """Predicts the frequencies of the classes.

    Args:
        model_dir: As for `BaselineEstimator`; so are `optimizer` and `config`.
        n_classes: As for `torchest.LinearClassifier`; so are `weight_column` and `label_vocabulary`.
        loss_reduction: How the losses of a batch are reduced: a reduction of `torchest.v1.losses`, by default the sum.

    >>> from torchest import v1
    >>> model = v1.BaselineClassifier().train(lambda: ({"x": [1.0, 2.0]}, [1, 1]), steps=5)
    >>> next(model.predict(lambda: {"x": [5.0]}))["class_ids"]
    array([1])
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str] | None = None,
        n_classes: int = 2,
        weight_column: WeightColumn = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: OptimizerLike = "Ftrl",
        config: RunConfig | None = None,
        loss_reduction: str = Reduction.SUM,
    ) -> None:
        head = classifier_head(n_classes, weight_column, label_vocabulary, loss_reduction)
        super().__init__(head, model_dir, optimizer, config)


class BaselineRegressor(BaselineEstimator):
    """Predicts the mean of the labels.

    Args:
        model_dir: As for `BaselineEstimator`; so are `optimizer` and `config`.
        label_dimension: As for `torchest.LinearRegressor`; so is `weight_column`.
        loss_reduction: As for `BaselineClassifier`.

    >>> from torchest import v1
    >>> model = v1.BaselineRegressor(optimizer="SGD")
    >>> model = model.train(lambda: ({"x": [1.0, 2.0]}, [2.0, 4.0]), steps=20)
    >>> next(model.predict(lambda: {"x": [5.0]}))["predictions"].round(1)
    array([3.], dtype=float32)
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str] | None = None,
        label_dimension: int = 1,
        weight_column: WeightColumn = None,
        optimizer: OptimizerLike = "Ftrl",
        config: RunConfig | None = None,
        loss_reduction: str = Reduction.SUM,
    ) -> None:
        head = RegressionHead(label_dimension, weight_column, loss_reduction)
        super().__init__(head, model_dir, optimizer, config)
