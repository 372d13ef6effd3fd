"""The values of a feature in a flat array, with the starts of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import numpy as np
import torch

from torchest.columns.ids import Ids

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from torch import Tensor

    from torchest.utils.arrays import NumpyArray


Values = TypeVar("Values")
Changed = TypeVar("Changed")
Array = TypeVar("Array", bound="NumpyArray")
Int64s: TypeAlias = "npt.NDArray[np.int64]"

# Stands in an array of ids for a value that is not there. An unknown value is −1, since a cross
# makes an id of that but not of a missing one.
MISSING = np.int64(np.iinfo(np.int64).min)


@dataclass(frozen=True, eq=False)
class Cells(Generic[Values]):
    """Values by row.

    Attributes:
        values: The values of all rows, concatenated, [number of values].
        offsets: int64 [batch + 1]: row i has `values[offsets[i]:offsets[i + 1]]`. None if every
            row has exactly one.
    """

    values: Values
    offsets: Int64s | None = None

    def map(self, change: Callable[[Values], Changed]) -> Cells[Changed]:
        """Other values in the same rows."""
        return Cells(change(self.values), self.offsets)

    def with_offsets(self) -> tuple[Values, Int64s]:
        """The values and the offsets, which are made if every row has exactly one value."""
        if self.offsets is not None:
            return self.values, self.offsets
        return self.values, np.arange(len(self.values) + 1)  # type: ignore[arg-type]

    def where(self: Cells[Array], kept: npt.NDArray[np.bool_]) -> Cells[Array]:
        """The values that a mask selects, always with offsets."""
        values, offsets = self.with_offsets()
        counts = np.concatenate([[0], np.cumsum(kept)])
        some: Any = values[kept]
        return Cells(some, counts[offsets])

    def ids(self: Cells[Int64s], weights: npt.NDArray[np.float32] | None = None) -> Ids:
        """The ids that are not negative, with the weight of each value.

        Args:
            weights: Weights in the shape of the values.
        """
        if self.offsets is None:
            return Ids(torch.from_numpy(np.maximum(self.values, -1)), None, _tensor(weights))
        kept = self.values >= 0
        if kept.all():
            return Ids(
                torch.from_numpy(self.values), torch.from_numpy(self.offsets), _tensor(weights)
            )
        ids = self.where(kept)
        weights = None if weights is None else weights[kept]
        return Ids(torch.from_numpy(ids.values), _tensor(ids.offsets), _tensor(weights))


def _tensor(array: NumpyArray | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)
