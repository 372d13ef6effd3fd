"""`describe`: what columns make of a dataset: missing and unknown values, distinct ones, collisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from torchest.columns.base import CategoricalColumn, DenseColumn, FeatureColumn
from torchest.columns.bucketized import BucketizedColumn
from torchest.columns.categorical import (
    HashedCategoricalColumn,
    IdentityCategoricalColumn,
    VocabularyListCategoricalColumn,
)
from torchest.columns.checks import column_list
from torchest.columns.crossed import CrossedColumn
from torchest.columns.encode import values
from torchest.columns.encode.cells import MISSING, Cells, Int64s
from torchest.columns.features import Features
from torchest.columns.numeric import NumericColumn
from torchest.columns.report.distinct import SPACE, Distinct, bucket_size, spread
from torchest.columns.sequence import SequenceNumericColumn
from torchest.columns.vocabulary_file import VocabularyFileCategoricalColumn
from torchest.errors import suggest
from torchest.inputs.source import batches, is_endless, may_be_batches
from torchest.utils import arrays, checks

if TYPE_CHECKING:
    from collections.abc import Iterable

# A key for each value of a batch, MISSING for a missing one, and how many values are unknown.
_Reader: TypeAlias = Callable[[Features], tuple[Cells[Int64s], int]]


@dataclasses.dataclass(frozen=True)
class ColumnDescription:
    """What a column makes of a dataset.

    Attributes:
        name: The column's name.
        rows: The number of rows of the dataset.
        missing: The number of rows without a value.
        values: The number of values of all rows.
        unknown: The number of values that are not in the vocabulary or range; None for a column
            without one.
        distinct: The number of distinct values, of buckets that are used by a bucketized column.
        exact: Whether `distinct` and `collisions` are counted; beyond a million they are estimated.
        num_buckets: The number of ids; None for a column of numbers.
        collisions: The number of distinct values that share their hash bucket with another; None for
            a column that does not hash.
        suggested_bucket_size: The number of hash buckets in which few enough values would collide;
            None for a column that does not hash.
    """

    name: str
    rows: int
    missing: int
    values: int
    unknown: int | None
    distinct: int
    exact: bool
    num_buckets: int | None
    collisions: int | None
    suggested_bucket_size: int | None

    @property
    def coverage(self) -> float:
        """The share of rows with a value."""
        return 1 - self.missing / self.rows

    @property
    def out_of_vocabulary_rate(self) -> float | None:
        """The share of values that are unknown; None for a column without a vocabulary or range."""
        if self.unknown is None:
            return None
        return self.unknown / self.values if self.values else 0.0


@dataclasses.dataclass(frozen=True)
class Description:
    """The descriptions of columns by their names; printed, an aligned table."""

    columns: tuple[ColumnDescription, ...]

    def __getitem__(self, name: str) -> ColumnDescription:
        for column in self.columns:
            if column.name == name:
                return column
        names = [column.name for column in self.columns]
        raise KeyError(f"There is no column {name!r}.{suggest(name, names)}")

    def __iter__(self) -> Iterator[ColumnDescription]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __str__(self) -> str:
        cells = [_TITLES, *map(_shown, self.columns)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(
                [row[0].ljust(widths[0])]
                + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            )
            for row in cells
        )


def describe(
    columns: FeatureColumn | Iterable[FeatureColumn], dataset: Any, collision_share: float = 0.1
) -> Description:
    """What columns make of a dataset, to find those that are mostly empty, unknown or too narrow.

    The dataset is read once. Of the distinct values only fingerprints are kept, a million at most for
    each column.

    Args:
        columns: The columns. An embedding or an indicator is described by its categorical column.
        dataset: What an input_fn may return: a `Dataset`, an iterable of batches, or one batch, such as
            a dict of arrays or a DataFrame. Labels are not looked at.
        collision_share: For the suggested bucket sizes: the share of distinct values that may be expected
            to share their bucket with another.

    Raises:
        TypeError: It is not a dataset.
        ValueError: Something is not a column, the dataset has no end or no rows, or collision_share is not
            between 0 and 1.

    >>> from torchest.columns.categorical import categorical_column_with_vocabulary_list
    >>> town = categorical_column_with_vocabulary_list("town", ["Oslo", "Rome"])
    >>> print(describe([town], {"town": ["Rome", "Lima", None, "Rome"]}))
    column  coverage  missing  out of vocabulary  distinct  buckets  collisions  suggested size
    town       75.0%        1              33.3%         2        2           –               –
    """
    if not checks.is_number(collision_share) or not 0 < collision_share < 1:
        raise ValueError(
            f"collision_share is {checks.shown(collision_share)}: give a share between 0 and 1, such as 0.1."
        )
    if columns is None:
        raise ValueError("columns=None must be a list of columns.")
    listed = column_list(columns, "columns")
    if not may_be_batches(dataset):
        raise TypeError(
            f"dataset={checks.shown(dataset)} must be a Dataset, an iterable of batches, or one batch, such as a "
            "dict of arrays or a DataFrame."
        )
    counts = [_Count(column) for column in listed]
    for features in _batches(dataset):
        batch = Features.of(features)
        for count in counts:
            count.add(batch)
    return Description(tuple(count.result(collision_share) for count in counts))


class _Count:
    """What one column made of the batches so far."""

    def __init__(self, column: FeatureColumn) -> None:
        self._name = column.name
        self._column = inner = _inner(column)
        self._hashes = isinstance(inner, HashedCategoricalColumn | CrossedColumn)
        self._has_unknown = isinstance(inner, CategoricalColumn) and not (
            self._hashes or isinstance(inner, BucketizedColumn)
        )
        self._read = _reader(inner)
        self._distinct = Distinct(_space(inner) if self._hashes else SPACE)
        self._rows = self._covered = self._values = self._unknown = 0

    def add(self, features: Features) -> None:
        cells, unknown = self._read(features)
        there = cells.values != MISSING
        before = np.concatenate([[0], np.cumsum(there)])
        starts = cells.with_offsets()[1]
        self._rows += len(starts) - 1
        self._covered += int((np.diff(before[starts]) > 0).sum())
        self._values += int(before[-1])
        self._unknown += unknown
        self._distinct.add(cells.values[there])

    def result(self, collision_share: float) -> ColumnDescription:
        if not self._rows:
            raise ValueError("The dataset has no rows, so that there is nothing to describe.")
        column = self._column
        size = column.num_buckets if isinstance(column, CategoricalColumn) else None
        distinct = self._distinct.count()
        return ColumnDescription(
            name=self._name,
            rows=self._rows,
            missing=self._rows - self._covered,
            values=self._values,
            unknown=self._unknown if self._has_unknown else None,
            distinct=distinct,
            exact=self._distinct.exact,
            num_buckets=size,
            collisions=self._distinct.collisions(size) if self._hashes and size else None,
            suggested_bucket_size=bucket_size(distinct, collision_share) if self._hashes else None,
        )


def _batches(dataset: Any) -> Iterator[Any]:
    if is_endless(dataset):
        raise ValueError(
            "The dataset has no end: make it with num_epochs=1, or give dataset.take(number of batches)."
        )
    for features, _ in batches(dataset):
        yield features


def _inner(column: FeatureColumn) -> FeatureColumn:
    """The column whose values an embedding, an indicator, a sequence or weights are about."""
    while isinstance(inner := getattr(column, "categorical_column", None), FeatureColumn):
        column = inner
    return column


def _reader(column: FeatureColumn) -> _Reader:
    if isinstance(column, NumericColumn | SequenceNumericColumn):
        return _numbers(column)
    if isinstance(column, BucketizedColumn):
        return _buckets(column)
    if isinstance(column, HashedCategoricalColumn | CrossedColumn):
        return _hashes(column)
    if isinstance(column, VocabularyListCategoricalColumn | VocabularyFileCategoricalColumn):
        return _words(column)
    if isinstance(column, IdentityCategoricalColumn):
        return _identity(column)
    if isinstance(column, CategoricalColumn):
        return _ids(column)
    assert isinstance(column, DenseColumn)
    return _dense(column)


def _numbers(column: NumericColumn | SequenceNumericColumn) -> _Reader:
    return lambda features: (_cells_of_numbers(column, features).map(_keys_of_numbers), 0)


def _cells_of_numbers(
    column: NumericColumn | SequenceNumericColumn, features: Features
) -> Cells[Any]:
    cells = values.cells(features, column.key, column.subject, numeric=True)
    return cells.map(lambda given: arrays.to_tensor(given, column.key).double().numpy())


def _keys_of_numbers(numbers: Any) -> Int64s:
    return np.where(np.isnan(numbers), MISSING, spread(numbers))


def _buckets(column: BucketizedColumn) -> _Reader:
    source = column.source_column
    filled = dataclasses.replace(
        column, source_column=dataclasses.replace(source, default_value=_zeros(source.shape))
    )

    def read(features: Features) -> tuple[Cells[Int64s], int]:
        numbers = _cells_of_numbers(source, features)
        keys = filled.look_up(features).map(spread)
        return keys.map(lambda given: np.where(np.isnan(numbers.values), MISSING, given)), 0

    return read


def _zeros(shape: tuple[int, ...]) -> Any:
    return 0 if not shape else (_zeros(shape[1:]),) * shape[0]


def _space(column: Any) -> int:
    """The greatest multiple of the column's buckets that int64 can hold."""
    size: int = column.hash_bucket_size
    return (SPACE - 1) // size * size


