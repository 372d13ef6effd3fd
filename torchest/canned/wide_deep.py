"""Wide and deep models: a linear and a deep model, trained together with an optimizer each."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from torchest.canned.parts import CannedModel, Part, check_model, classifier_head
from torchest.columns.layers.arguments import in_order
from torchest.estimator.estimator import Estimator
from torchest.heads.base import check_head
from torchest.heads.regression import RegressionHead
from torchest.losses import Reduction
from torchest.models.dnn import DNNModel
from torchest.models.linear import LinearModel
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

_LINEAR_LEARNING_RATE = 0.005


def checked_columns(columns: Iterable[FeatureColumn] | None, argument: str) -> list[FeatureColumn]:
    """Columns in their order; none for None or an empty list."""
    is_empty = columns is None or (isinstance(columns, list | tuple) and not columns)
    return [] if columns is None or is_empty else in_order(columns, argument)


def linear_learning_rate(columns: Sequence[FeatureColumn]) -> float:
    """The learning rate of the linear model with an optimizer that is named by a string."""
    return min(_LINEAR_LEARNING_RATE, 1 / math.sqrt(max(len(columns), 1)))


class DNNLinearCombinedEstimator(Estimator):
    """A wide and deep model with any head.

    Args:
        head: Defines loss, metrics and predictions.
        model_dir: As for `LinearEstimator`; so are `config` and `warm_start_from`.
        linear_feature_columns: Columns of the linear model. None or empty: no linear model.
        linear_optimizer: The name of an optimizer of torchest, with learning rate
            min(0.005, 1 / √number of linear columns); an optimizer without parameters, such as
            `optimizers.Ftrl(learning_rate=0.1)`; a `torch.optim` class; or a function from parameters to an
            optimizer. None: Ftrl.
        dnn_feature_columns: Dense columns of the deep model. None or empty: no deep model.
        dnn_optimizer: As `optimizer` of `DNNEstimator`.
        dnn_hidden_units: As `hidden_units` of `DNNEstimator`.
        dnn_activation_fn: As `activation_fn` of `DNNEstimator`.
        dnn_dropout: As `dropout` of `DNNEstimator`.
        batch_norm: As for `DNNEstimator`.
        linear_sparse_combiner: As `sparse_combiner` of `LinearEstimator`.

    Raises:
        ValueError: An argument is invalid.

    >>> from torchest import DNNLinearCombinedEstimator, MultiLabelHead, columns
    >>> x = columns.numeric_column("x")
    >>> model = DNNLinearCombinedEstimator(
    ...     MultiLabelHead(3), linear_feature_columns=[x], dnn_feature_columns=[x], dnn_hidden_units=[8]
    ... )
    >>> next(model.predict(lambda: {"x": [1.0]}))["probabilities"].shape
    (3,)
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
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
        config: RunConfig | None = None,
        batch_norm: bool = False,
        linear_sparse_combiner: str = "sum",
        warm_start_from: WarmStartFrom = None,
    ) -> None:
        check_head(head)
        linear = checked_columns(linear_feature_columns, "linear_feature_columns")
        deep = checked_columns(dnn_feature_columns, "dnn_feature_columns")
        if not linear and not deep:
            raise ValueError(
                "linear_feature_columns and dnn_feature_columns are both empty: give columns to at least one "
                "of the two models."
            )
        parts: dict[str, Part] = {}
        units = head.logits_dimension
        if linear:
            make_linear = partial(LinearModel, linear, units, linear_sparse_combiner)
            check_model(make_linear, "linear_")
            named = "Ftrl" if linear_optimizer is None else linear_optimizer
            make_optimizer = resolve(named, linear_learning_rate(linear), "linear_optimizer")
            parts["linear"] = Part(make_linear, make_optimizer, "linear_optimizer")
        if deep:
            widths: Any = dnn_hidden_units  # the model raises for None
            make_deep = partial(
                DNNModel, deep, widths, units, dnn_activation_fn, dnn_dropout, batch_norm
            )
            check_model(make_deep, "dnn_")
            make_optimizer = resolve(dnn_optimizer, None, "dnn_optimizer")
            parts["dnn"] = Part(make_deep, make_optimizer, "dnn_optimizer")
        model_fn = CannedModel(parts, head)
        super().__init__(model_fn, model_dir, config, warm_start_from=warm_start_from)


class DNNLinearCombinedClassifier(DNNLinearCombinedEstimator):
    """A wide and deep classifier with the defaults of TensorFlow 2; `torchest.v1` has those of TensorFlow 1.

    Args:
        model_dir: As for `DNNLinearCombinedEstimator`; so are all other arguments but these:
        n_classes: As for `LinearClassifier`; so are `weight_column`, `label_vocabulary` and `loss_reduction`.

    >>> from torchest import DNNLinearCombinedClassifier, columns
    >>> town = columns.categorical_column_with_hash_bucket("town", 100)
    >>> model = DNNLinearCombinedClassifier(
    ...     linear_feature_columns=[town],
    ...     dnn_feature_columns=[columns.embedding_column(town, 2)],
    ...     dnn_hidden_units=[8, 4],
    ... )
    >>> model = model.train(lambda: ({"town": ["Lyon", "Turin"]}, [0, 1]), steps=2)
    >>> next(model.predict(lambda: {"town": ["Lyon"]}))["logits"].shape
    (1,)
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
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
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
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
            config,
            batch_norm,
            linear_sparse_combiner,
            warm_start_from,
        )


class DNNLinearCombinedRegressor(DNNLinearCombinedEstimator):
    """A wide and deep regressor with the defaults of TensorFlow 2; `torchest.v1` has those of TensorFlow 1.

    Args:
        model_dir: As for `DNNLinearCombinedEstimator`; so are all other arguments but these:
        label_dimension: As for `LinearRegressor`; so are `weight_column` and `loss_reduction`.

    >>> from torchest import DNNLinearCombinedRegressor, columns
    >>> x = columns.numeric_column("x")
    >>> model = DNNLinearCombinedRegressor(
    ...     linear_feature_columns=[x], dnn_feature_columns=[x], dnn_hidden_units=[8]
    ... )
    >>> model = model.train(lambda: ({"x": [1.0]}, [2.0]), steps=2)
    >>> next(model.predict(lambda: {"x": [1.0]}))["predictions"].shape
    (1,)
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
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
        config: RunConfig | None = None,
        warm_start_from: WarmStartFrom = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
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
            config,
            batch_norm,
            linear_sparse_combiner,
            warm_start_from,
        )
