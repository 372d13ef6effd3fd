"""Columns that are encoded together, so that a model takes them all in one operation.

They are no columns of the user: layers make them of those that they were given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest.columns.base import CategoricalColumn, DenseColumn, FeatureColumn
from torchest.columns.encode.batch import (
    Together,
    are_single_numbers,
    hashed_alone,
    hashed_together,
    numbers_together,
)
from torchest.optimizers.row_gradients import RowOrder
from torchest.utils.tensor_group import TensorGroup

if TYPE_CHECKING:
    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.features import Features
    from torchest.columns.ids import Ids


@dataclass(frozen=True, eq=False)
class JointIds(TensorGroup):
    """Rows of one table that a batch uses, column by column.

    Attributes:
        rows: int64 [batch, n]. Where an example has no id, the row of the column's id 0.
        there: bool [batch, n], where it has one; None if every example has all.
        places: Which n of the columns these are: those with at most one id for each example, and
            without weights.
    """

    rows: Tensor
    there: Tensor | None
    places: tuple[int, ...]


class _Joint(FeatureColumn):
    """What is encoded from several columns."""

    columns: tuple[FeatureColumn, ...]

    @property
    def name(self) -> str:
        """The names of the columns."""
        return " ".join(column.name for column in self.columns)

    @property
    def members(self) -> tuple[FeatureColumn, ...]:
        """The columns."""
        return self.columns

    @property
    def feature_keys(self) -> tuple[str, ...]:
        """Those of all columns."""
        return self._feature_keys

    @cached_property
    def _feature_keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for column in self.columns for key in column.feature_keys))


@dataclass(frozen=True, eq=False)
class JointColumn(_Joint):
    """Categorical columns whose ids are rows of one table.

    Attributes:
        columns: The columns.
        starts: The row of the table at which the ids of each begin.
    """

    columns: tuple[CategoricalColumn, ...]
    starts: tuple[int, ...]

    def encode(self, features: Features) -> JointIds:
        """The rows of a batch, on the host."""
        found = self._found(features)
        if not found:
            return JointIds(torch.empty(0, 0, dtype=torch.int64), None, ())
        places = tuple(place for those, _, _ in found for place in those)
        rows = found[0].rows
        if len(found) > 1:
            order = np.argsort(places)
            places = tuple(places[number] for number in order)
            rows = np.concatenate([each.rows for each in found], 1)[:, order]
        there = None
        if not all(each.are_there for each in found):
            there = torch.from_numpy(rows >= 0)
            rows = np.where(rows >= 0, rows, self._firsts[list(places)])
        return JointIds(torch.from_numpy(rows), there, places)

    def _found(self, features: Features) -> list[Together]:
        """The columns with at most one id for each example, by their places here."""
        hashed = self._hashed
        columns: list[Any] = [self.columns[place] for place in hashed]
        together = hashed_together(columns, self._firsts[hashed], features)
        found = [
            each._replace(numbers=[hashed[number] for number in each.numbers]) for each in together
        ]
        done = {place for each in found for place in each.numbers}
        rest = [place for place in range(len(self.columns)) if place not in done]
        features.expect(self.columns[place] for place in rest)
        for place in rest:
            ids: Ids = features.on_host(self.columns[place])
            if ids.offsets is None and ids.weights is None:
                values = ids.values.numpy()[:, None]
                rows = np.where(values >= 0, values + self.starts[place], -1)
                found.append(Together([place], rows, bool(values.min(initial=0) >= 0)))
        return found

    @cached_property
    def _hashed(self) -> list[int]:
        return hashed_alone(self.columns)

    @cached_property
    def _firsts(self) -> Int64s:
        return np.array(self.starts)


@dataclass(frozen=True, eq=False)
class RowOrderColumn(_Joint):
    """The order in which a joint column's gradients are summed by row.

    Attributes:
        joint: The joint column.
        table_rows: How many rows the table has.
    """

    joint: JointColumn
    table_rows: int

    @property
    def columns(self) -> tuple[FeatureColumn, ...]:  # type: ignore[override]
        """Those of the joint column."""
        return self.joint.columns

    def encode(self, features: Features) -> RowOrder:
        """The order for a batch, on the host."""
        ids: JointIds = features.on_host(self.joint)
        return RowOrder.of(ids.rows.reshape(-1), self.table_rows)


@dataclass(frozen=True, eq=False)
class JointDenseColumn(_Joint):
    """Dense columns side by side.

    Attributes:
        columns: The columns.
    """

    columns: tuple[DenseColumn, ...]

    def encode(self, features: Features) -> Tensor:
        """The numbers of a batch, float32 [batch, width of all]."""
        if self._are_single_numbers:
            numeric: Any = self.columns
            together = numbers_together(numeric, features)
            if together is not None:
                return torch.from_numpy(together)
        return torch.cat([features.on_host(column) for column in self.columns], 1)

    @cached_property
    def _are_single_numbers(self) -> bool:
        return are_single_numbers(self.columns)
