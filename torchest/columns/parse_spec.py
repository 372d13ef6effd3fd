"""`make_parse_example_spec`: how the features that columns read are stored in serialized examples.

>>> from torchest.columns.numeric import numeric_column
>>> make_parse_example_spec([numeric_column("age")])
{'age': FixedLenFeature(shape=(1,), dtype=torch.float32, default_value=None)}
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

import torch

from torchest.columns import checks
from torchest.columns.base import FeatureColumn
from torchest.columns.bucketized import BucketizedColumn
from torchest.columns.categorical import (
    HashedCategoricalColumn,
    IdentityCategoricalColumn,
    VocabularyListCategoricalColumn,
)
from torchest.columns.crossed import CrossedColumn
from torchest.columns.embedding import EmbeddingColumn, SharedEmbeddingColumn
from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature
from torchest.columns.indicator import IndicatorColumn
from torchest.columns.numeric import NumericColumn
from torchest.columns.sequence import SequenceCategoricalColumn, SequenceNumericColumn
from torchest.columns.vocabulary_file import VocabularyFileCategoricalColumn
from torchest.columns.weighted import WeightedCategoricalColumn
from torchest.utils.checks import is_list

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torchest.columns.feature_specs import FeatureSpec


def make_parse_example_spec(feature_columns: Iterable[FeatureColumn]) -> dict[str, FeatureSpec]:
    """How to parse the features that columns read.

    Numeric columns read features of their shape, dtype and default; all others read any number of
    values. A key of a crossed column that is no column itself is text.

    Args:
        feature_columns: The columns of a model, such as an estimator's.

    Returns:
        A `FixedLenFeature` or `VarLenFeature` for each feature, by key; for
        `torchest.inputs.parse_example`.

    Raises:
        ValueError: Something is no column, or two columns read one feature in different ways.
    """
    if isinstance(feature_columns, FeatureColumn) or not is_list(feature_columns):
        raise ValueError(
            f"feature_columns is {checks.shown(feature_columns)}: give a list of feature columns."
        )
    specs: dict[str, FeatureSpec] = {}
    for column in feature_columns:
        _add(specs, _specs_of(column), column.name)
    return specs


def _add(specs: dict[str, FeatureSpec], more: dict[str, FeatureSpec], column: str) -> None:
    for key, spec in more.items():
        if specs.setdefault(key, spec) != spec:
            raise ValueError(
                f"Column {column!r} reads the feature {key!r} as {spec}, and another column reads it as "
                f"{specs[key]}: write it under two keys, or let the columns agree."
            )


@singledispatch
def _specs_of(column: Any) -> dict[str, FeatureSpec]:
    """How each feature of a column is stored, by key."""
    raise ValueError(f"feature_columns has {checks.shown(column)}: give feature columns only.")


@_specs_of.register(NumericColumn)
def _(column: NumericColumn) -> dict[str, FeatureSpec]:
    return {column.key: FixedLenFeature(column.shape, column.dtype, column.default_value)}


@_specs_of.register(BucketizedColumn)
def _(column: BucketizedColumn) -> dict[str, FeatureSpec]:
    return _specs_of(column.source_column)


@_specs_of.register(IdentityCategoricalColumn)
def _(column: IdentityCategoricalColumn) -> dict[str, FeatureSpec]:
    return {column.key: VarLenFeature(torch.int64)}


@_specs_of.register(HashedCategoricalColumn)
@_specs_of.register(VocabularyListCategoricalColumn)
@_specs_of.register(VocabularyFileCategoricalColumn)
@_specs_of.register(SequenceNumericColumn)
def _(
    column: HashedCategoricalColumn
    | VocabularyListCategoricalColumn
    | VocabularyFileCategoricalColumn
    | SequenceNumericColumn,
) -> dict[str, FeatureSpec]:
    return {column.key: VarLenFeature(column.dtype)}


@_specs_of.register(SequenceCategoricalColumn)
@_specs_of.register(IndicatorColumn)
@_specs_of.register(EmbeddingColumn)
@_specs_of.register(SharedEmbeddingColumn)
def _(
    column: SequenceCategoricalColumn | IndicatorColumn | EmbeddingColumn | SharedEmbeddingColumn,
) -> dict[str, FeatureSpec]:
    return _specs_of(column.categorical_column)


@_specs_of.register(WeightedCategoricalColumn)
def _(column: WeightedCategoricalColumn) -> dict[str, FeatureSpec]:
    specs = dict(_specs_of(column.categorical_column))
    _add(specs, {column.weight_feature_key: VarLenFeature(column.dtype)}, column.name)
    return specs


@_specs_of.register(CrossedColumn)
def _(column: CrossedColumn) -> dict[str, FeatureSpec]:
    specs: dict[str, FeatureSpec] = {}
    for key in column.keys:
        _add(
            specs,
            {key: VarLenFeature(str)} if isinstance(key, str) else _specs_of(key),
            column.name,
        )
    return specs
