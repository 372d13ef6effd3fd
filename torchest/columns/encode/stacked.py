"""Stacks of columns that are encoded at once, so that a model reads all of them in one operation.

Layers make them from their columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from torchest.columns.base import CategoricalColumn, DenseColumn, FeatureColumn
from torchest.columns.encode.batch import ColumnRows, NumberEncoder, RowEncoder, single_numbers
from torchest.optimizers.row_gradients import RowOrder
from torchest.utils.tensor_group import TensorGroup

if TYPE_CHECKING:
    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.features import Features
    from torchest.columns.ids import Ids


@dataclass(frozen=True, eq=False)
class StackedIds(TensorGroup):
    """Rows of one table that a batch uses, column by column.

    Attributes:
        rows: The row of each id, int64 [batch, n]; that of the column's id 0 if an example has no id.
        present: Whether an example has an id, bool [batch, n]; None if all do.
        places: The positions of the n columns: those without weights and with at most one id per example.
    """

    rows: Tensor
    present: Tensor | None
    places: tuple[int, ...]

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.rows.device


class _Stacked(FeatureColumn):
    """Base of encodings of several columns."""

    is_stacked = True
    columns: tuple[FeatureColumn, ...]

    @property
    def name(self) -> str:
        """The names of the columns."""
        return " ".join(column.name for column in self.columns)

    @property
    def members(self) -> tuple[FeatureColumn, ...]:
        """The columns."""
        return self.columns

    @cached_property
    def feature_keys(self) -> tuple[str, ...]:
        """The keys of all columns."""
        return tuple(dict.fromkeys(key for column in self.columns for key in column.feature_keys))


@dataclass(frozen=True, eq=False)
class StackedColumn(_Stacked):
    """Categorical columns whose ids are rows of one table.

    Attributes:
        columns: The columns.
        starts: The first row of each column in the table.
    """

    columns: tuple[CategoricalColumn, ...]
    starts: tuple[int, ...]

    def encode(self, features: Features) -> StackedIds:
        """The rows of a batch, on the host."""
        parts = self._rows_of_columns(features)
        if not parts:
            return StackedIds(torch.empty(0, 0, dtype=torch.int64), None, ())
        if len(parts) == 1:
            ((places, rows, _),) = parts
        else:
            places = tuple(place for those, _, _ in parts for place in those)
            order = np.argsort(places)
            places = tuple(places[number] for number in order)
            rows = np.concatenate([each.rows for each in parts], 1)[:, order]
        present = None
        if False in [each.all_present for each in parts]:
            present = torch.from_numpy(rows >= 0)
            rows = np.where(rows >= 0, rows, self._firsts[list(places)])
        return StackedIds(torch.from_numpy(rows), present, places)

    def _rows_of_columns(self, features: Features) -> list[ColumnRows]:
        """The rows of the columns that have at most one id per example."""
        encoded = self._encoder.rows(features)
        if encoded is not None and encoded.numbers == self._all:
            return [encoded]
        parts = [] if encoded is None else [encoded]
        done = () if encoded is None else encoded.numbers
        rest = [place for place in self._all if place not in done]
        features.expect(self.columns[place] for place in rest)
        for place in rest:
            ids: Ids = features.on_host(self.columns[place])
            if ids.offsets is None and ids.weights is None:
                values = ids.values.numpy()[:, None]
                rows = np.where(values >= 0, values + self.starts[place], -1)
                parts.append(ColumnRows((place,), rows, bool(values.min(initial=0) >= 0)))
        return parts

    @cached_property
    def _encoder(self) -> RowEncoder:
        return RowEncoder(self.columns, self._firsts)

    @cached_property
    def _all(self) -> tuple[int, ...]:
        return tuple(range(len(self.columns)))

    @cached_property
    def _firsts(self) -> Int64s:
        return np.array(self.starts)


@dataclass(frozen=True, eq=False)
class RowOrderColumn(_Stacked):
    """The order in which a stacked column's gradients are summed by row.

    Attributes:
        stacked: The stacked column.
        table_rows: The number of rows of the table.
    """

    stacked: StackedColumn
    table_rows: int

    @property
    def columns(self) -> tuple[FeatureColumn, ...]:  # type: ignore[override]
        """The columns of the stacked column."""
        return self.stacked.columns

    def encode(self, features: Features) -> RowOrder:
        """The order for a batch, on the host."""
        ids: StackedIds = features.on_host(self.stacked)
        return RowOrder.of(ids.rows.reshape(-1), self.table_rows)


@dataclass(frozen=True, eq=False)
class StackedDenseColumn(_Stacked):
    """Dense columns side by side.

    Attributes:
        columns: The columns.
    """

    columns: tuple[DenseColumn, ...]

    def encode(self, features: Features) -> Tensor:
        """The numbers of a batch, float32 [batch, width of all]."""
        if self._encoder is not None:
            numbers = self._encoder.matrix(features)
            if numbers is not None:
                return torch.from_numpy(numbers)
        return torch.cat([features.on_host(column) for column in self.columns], 1)

    @cached_property
    def _encoder(self) -> NumberEncoder | None:
        numbers = single_numbers(self.columns)
        return None if numbers is None else NumberEncoder(numbers)
