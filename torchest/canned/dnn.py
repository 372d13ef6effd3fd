"""Deep models: each constructor combines a model, a head and a default optimizer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch.nn.functional as F

from torchest.canned.parts import CannedModel, Part, check_model, classifier_head
from torchest.columns.layers.arguments import in_order
from torchest.estimator.estimator import Estimator
from torchest.heads.base import check_head
from torchest.heads.regression import RegressionHead
from torchest.losses import Reduction
from torchest.models.dnn import DNNModel
from torchest.optimizers.resolve import resolve

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from torchest.columns.base import FeatureColumn
    from torchest.heads.base import Head
    from torchest.heads.weights import WeightColumn
    from torchest.models.dnn import Activation
    from torchest.optimizers.resolve import OptimizerLike
    from torchest.run_config import RunConfig
    from torchest.warm_start.settings import WarmStartFrom


class DNNEstimator(Estimator):
    """A deep model with any head, and the defaults of TensorFlow 2; `torchest.v1` has those of TensorFlow 1.

    Args:
        head: Defines loss, metrics and predictions.
        hidden_units: Widths of the hidden layers.
        feature_columns: Dense columns; wrap categorical ones in an embedding or indicator column.
        model_dir: As for `LinearEstimator`; so are `config` and `warm_start_from`.
        optimizer: The name of an optimizer of torchest, with its default learning rate (0.001 for
            Adagrad); an optimizer without parameters, such as `optimizers.Adagrad(learning_rate=0.05)`; a
            `torch.optim` class; or a function from parameters to an optimizer.
        activation_fn: Activation of the hidden layers. None: none.
        dropout: Probability that an activation is dropped in training. None: no dropout.
        batch_norm: Whether each hidden layer ends with batch normalisation.

    Raises:
        ValueError: An argument is invalid.

    >>> from torchest import DNNEstimator, MultiLabelHead, columns
    >>> model = DNNEstimator(MultiLabelHead(3), [8, 4], [columns.numeric_column("x")])
    >>> next(model.predict(lambda: {"x": [1.0]}))["probabilities"].shape
    (3,)
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        head: Head,
        hidden_units: Sequence[int],
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        optimizer: OptimizerLike = "Adagrad",
        activation_fn: Activation | None = F.relu,
        dropout: float | None = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        batch_norm: bool = False,
    ) -> None:
        check_head(head)
        columns, units = in_order(feature_columns, "feature_columns"), head.logits_dimension
        make_model = partial(
            DNNModel, columns, hidden_units, units, activation_fn, dropout, batch_norm
        )
        check_model(make_model)
        part = Part(make_model, resolve(optimizer, lr=None))
        model_fn = CannedModel({"dnn": part}, head)
        super().__init__(model_fn, model_dir, config, warm_start_from=warm_start_from)


class DNNClassifier(DNNEstimator):
    """A deep classifier with the defaults of TensorFlow 2; `torchest.v1.DNNClassifier` has those of TensorFlow 1.

    Args:
        hidden_units: As for `DNNEstimator`; so are all other arguments but these:
        n_classes: As for `LinearClassifier`; so are `weight_column`, `label_vocabulary` and `loss_reduction`.

    >>> from torchest import DNNClassifier, columns
    >>> town = columns.categorical_column_with_hash_bucket("town", 100)
    >>> model = DNNClassifier([8, 4], [columns.embedding_column(town, 2)], n_classes=3)
    >>> model = model.train(lambda: ({"town": ["Lyon", "Turin"]}, [0, 2]), steps=2)
    >>> next(model.predict(lambda: {"town": ["Lyon"]}))["probabilities"].shape
    (3,)
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        hidden_units: Sequence[int],
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        n_classes: int = 2,
        weight_column: WeightColumn = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: OptimizerLike = "Adagrad",
        activation_fn: Activation | None = F.relu,
        dropout: float | None = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(
            classifier_head(n_classes, weight_column, label_vocabulary, loss_reduction),
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
    """A deep regressor with the defaults of TensorFlow 2; `torchest.v1.DNNRegressor` has those of TensorFlow 1.

    Args:
        hidden_units: As for `DNNEstimator`; so are all other arguments but these:
        label_dimension: As for `LinearRegressor`; so are `weight_column` and `loss_reduction`.

    >>> from torchest import DNNRegressor, columns
    >>> model = DNNRegressor([8], [columns.numeric_column("x")], label_dimension=2)
    >>> model = model.train(lambda: ({"x": [1.0]}, [[2.0, 3.0]]), steps=2)
    >>> next(model.predict(lambda: {"x": [1.0]}))["predictions"].shape
    (2,)
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        hidden_units: Sequence[int],
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        label_dimension: int = 1,
        weight_column: WeightColumn = None,
        optimizer: OptimizerLike = "Adagrad",
        activation_fn: Activation | None = F.relu,
        dropout: float | None = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(
            RegressionHead(label_dimension, weight_column, loss_reduction),
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