def _hashes(column: HashedCategoricalColumn | CrossedColumn) -> _Reader:
    # With a multiple of its buckets, a value's id modulo the buckets is what it was before.
    wide = dataclasses.replace(column, hash_bucket_size=_space(column))
    return lambda features: (wide.look_up(features), 0)


def _words(column: VocabularyListCategoricalColumn | VocabularyFileCategoricalColumn) -> _Reader:
    hashed = HashedCategoricalColumn(column.key, SPACE - 1, column.dtype)
    strict = dataclasses.replace(column, default_value=-1, num_oov_buckets=0)

    def read(features: Features) -> tuple[Cells[Int64s], int]:
        ids = strict.look_up(features).values
        return hashed.look_up(features), int((ids == -1).sum())

    return read


def _identity(column: IdentityCategoricalColumn) -> _Reader:
    def read(features: Features) -> tuple[Cells[Int64s], int]:
        given = values.cells(features, column.key, column.subject)
        ids = given.map(lambda array: values.integers(array, column.subject))
        missing = ids.values == -1
        wrong = ((ids.values < 0) | (ids.values >= column.number_buckets)) & ~missing
        return ids.map(lambda keys: np.where(missing, MISSING, spread(keys))), int(wrong.sum())

    return read


def _ids(column: CategoricalColumn) -> _Reader:
    """Of a column of the user's own: its ids."""

    def read(features: Features) -> tuple[Cells[Int64s], int]:
        cells = column.look_up(features)
        missing = cells.values == MISSING
        keys = cells.map(lambda ids: np.where(missing, MISSING, spread(ids)))
        return keys, int((cells.values == -1).sum())

    return read


def _dense(column: DenseColumn) -> _Reader:
    """Of a column of the user's own: its numbers."""

    def read(features: Features) -> tuple[Cells[Int64s], int]:
        numbers = column.encode(features).detach().cpu().double().numpy()
        rows, width = numbers.shape
        return Cells(_keys_of_numbers(numbers.reshape(-1)), np.arange(rows + 1) * width), 0

    return read


_TITLES = [
    "column", "coverage", "missing", "out of vocabulary", "distinct", "buckets", "collisions", "suggested size",
]  # fmt: skip


def _shown(column: ColumnDescription) -> list[str]:
    about = "" if column.exact else "~"
    unknown = column.out_of_vocabulary_rate
    return [
        column.name,
        f"{column.coverage:.1%}",
        f"{column.missing:,}",
        "–" if unknown is None else f"{unknown:.1%}",
        f"{about}{column.distinct:,}",
        _number(column.num_buckets),
        "–" if column.collisions is None else f"{about}{column.collisions:,}",
        _number(column.suggested_bucket_size),
    ]


def _number(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"
