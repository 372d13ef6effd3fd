"""What flows through a pipeline: chunks of elements, with one interface and two kinds.

`Rows` is a block of rows of columns; `Elements` is a list of whole elements, e.g. of batches. Stages know
only what both have: length, slice, take, concatenate, elements, batch.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from torchest.inputs.structure import Layout, Struct, stack
from torchest.utils import arrays

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLOCK = 16384  # rows that are handed on at once: large enough for numpy, small enough for the cache


class Rows:
    """Rows of columns: the columns and which of their rows are meant, in which order.

    Slicing and taking touch the selection only; the columns are read once, by `gathered`. Chunks that come
    from one table share its columns, so that a shuffle of them moves row numbers alone.

    Args:
        columns: Host arrays of one length.
        layout: The structure that the columns make up.
        selection: Row numbers in the columns; a range where they follow each other.
    """

    def __init__(
        self,
        columns: tuple[arrays.HostArray, ...],
        layout: Layout,
        selection: range | np.ndarray[Any, Any],
    ) -> None:
        self._columns = columns
        self._layout = layout
        self._selection = selection

    @classmethod
    def of(cls, structure: Any) -> Rows:
        """All rows of a structure of columns.

        A column in a dict whose values are not understood is an error only where it is read.

        Raises:
            TypeError: A leaf is not a column.
            ValueError: The columns have different lengths, or there are none.
        """
        layout = Layout(structure)
        leaves = layout.leaves(structure)
        columns = tuple(
            arrays.to_column(leaf, name) if has_key else arrays.to_host(leaf, name)
            for leaf, name, has_key in zip(leaves, layout.names, layout.have_keys(), strict=True)
        )
        if not columns:
            raise ValueError("There are no features; give at least one column.")
        # By pairs, as two leaves of different dicts may have one name.
        for name, column in zip(layout.names[1:], columns[1:], strict=True):
            arrays.check_lengths({layout.names[0]: columns[0], name: column})
        return cls(columns, layout, range(arrays.length(columns[0])))

    def __len__(self) -> int:
        return len(self._selection)

    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self._layout.names)

    def slice(self, start: int, stop: int) -> Rows:
        """The elements start…stop − 1."""
        return Rows(self._columns, self._layout, self._selection[start:stop])

    def take(self, indices: np.ndarray[Any, Any]) -> Rows:
        """The elements at the indices."""
        chosen = self._selection
        picked = indices + chosen.start if isinstance(chosen, range) else chosen[indices]
        return Rows(self._columns, self._layout, picked)

    @staticmethod
    def concatenate(chunks: Sequence[Rows]) -> Rows:
        """The elements of all chunks, of which there is at least one."""
        first = chunks[0]
        if len(chunks) == 1:
            return first
        if all(chunk._columns is first._columns for chunk in chunks):
            return Rows(
                first._columns, first._layout, _joined([chunk._selection for chunk in chunks])
            )
        tables = [chunk._read() for chunk in chunks]
        columns = tuple(map(_joined_column, zip(*tables, strict=True), first._layout.have_keys()))
        return Rows(columns, first._layout, range(arrays.length(columns[0])))

    def gathered(self) -> Rows:
        """The same rows in columns of their own, which nobody else writes to or reads."""
        columns = tuple(
            _own(column) if isinstance(self._selection, range) else column
            for column in self._read()
        )
        return Rows(columns, self._layout, range(len(self)))

    def elements(self) -> Iterator[Any]:
        """Row by row, each as a structure of single values."""
        for cells in zip(*map(_cells, self._read()), strict=True):
            yield self._layout.rebuild(cells)

    def batch(self) -> Any:
        """The rows as one structure of columns, views where they follow each other."""
        return self._layout.rebuild(self._read())

    def unbatched(self) -> Iterator[Rows]:
        """The rows of the rows, for columns with more than one dimension."""
        yield Rows.of(
            self._layout.rebuild(
                [
                    _flattened(column, name)
                    for column, name in zip(self._read(), self._layout.names, strict=True)
                ]
            )
        )

    def _read(self) -> list[arrays.HostArray]:
        chosen = self._selection
        if isinstance(chosen, range):
            return [
                arrays.slice_rows(column, chosen.start, chosen.stop) for column in self._columns
            ]
        return [arrays.take(column, chosen) for column in self._columns]


class Elements:
    """Whole elements in a list: batches, or whatever a user's function made."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def slice(self, start: int, stop: int) -> Elements:
        """The elements start…stop − 1."""
        return Elements(self._items[start:stop])

    def take(self, indices: np.ndarray[Any, Any]) -> Elements:
        """The elements at the indices."""
        return Elements([self._items[index] for index in indices.tolist()])

    @staticmethod
    def concatenate(chunks: Sequence[Elements]) -> Elements:
        """The elements of all chunks, of which there is at least one."""
        return Elements([item for chunk in chunks for item in chunk._items])

    def gathered(self) -> Elements:
        """The same elements; they are apart already."""
        return self

    def elements(self) -> Iterator[Any]:
        """Element by element."""
        return iter(self._items)

    def batch(self) -> Any:
        """The elements as one structure, stacked leaf by leaf."""
        return stack(self._items)

    def unbatched(self) -> Iterator[Rows]:
        """The rows of each element, which is a batch."""
        return map(Rows.of, self._items)


