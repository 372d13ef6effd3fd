"""Deep models with the defaults of TensorFlow 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from torchest.canned import dnn
from torchest.heads.regression import RegressionHead
from torchest.v1.arguments import ignore, optimizer_named
from torchest.v1.heads import classifier_head
from torchest.v1.losses import Reduction

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

_LEARNING_RATE = 0.05


class DNNEstimator(dnn.DNNEstimator):
    """A deep model with any head.

    Args:
        head: As for `torchest.DNNEstimator`; so are all other arguments but these:
        optimizer: The name of an optimizer of TensorFlow 1 (Adagrad, Adam, Ftrl, RMSProp, SGD), with learning rate
            0.05; an optimizer of `torchest.v1.train`; or as for `torchest.DNNEstimator`.
        input_layer_partitioner: Has no effect: tables are not partitioned.

    Raises:
        ValueError: An argument is invalid.

    >>> from torchest import MultiLabelHead, columns, v1
    >>> model = v1.DNNEstimator(MultiLabelHead(3), [8, 4], [columns.numeric_column("x")])
    >>> next(model.predict(lambda: {"x": [1.0]}))["probabilities"].shape
    (3,)
    """

    def __init__(
        self,
        head: Head,
        hidden_units: Sequence[int],
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        optimizer: OptimizerLike = "Adagrad",
        activation_fn: Activation | None = F.relu,
        dropout: float | None = None,
        input_layer_partitioner: object = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        batch_norm: bool = False,
    ) -> None:
        ignore(input_layer_partitioner=input_layer_partitioner)
        super().__init__(
            head,
            hidden_units,
            feature_columns,
            model_dir,
            optimizer_named(optimizer, _LEARNING_RATE),
            activation_fn,
            dropout,
            config,
            warm_start_from,
            batch_norm,
        )


class DNNClassifier(DNNEstimator):
    """A deep classifier.

    Args:
        hidden_units: As for `DNNEstimator`; so are all other arguments but these:
        n_classes: As for `torchest.LinearClassifier`; so are `weight_column` and `label_vocabulary`.
        loss_reduction: How the losses of a batch are reduced: a reduction of `torchest.v1.losses`, by default the sum.

    >>> from torchest import columns, v1
    >>> town = columns.categorical_column_with_hash_bucket("town", 100)
    >>> model = v1.DNNClassifier([8, 4], [columns.embedding_column(town, 2)], n_classes=3)
    >>> model = model.train(lambda: ({"town": ["Lyon", "Turin"]}, [0, 2]), steps=2)
    >>> next(model.predict(lambda: {"town": ["Lyon"]}))["probabilities"].shape
    (3,)
    """

    def __init__(
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
        input_layer_partitioner: object = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM,
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
            input_layer_partitioner,
            config,
            warm_start_from,
            batch_norm,
        )


class DNNRegressor(DNNEstimator):
    """A deep regressor.

    Args:
        hidden_units: As for `DNNEstimator`; so are all other arguments but these:
        label_dimension: As for `torchest.LinearRegressor`; so is `weight_column`.
        loss_reduction: As for `DNNClassifier`.

    >>> from torchest import columns, v1
    >>> model = v1.DNNRegressor([8], [columns.numeric_column("x")], label_dimension=2)
    >>> model = model.train(lambda: ({"x": [1.0]}, [[2.0, 3.0]]), steps=2)
    >>> next(model.predict(lambda: {"x": [1.0]}))["predictions"].shape
    (2,)
    """

    def __init__(
        self,
        hidden_units: Sequence[int],
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        label_dimension: int = 1,
        weight_column: WeightColumn = None,
        optimizer: OptimizerLike = "Adagrad",
        activation_fn: Activation | None = F.relu,
        dropout: float | None = None,
        input_layer_partitioner: object = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM,
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
            input_layer_partitioner,
            config,
            warm_start_from,
            batch_norm,
        )
