"""What every feature column has: a name, the keys of its raw features, and an encoding of a batch."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from torchest.columns.encode.cells import Cells, Int64s
    from torchest.columns.features import Features
    from torchest.columns.ids import Ids
    from torchest.utils.tensor_group import Encoding


class FeatureColumn(ABC):
    """How raw features become a tensor, or ids.

    Columns are frozen dataclasses: two with equal fields are equal, and share their encoding of a
    batch. Lookup tables and caches hang on a column as attributes besides its fields; they count
    neither in comparisons nor in pickles.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The column's name: parameters, outputs and errors are called by it."""

    @property
    @abstractmethod
    def feature_keys(self) -> tuple[str, ...]:
        """The keys of the raw features that the column reads."""

    @abstractmethod
    def encode(self, features: Features) -> Encoding:
        """What models get of a batch."""

    @property
    def members(self) -> tuple[FeatureColumn, ...]:
        """The columns that are encoded with this one: itself."""
        return (self,)

    @property
    def subject(self) -> str:
        """What errors about the column begin with."""
        return f"Column {self.name!r}"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _fields(self) == _fields(other)

    def __hash__(self) -> int:
        # Kept: a vocabulary may have millions of words, and columns are keys of dictionaries.
        kept: int | None = self.__dict__.get("_hash")
        if kept is None:
            # A user's initializer or normalizer_fn need not be hashable.
            values = [value for value in _fields(self).values() if not callable(value)]
            kept = self.__dict__["_hash"] = hash((type(self), *values))
        return kept

    def __getstate__(self) -> dict[str, Any]:
        return _fields(self)


class DenseColumn(FeatureColumn):
    """A column whose encoding is a float32 tensor [batch, width]."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers a row has."""

    @abstractmethod
    def encode(self, features: Features) -> Tensor:
        """The numbers of a batch, float32 [batch, width]."""


class CategoricalColumn(FeatureColumn):
    """A column whose encoding is ids in [0, num_buckets)."""

    @property
    @abstractmethod
    def num_buckets(self) -> int:
        """How many ids there are."""

    @abstractmethod
    def look_up(self, features: Features) -> Cells[Int64s]:
        """The id of every value of a batch, −1 for an unknown and MISSING for a missing value."""

    def encode(self, features: Features) -> Ids:
        """The ids of a batch, without those of unknown and missing values."""
        return self.look_up(features).ids()


def _fields(column: FeatureColumn) -> dict[str, Any]:
    return {
        field.name: getattr(column, field.name)
        for field in dataclasses.fields(column)  # type: ignore[arg-type]
    }
