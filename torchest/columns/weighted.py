"""The categorical column whose ids have weights, which are another feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.columns import checks
from torchest.columns.base import CategoricalColumn
from torchest.columns.encode import values
from torchest.utils import arrays

if TYPE_CHECKING:
    import numpy.typing as npt

    from torchest.columns.encode.cells import Cells
    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.features import Features
    from torchest.columns.ids import Ids


@dataclass(frozen=True, eq=False)
class WeightedCategoricalColumn(CategoricalColumn):
    """Ids with weights; made by `weighted_categorical_column`."""

    categorical_column: CategoricalColumn
    weight_feature_key: str
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """The names of the ids and of the weights."""
        return f"{self.categorical_column.name}_weighted_by_{self.weight_feature_key}"

    @property
    def feature_keys(self) -> tuple[str, ...]:
        """The keys of the ids and of the weights."""
        return (*self.categorical_column.feature_keys, self.weight_feature_key)

    @property
    def num_buckets(self) -> int:
        """That of the column of ids."""
        return self.categorical_column.num_buckets

    def look_up(self, features: Features) -> Cells[Int64s]:
        """The ids."""
        return self.categorical_column.look_up(features)

    def encode(self, features: Features) -> Ids:
        """The ids of a batch with their weights.

        Raises:
            ValueError: A row has not as many weights as ids, or an id has none.
        """
        cells = self.look_up(features)
        weights = self._weights(features, cells)
        unknown = np.isnan(weights)
        if unknown.any():
            without = np.flatnonzero(unknown & (cells.values >= 0))
            if without.size:
                raise ValueError(
                    f"{self.subject}: feature {self.weight_feature_key!r} has no weight (NaN or null) for "
                    f"{without.size} of the ids of a batch: fill them in, for example with 1."
                )
            weights = np.where(unknown, np.float32(0), weights)
        return cells.ids(weights)

    def _weights(self, features: Features, cells: Cells[Int64s]) -> npt.NDArray[np.float32]:
        """One weight for each value, in the same order."""
        weights = values.cells(features, self.weight_feature_key, self.subject, numeric=True)
        same_rows = len(weights.values) == len(cells.values) and np.array_equal(
            weights.with_offsets()[1], cells.with_offsets()[1]
        )
        if not same_rows:
            raise ValueError(
                f"{self.subject}: feature {self.weight_feature_key!r} must have one weight for each value of "
                f"{self.categorical_column.name!r}, row by row, but has {len(weights.values)} weights for "
                f"{len(cells.values)} values{self._first_difference(weights, cells)}."
            )
        numbers = arrays.to_tensor(weights.values, self.weight_feature_key)
        return numbers.to(torch.float32).numpy()

    def _first_difference(self, weights: Cells[Any], cells: Cells[Int64s]) -> str:
        given, wanted = (np.diff(part.with_offsets()[1]) for part in (weights, cells))
        if len(given) != len(wanted):
            return ""
        row = int(np.flatnonzero(given != wanted)[0])
        return f"; row {row} has {given[row]} and {wanted[row]}"


def weighted_categorical_column(
    categorical_column: CategoricalColumn, weight_feature_key: str, dtype: Any = torch.float32
) -> WeightedCategoricalColumn:
    """A categorical column whose values have weights: how often a word occurs, for example.

    An indicator has the weights in its places, an embedding or a linear model multiplies with them.

    Args:
        categorical_column: The column of the values.
        weight_feature_key: The key of the weights: numbers, as many in each row as values, in the same
            form (lists, or a matrix; weights beside the padding do not matter).
        dtype: The dtype of the weights in serialized examples.

    Raises:
        ValueError: An argument is wrong.
    """
    checks.categorical(categorical_column, "categorical_column")
    if isinstance(categorical_column, WeightedCategoricalColumn):
        raise ValueError(
            f"categorical_column is {categorical_column.name!r}, which has weights already: give the column "
            "without them."
        )
    checks.key(weight_feature_key, "weight_feature_key")
    name = f"{categorical_column.name}_weighted_by_{weight_feature_key}"
    return WeightedCategoricalColumn(
        categorical_column, weight_feature_key, checks.number_dtype(dtype, name)
    )
