"""The values of a feature laid out flat, with the places where rows begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from torchest.columns.ids import Ids

if TYPE_CHECKING:
    from collections.abc import Callable


Values = TypeVar("Values")
Changed = TypeVar("Changed")
Int64s = npt.NDArray[np.int64]

# Stands in an array of ids for a value that is not there. An unknown value is −1, since a cross
# makes an id of that but not of a missing one.
MISSING = np.int64(np.iinfo(np.int64).min)


@dataclass(frozen=True, eq=False)
class Cells(Generic[Values]):
    """Values by row.

    Attributes:
        values: One-dimensional, of all rows one after the other.
        offsets: int64 [batch + 1]: row i has `values[offsets[i]:offsets[i + 1]]`. None if every
            row has exactly one.
    """

    values: Values
    offsets: Int64s | None = None

    def map(self, change: Callable[[Values], Changed]) -> Cells[Changed]:
        """Other values in the same rows."""
        return Cells(change(self.values), self.offsets)

    def without(self, dropped: npt.NDArray[np.bool_]) -> Cells[Any]:
        """Only the values that are not marked; always with offsets."""
        assert isinstance(self.values, np.ndarray)
        counts = np.concatenate([[0], np.cumsum(~dropped)])
        offsets = counts if self.offsets is None else counts[self.offsets]
        return Cells(self.values[~dropped], offsets)

    def ids(self: Cells[Int64s]) -> Ids:
        """The ids that are not negative."""
        if self.offsets is None:
            return Ids(torch.from_numpy(np.maximum(self.values, -1)))
        kept = self
        negative = self.values < 0
        if negative.any():
            kept = self.without(negative)
        return Ids(torch.from_numpy(kept.values), torch.from_numpy(kept.offsets))
