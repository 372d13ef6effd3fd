"""The dense column of id counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.columns import checks
from torchest.columns.base import CategoricalColumn, ColumnOverIds, DenseColumn, FeatureColumn
from torchest.columns.bucketized import BucketizedColumn
from torchest.columns.ids import Ids, PaddedIds

if TYPE_CHECKING:
    from torchest.columns.features import Features


@dataclass(frozen=True, eq=False)
class IndicatorColumn(ColumnOverIds, DenseColumn):
    """The count of each id in a row; made by `indicator_column`."""

    categorical_column: CategoricalColumn

    @property
    def name(self) -> str:
        """The name of the categorical column with the suffix `_indicator`."""
        return f"{self.categorical_column.name}_indicator"

    @property
    def width(self) -> int:
        """The number of ids."""
        return self.categorical_column.num_buckets

    def encode(self, features: Features) -> Tensor:
        """The counts of a batch, or sums of weights, float32 [batch, num_buckets].

        Raises:
            ValueError: The categorical column is one of sequences.
        """
        if self.is_sequence:
            raise ValueError(
                f"{self.subject} is a sequence column: give it to SequenceFeatures, or make it of a categorical "
                "column that is not a sequence column."
            )
        ids: Ids | PaddedIds = features.on_host(self.categorical_column)
        return multi_hot(ids, self.width)


def indicator_column(categorical_column: CategoricalColumn) -> IndicatorColumn:
    """A multi-hot column: 1 for each id in the row, 0 elsewhere.

    An id that occurs several times in a row is counted; the weights of a weighted column are summed.

    Args:
        categorical_column: The column of the ids.

    Raises:
        ValueError: It is not a categorical column.

    >>> from torchest.columns.categorical import categorical_column_with_identity
    >>> indicator_column(categorical_column_with_identity("hour", 24)).width
    24
    """
    return IndicatorColumn(checks.categorical(categorical_column, "categorical_column"))


def as_dense(column: FeatureColumn) -> FeatureColumn:
    """Wraps a bucketized column in an indicator, and returns other columns unchanged."""
    return IndicatorColumn(column) if isinstance(column, BucketizedColumn) else column


def multi_hot(ids: Ids | PaddedIds, width: int) -> Tensor:
    """The count of each id in each row, or the sum of its weights: float32 [batch, width].

    Args:
        ids: Ids below `width`. −1 counts for nothing.
        width: The number of places.
    """
    if isinstance(ids, Ids) and ids.offsets is None:
        ids = ids.padded()
    if isinstance(ids, PaddedIds):
        there = (ids.values >= 0).to(torch.float32)
        counted = there if ids.weights is None else there * ids.weights
        counts = counted.new_zeros(ids.values.shape[0], width)
        return counts.scatter_add(1, ids.values.clamp_min(0), counted)
    values, rows = ids.values, ids.row_of_each()
    weights = torch.ones_like(values, dtype=torch.float32) if ids.weights is None else ids.weights
    weights = weights.masked_fill(values < 0, 0)
    places = rows * width + values.clamp_min(0)
    counts = weights.new_zeros(ids.batch_size * width).index_add(0, places, weights)
    return counts.reshape(ids.batch_size, width)