Chunk: TypeAlias = Rows | Elements


def concatenate(chunks: Sequence[Chunk]) -> Chunk:
    """One chunk of all elements; the chunks are of one kind, and there is at least one."""
    return type(chunks[0]).concatenate(chunks)  # type: ignore[arg-type]


def blocks(chunk: Chunk) -> Iterator[Chunk]:
    """The chunk in pieces of at most BLOCK elements."""
    for start in range(0, len(chunk), BLOCK):
        yield chunk.slice(start, start + BLOCK)


def drop(chunks: Iterator[Chunk], count: int) -> Iterator[Chunk]:
    """The chunks without their first `count` elements."""
    for chunk in chunks:
        if count < len(chunk):
            yield chunk.slice(count, len(chunk)) if count else chunk
        count = max(count - len(chunk), 0)


def _joined(selections: list[Any]) -> range | np.ndarray[Any, Any]:
    follows = all(
        isinstance(left, range) and isinstance(right, range) and left.stop == right.start
        for left, right in itertools.pairwise(selections)
    )
    if follows:
        return range(selections[0].start, selections[-1].stop)
    return np.concatenate([np.asarray(selection, dtype=np.int64) for selection in selections])


def _joined_column(parts: Sequence[arrays.HostArray], has_key: bool) -> arrays.HostArray:
    try:
        return arrays.concatenate(parts)
    except arrays.NotUnderstoodError as error:
        if not has_key:
            raise
        return error.column


def _own(column: Any) -> Any:
    if isinstance(column, np.ndarray):
        return column.copy()
    if isinstance(column, torch.Tensor):
        return column.clone()
    return column  # Arrow arrays cannot be written to


def _cells(column: arrays.HostArray) -> Sequence[Any]:
    if isinstance(column, torch.Tensor):
        return list(column)
    cells: list[Any] = list(column) if isinstance(column, np.ndarray) else column.to_pylist()
    return cells if arrays.is_understood(column) else [_cell(value) for value in cells]


def _cell(value: Any) -> Any:
    """A value of a column that is not understood, which is no part of the structure of a row."""
    if isinstance(value, dict):
        return Struct(value)
    return list(value) if isinstance(value, tuple) else value


def _flattened(column: arrays.HostArray, name: str) -> Any:
    if isinstance(column, (np.ndarray, torch.Tensor)):
        if column.ndim > 1:
            return column.reshape(-1, *column.shape[2:])
    elif hasattr(column, "flatten"):
        return column.flatten()
    raise ValueError(
        f"unbatch: {name!r} holds one value per element, and unbatch needs batches; leave it out."
    )
