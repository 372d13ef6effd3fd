"""Deep models: a constructor is a model, a head and a default optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from torchest.canned.parts import check_model, classifier_head, single_model_fn
from torchest.columns.layers.layers import in_order
from torchest.estimator import Estimator
from torchest.heads.base import check_head
from torchest.heads.regression import RegressionHead
from torchest.losses import Reduction
from torchest.models.dnn import DNNModel
from torchest.optimizers.resolve import resolve

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from torchest.columns.base import FeatureColumn
    from torchest.heads.base import Head
    from torchest.run_config import RunConfig
    from torchest.warm_start.settings import WarmStartFrom


class DNNEstimator(Estimator):
    """A deep model with any head.

    Args:
        head: What the logits mean.
        hidden_units: The width of each hidden layer.
        feature_columns: Dense columns; wrap categorical ones in an embedding or indicator column.
        model_dir: Where checkpoints and events go.
        optimizer: The name of an optimizer of torchest, at its default learning rate (0.001 for Adagrad);
            a `torch.optim` class; or a function that makes an optimizer from parameters. The default of
            TensorFlow 1 is `lambda parameters: torchest.optimizers.Adagrad(parameters, 0.05)`.
        activation_fn: What follows each hidden layer.
        dropout: The probability that an activation is dropped in training; None for none.
        config: How to run.
        warm_start_from: Where a new model takes its first weights from: a `model_dir`, a checkpoint, or
            `WarmStartSettings`. Without effect, and with a warning, where `model_dir` has a checkpoint.
        batch_norm: Whether hidden layers end with batch normalisation.

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        head: Head,
        hidden_units: Sequence[int],
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        optimizer: Any = "Adagrad",
        activation_fn: Callable[[Tensor], Tensor] | None = F.relu,
        dropout: float | None = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        batch_norm: bool = False,
    ) -> None:
        check_head(head)
        columns = in_order(feature_columns, "feature_columns")

        def make_model() -> DNNModel:
            return DNNModel(
                columns, hidden_units, head.logits_dimension, activation_fn, dropout, batch_norm
            )

        check_model(make_model)
        model_fn = single_model_fn("dnn", make_model, head, resolve(optimizer, lr=None))
        super().__init__(model_fn, model_dir, config, warm_start_from=warm_start_from)


class DNNClassifier(DNNEstimator):
    """Classifies with a deep model.

    Args:
        hidden_units: The width of each hidden layer.
        feature_columns: Dense columns; wrap categorical ones in an embedding or indicator column.
        model_dir: Where checkpoints and events go.
        n_classes: The number of classes. With 2, the model has one logit.
        weight_column: The key of a feature, or a numeric column, that weighs the examples.
        label_vocabulary: The classes as strings, if labels are strings. Otherwise labels are integers
            from 0 to `n_classes` − 1.
        optimizer: See `DNNEstimator`.
        activation_fn: What follows each hidden layer.
        dropout: The probability that an activation is dropped in training; None for none.
        config: How to run.
        warm_start_from: Where a new model takes its first weights from: a `model_dir`, a checkpoint, or
            `WarmStartSettings`. Without effect, and with a warning, where `model_dir` has a checkpoint.
        loss_reduction: How the losses of a batch become one: "sum_over_batch_size" (the mean) or "sum",
            the default of TensorFlow 1.
        batch_norm: Whether hidden layers end with batch normalisation.

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        hidden_units: Sequence[int],
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: Any = "Adagrad",
        activation_fn: Callable[[Tensor], Tensor] | None = F.relu,
        dropout: float | None = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        batch_norm: bool = False,
    ) -> None:
        head = classifier_head(n_classes, weight_column, label_vocabulary, loss_reduction)
        super().__init__(
            head,
            hidden_units,
            feature_columns,
            model_dir,
            optimizer,
            activation_fn,
            dropout,
            config,
            warm_start_from,
            batch_norm,
        )


class DNNRegressor(DNNEstimator):
    """Predicts numbers with a deep model.

    Args:
        hidden_units: The width of each hidden layer.
        feature_columns: Dense columns; wrap categorical ones in an embedding or indicator column.
        model_dir: Where checkpoints and events go.
        label_dimension: How many numbers an example has to be predicted.
        weight_column: The key of a feature, or a numeric column, that weighs the examples.
        optimizer: See `DNNEstimator`.
        activation_fn: What follows each hidden layer.
        dropout: The probability that an activation is dropped in training; None for none.
        config: How to run.
        warm_start_from: Where a new model takes its first weights from: a `model_dir`, a checkpoint, or
            `WarmStartSettings`. Without effect, and with a warning, where `model_dir` has a checkpoint.
        loss_reduction: How the losses of a batch become one: "sum_over_batch_size" (the mean) or "sum",
            the default of TensorFlow 1.
        batch_norm: Whether hidden layers end with batch normalisation.

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        hidden_units: Sequence[int],
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        label_dimension: int = 1,
        weight_column: Any = None,
        optimizer: Any = "Adagrad",
        activation_fn: Callable[[Tensor], Tensor] | None = F.relu,
        dropout: float | None = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        batch_norm: bool = False,
    ) -> None:
        head = RegressionHead(label_dimension, weight_column, loss_reduction)
        super().__init__(
            head,
            hidden_units,
            feature_columns,
            model_dir,
            optimizer,
            activation_fn,
            dropout,
            config,
            warm_start_from,
            batch_norm,
        )
