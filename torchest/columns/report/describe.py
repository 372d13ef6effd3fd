"""`describe`: missing, unknown and distinct values of columns, and hash collisions."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from torchest.columns.base import CategoricalColumn
from torchest.columns.checks import column_list
from torchest.columns.encode.cells import MISSING
from torchest.columns.encode.fingerprint import KEY_SPACE, widened
from torchest.columns.features import Features
from torchest.columns.report.distinct import Distinct, bucket_size
from torchest.errors import suggest
from torchest.inputs.source import batches, is_endless, may_be_batches
from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torchest.columns.base import FeatureColumn


@dataclasses.dataclass(frozen=True)
class ColumnDescription:
    """Statistics of a column over a dataset.

    Attributes:
        name: The column's name.
        rows: The number of rows of the dataset.
        missing: The number of rows without a value.
        values: The number of values of all rows.
        unknown: The number of values that are not in the vocabulary or range; None for a column
            without one.
        distinct: The number of distinct values; for a bucketized column, of used buckets.
        exact: Whether `distinct` and `collisions` are exact; beyond a million they are estimates.
        num_buckets: The number of ids; None for a column of numbers.
        collisions: The number of distinct values that share their hash bucket with another; None for
            a column that does not hash.
        suggested_bucket_size: The number of hash buckets for the wanted fraction of collisions; None for a
            column that does not hash.
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
        """The fraction of rows with a value."""
        return 1 - self.missing / self.rows

    @property
    def out_of_vocabulary_rate(self) -> float | None:
        """The fraction of unknown values; None for a column without a vocabulary or range."""
        if self.unknown is None:
            return None
        return self.unknown / self.values if self.values else 0.0


@dataclasses.dataclass(frozen=True)
class Description:
    """Statistics of columns by name, which print as a table."""

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
    columns: FeatureColumn | Iterable[FeatureColumn], dataset: object, collision_share: float = 0.1
) -> Description:
    """Describes columns over a dataset, to find those with missing or unknown values or too few buckets.

    The dataset is read once. For each column it keeps the
    fingerprints of at most a million distinct values.

    Args:
        columns: The columns. An embedding or an indicator is described by its categorical column.
        dataset: What an input_fn may return: a `Dataset`, an iterable of batches, or one batch, such as
            a dict of arrays or a DataFrame. Labels are ignored.
        collision_share: The expected fraction of distinct values that share their bucket with another,
            for the suggested bucket sizes.

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
    """The statistics of one column over the batches so far."""

    def __init__(self, column: FeatureColumn) -> None:
        self._name = column.name
        while column.inner is not None:
            column = column.inner
        self._column = column
        ids = column if isinstance(column, CategoricalColumn) else None
        self._size = ids.num_buckets if ids else None
        self._buckets = self._size if ids and ids.hashes else None
        self._distinct = Distinct(widened(self._buckets) if self._buckets else KEY_SPACE)
        self._rows = self._covered = self._values = 0
        self._unknown: int | None = None

    def add(self, features: Features) -> None:
        cells = self._column.value_keys(features)
        unknown = self._column.count_unknown(features)
        there = cells.values != MISSING
        before = np.concatenate([[0], np.cumsum(there)])
        starts = cells.with_offsets()[1]
        self._rows += len(starts) - 1
        self._covered += int((np.diff(before[starts]) > 0).sum())
        self._values += int(before[-1])
        if unknown is not None:
            self._unknown = (self._unknown or 0) + unknown
        self._distinct.add(cells.values[there])

    def result(self, collision_share: float) -> ColumnDescription:
        if not self._rows:
            raise ValueError("The dataset has no rows, so that there is nothing to describe.")
        buckets = self._buckets
        distinct = self._distinct.count()
        return ColumnDescription(
            name=self._name,
            rows=self._rows,
            missing=self._rows - self._covered,
            values=self._values,
            unknown=self._unknown,
            distinct=distinct,
            exact=self._distinct.exact,
            num_buckets=self._size,
            collisions=self._distinct.collisions(buckets) if buckets else None,
            suggested_bucket_size=bucket_size(distinct, collision_share) if buckets else None,
        )


def _batches(dataset: object) -> Iterator[Mapping[str, object]]:
    if is_endless(dataset):
        raise ValueError(
            "The dataset has no end: make it with num_epochs=1, or give dataset.take(number of batches)."
        )
    for features, _ in batches(dataset):
        yield features


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
