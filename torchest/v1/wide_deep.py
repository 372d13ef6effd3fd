"""Wide and deep models with the defaults of TensorFlow 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from torchest.canned import wide_deep
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

_DNN_LEARNING_RATE = 0.001


class DNNLinearCombinedEstimator(wide_deep.DNNLinearCombinedEstimator):
    """A wide and deep model with any head.

    Args:
        head: As for `torchest.DNNLinearCombinedEstimator`; so are all other arguments but these:
        linear_optimizer: The name of an optimizer of TensorFlow 1 (Adagrad, Adam, Ftrl, RMSProp, SGD), with learning
            rate min(0.005, 1 / √number of linear columns); an optimizer of `torchest.v1.train`; or as for
            `torchest.DNNLinearCombinedEstimator`.
        dnn_optimizer: Likewise, with learning rate 0.001.
        input_layer_partitioner: Has no effect: tables are not partitioned.

    Raises:
        ValueError: An argument is invalid.

    >>> from torchest import MultiLabelHead, columns, v1
    >>> x = columns.numeric_column("x")
    >>> model = v1.DNNLinearCombinedEstimator(
    ...     MultiLabelHead(3), linear_feature_columns=[x], dnn_feature_columns=[x], dnn_hidden_units=[8]
    ... )
    >>> next(model.predict(lambda: {"x": [1.0]}))["probabilities"].shape
    (3,)
    """

    def __init__(
        self,
        head: Head,
        model_dir: str | os.PathLike[str] | None = None,
        linear_feature_columns: Iterable[FeatureColumn] | None = None,
        linear_optimizer: OptimizerLike | None = "Ftrl",
        dnn_feature_columns: Iterable[FeatureColumn] | None = None,
        dnn_optimizer: OptimizerLike = "Adagrad",
        dnn_hidden_units: Sequence[int] | None = None,
        dnn_activation_fn: Activation | None = F.relu,
        dnn_dropout: float | None = None,
        input_layer_partitioner: object = None,
        config: RunConfig | None = None,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
        warm_start_from: WarmStartFrom = None,
    ) -> None:
        ignore(input_layer_partitioner=input_layer_partitioner)
        linear_columns = wide_deep.checked_columns(linear_feature_columns, "linear_feature_columns")
        rate = wide_deep.linear_learning_rate(linear_columns)
        super().__init__(
            head,
            model_dir,
            linear_columns,
            optimizer_named(linear_optimizer, rate, "linear_optimizer"),
            dnn_feature_columns,
            optimizer_named(dnn_optimizer, _DNN_LEARNING_RATE, "dnn_optimizer"),
            dnn_hidden_units,
            dnn_activation_fn,
            dnn_dropout,
            config,
            batch_norm,
            linear_sparse_combiner,
            warm_start_from,
        )


class DNNLinearCombinedClassifier(DNNLinearCombinedEstimator):
    """A wide and deep classifier.

    Args:
        model_dir: As for `DNNLinearCombinedEstimator`; so are all other arguments but these:
        n_classes: As for `torchest.LinearClassifier`; so are `weight_column` and `label_vocabulary`.
        loss_reduction: How the losses of a batch are reduced: a reduction of `torchest.v1.losses`, by default the sum.

    >>> from torchest import columns, v1
    >>> town = columns.categorical_column_with_hash_bucket("town", 100)
    >>> model = v1.DNNLinearCombinedClassifier(
    ...     linear_feature_columns=[town],
    ...     dnn_feature_columns=[columns.embedding_column(town, 2)],
    ...     dnn_hidden_units=[8, 4],
    ... )
    >>> model = model.train(lambda: ({"town": ["Lyon", "Turin"]}, [0, 1]), steps=2)
    >>> next(model.predict(lambda: {"town": ["Lyon"]}))["logits"].shape
    (1,)
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str] | None = None,
        linear_feature_columns: Iterable[FeatureColumn] | None = None,
        linear_optimizer: OptimizerLike | None = "Ftrl",
        dnn_feature_columns: Iterable[FeatureColumn] | None = None,
        dnn_optimizer: OptimizerLike = "Adagrad",
        dnn_hidden_units: Sequence[int] | None = None,
        dnn_activation_fn: Activation | None = F.relu,
        dnn_dropout: float | None = None,
        n_classes: int = 2,
        weight_column: WeightColumn = None,
        label_vocabulary: Sequence[str] | None = None,
        input_layer_partitioner: object = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
    ) -> None:
        super().__init__(
            classifier_head(n_classes, weight_column, label_vocabulary, loss_reduction),
            model_dir,
            linear_feature_columns,
            linear_optimizer,
            dnn_feature_columns,
            dnn_optimizer,
            dnn_hidden_units,
            dnn_activation_fn,
            dnn_dropout,
            input_layer_partitioner,
            config,
            batch_norm,
            linear_sparse_combiner,
            warm_start_from,
        )


class DNNLinearCombinedRegressor(DNNLinearCombinedEstimator):
    """A wide and deep regressor.

    Args:
        model_dir: As for `DNNLinearCombinedEstimator`; so are all other arguments but these:
        label_dimension: As for `torchest.LinearRegressor`; so is `weight_column`.
        loss_reduction: As for `DNNLinearCombinedClassifier`.

    >>> from torchest import columns, v1
    >>> x = columns.numeric_column("x")
    >>> model = v1.DNNLinearCombinedRegressor(
    ...     linear_feature_columns=[x], dnn_feature_columns=[x], dnn_hidden_units=[8]
    ... )
    >>> model = model.train(lambda: ({"x": [1.0]}, [2.0]), steps=2)
    >>> next(model.predict(lambda: {"x": [1.0]}))["predictions"].shape
    (1,)
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str] | None = None,
        linear_feature_columns: Iterable[FeatureColumn] | None = None,
        linear_optimizer: OptimizerLike | None = "Ftrl",
        dnn_feature_columns: Iterable[FeatureColumn] | None = None,
        dnn_optimizer: OptimizerLike = "Adagrad",
        dnn_hidden_units: Sequence[int] | None = None,
        dnn_activation_fn: Activation | None = F.relu,
        dnn_dropout: float | None = None,
        label_dimension: int = 1,
        weight_column: WeightColumn = None,
        input_layer_partitioner: object = None,
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
    ) -> None:
        super().__init__(
            RegressionHead(label_dimension, weight_column, loss_reduction),
            model_dir,
            linear_feature_columns,
            linear_optimizer,
            dnn_feature_columns,
            dnn_optimizer,
            dnn_hidden_units,
            dnn_activation_fn,
            dnn_dropout,
            input_layer_partitioner,
            config,
            batch_norm,
            linear_sparse_combiner,
            warm_start_from,
        )
