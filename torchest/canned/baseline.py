"""Baselines: models that ignore the features. A useful model has to beat them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torchest.canned.parts import CannedModel, Part, classifier_head
from torchest.estimator.estimator import Estimator
from torchest.heads.base import check_head
from torchest.heads.regression import RegressionHead
from torchest.losses import Reduction
from torchest.models.baseline import BaselineModel
from torchest.optimizers.resolve import resolve

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from torchest.heads.base import Head
    from torchest.heads.weights import WeightColumn
    from torchest.optimizers.resolve import OptimizerLike
    from torchest.run_config import RunConfig

_LEARNING_RATE = 0.3


class BaselineEstimator(Estimator):
    """Predicts the same for every example, with any head.

    Args:
        head: Defines loss, metrics and predictions.
        model_dir: As for `LinearEstimator`.
        optimizer: The name of an optimizer of torchest, with learning rate 0.3; an optimizer without parameters,
            such as `optimizers.Adam(learning_rate=0.01)`; a `torch.optim` class; or a function from parameters to an
            optimizer.
        config: As for `LinearEstimator`.

    Raises:
        ValueError: An argument is invalid.

    >>> from torchest import BaselineEstimator, PoissonRegressionHead
    >>> model = BaselineEstimator(PoissonRegressionHead())
    >>> next(model.predict(lambda: {"x": [5.0]}))["predictions"]  # exp(0): the bias starts at 0
    array([1.], dtype=float32)
    """

    def __init__(
        self,
        head: Head,
        model_dir: str | os.PathLike[str] | None = None,
        optimizer: OptimizerLike = "Ftrl",
        config: RunConfig | None = None,
    ) -> None:
        check_head(head)
        make_model = partial(BaselineModel, head.logits_dimension)
        part = Part(make_model, resolve(optimizer, _LEARNING_RATE))
        super().__init__(CannedModel({"baseline": part}, head), model_dir, config)


class BaselineClassifier(BaselineEstimator):
    """Predicts the frequencies of the classes.

    Args:
        n_classes: As for `LinearClassifier`; so are `weight_column`, `label_vocabulary` and `loss_reduction`.
        optimizer: As for `BaselineEstimator`; so are `model_dir` and `config`.

    >>> from torchest import BaselineClassifier
    >>> model = BaselineClassifier().train(lambda: ({"x": [1.0, 2.0]}, [1, 1]), steps=5)
    >>> next(model.predict(lambda: {"x": [5.0]}))["class_ids"]
    array([1])
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        model_dir: str | os.PathLike[str] | None = None,
        n_classes: int = 2,
        weight_column: WeightColumn = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: OptimizerLike = "Ftrl",
        config: RunConfig | None = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
    ) -> None:
        head = classifier_head(n_classes, weight_column, label_vocabulary, loss_reduction)
        super().__init__(head, model_dir, optimizer, config)


class BaselineRegressor(BaselineEstimator):
    """Predicts the mean of the labels.

    Args:
        label_dimension: As for `LinearRegressor`; so are `weight_column` and `loss_reduction`.
        optimizer: As for `BaselineEstimator`; so are `model_dir` and `config`.

    >>> from torchest import BaselineRegressor
    >>> model = BaselineRegressor(optimizer="SGD")
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
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
    ) -> None:
        head = RegressionHead(label_dimension, weight_column, loss_reduction)
        super().__init__(head, model_dir, optimizer, config)
