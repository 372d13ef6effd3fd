"""Public names of torchest.columns."""

from __future__ import annotations

from torchest.columns.base import CategoricalColumn, DenseColumn, FeatureColumn
from torchest.columns.categorical import (
    categorical_column_with_hash_bucket,
    categorical_column_with_vocabulary_list,
)
from torchest.columns.features import Features
from torchest.columns.ids import Ids
from torchest.columns.layers import LinearFeatures
from torchest.columns.numeric import numeric_column

__all__ = [
    "CategoricalColumn",
    "DenseColumn",
    "FeatureColumn",
    "Features",
    "Ids",
    "LinearFeatures",
    "categorical_column_with_hash_bucket",
    "categorical_column_with_vocabulary_list",
    "numeric_column",
]
