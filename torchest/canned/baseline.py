"""Baselines: models that ignore the features. What a real model has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.canned.parts import classifier_head, single_model_fn
from torchest.estimator import Estimator
from torchest.heads.base import check_head
from torchest.heads.regression import RegressionHead
from torchest.losses import Reduction
from torchest.models.baseline import BaselineModel
from torchest.optimizers.resolve import resolve

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from torchest.heads.base import Head
    from torchest.run_config import RunConfig

_LEARNING_RATE = 0.3


class BaselineEstimator(Estimator):
    """Predicts the same for every example, with any head.

    Args:
        head: What the logits mean.
        model_dir: Where checkpoints and events go.
        optimizer: The name of an optimizer of torchest, at learning rate 0.3; a `torch.optim` class; or a
            function that makes an optimizer from parameters.
        config: How to run.

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(
        self,
        head: Head,
        model_dir: str | os.PathLike[str] | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
    ) -> None:
        check_head(head)

        def make_model() -> BaselineModel:
            return BaselineModel(head.logits_dimension)

        model_fn = single_model_fn("baseline", make_model, head, resolve(optimizer, _LEARNING_RATE))
        super().__init__(model_fn, model_dir, config)


class BaselineClassifier(BaselineEstimator):
    """Predicts the frequencies of the classes.

    Args:
        model_dir: Where checkpoints and events go.
        n_classes: The number of classes. With 2, the model has one logit.
        weight_column: The key of a feature, or a numeric column, that weighs the examples.
        label_vocabulary: The classes as strings, if labels are strings. Otherwise labels are integers
            from 0 to `n_classes` − 1.
        optimizer: See `BaselineEstimator`.
        config: How to run.
        loss_reduction: How the losses of a batch become one: "sum_over_batch_size" (the mean) or "sum",
            the default of TensorFlow 1.

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        model_dir: str | os.PathLike[str] | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
    ) -> None:
        head = classifier_head(n_classes, weight_column, label_vocabulary, loss_reduction)
        super().__init__(head, model_dir, optimizer, config)


class BaselineRegressor(BaselineEstimator):
    """Predicts the mean of the labels.

    Args:
        model_dir: Where checkpoints and events go.
        label_dimension: How many numbers an example has to be predicted.
        weight_column: The key of a feature, or a numeric column, that weighs the examples.
        optimizer: See `BaselineEstimator`.
        config: How to run.
        loss_reduction: How the losses of a batch become one: "sum_over_batch_size" (the mean) or "sum",
            the default of TensorFlow 1.

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str] | None = None,
        label_dimension: int = 1,
        weight_column: Any = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
    ) -> None:
        head = RegressionHead(label_dimension, weight_column, loss_reduction)
        super().__init__(head, model_dir, optimizer, config)
