"""Chunks of elements, which flow through a pipeline.

`Rows` is a block of rows of columns; `Elements` is a list of whole elements, e.g. of batches. Both have the
methods that stages use: length, slice, take, leaves, elements, batches.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import numpy as np
import torch

from torchest.inputs.structure import Layout, Struct, Structure, stack
from torchest.utils import arrays

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    Int64s: TypeAlias = npt.NDArray[np.int64]

BLOCK = 16384  # rows of a chunk: large enough for numpy, small enough for the cache
FEW = 16  # batches of a chunk: as many as are quickly made


class Rows:
    """A selection of rows of columns.

    Slicing and taking change the selection only; `batches` reads the columns once. Chunks of one table share
    its columns, so that a shuffle moves row numbers alone.

    Args:
        columns: Host arrays of one length.
        layout: The structure of the columns.
        selection: Row numbers in the columns; a range if they are consecutive.
        is_new: Whether nothing else reads or writes the columns.
    """

    def __init__(
        self,
        columns: tuple[arrays.HostArray, ...],
        layout: Layout,
        selection: range | Int64s,
        *,
        is_new: bool = False,
    ) -> None:
        self._columns = columns
        self._layout = layout
        self._selection = selection
        self._is_new = is_new

    @classmethod
    def of(cls, structure: Structure) -> Rows:
        """All rows of a structure of columns.

        A dict's column with unsupported values is an error only when it is read.

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
        # Pair by pair, as two leaves of different dicts may have one name.
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

    def take(self, indices: Int64s) -> Rows:
        """The elements at the indices."""
        chosen = self._selection
        if not isinstance(chosen, range):
            picked = chosen[indices]
        else:
            picked = indices + chosen.start if chosen.start else indices
        return Rows(self._columns, self._layout, picked)

    @staticmethod
    def concatenate(chunks: Sequence[Rows]) -> Rows:
        """Joins chunks, of which there is at least one."""
        first = chunks[0]
        if len(chunks) == 1:
            return first
        if share_columns(chunks):
            return Rows(
                first._columns, first._layout, _joined([chunk._selection for chunk in chunks])
            )
        tables = [chunk._read_as(first._layout) for chunk in chunks]
        columns = tuple(map(_joined_column, zip(*tables, strict=True), first._layout.have_keys()))
        return Rows(columns, first._layout, range(arrays.length(columns[0])), is_new=True)

    def elements(self) -> Iterator[Structure]:
        """The rows, each as a structure of single values."""
        for cells in zip(*map(_cells, self._read()), strict=True):
            yield self._layout.rebuild(cells)

    def batches(self, size: int) -> Iterator[Elements]:
        """Structures of columns of `size` rows, a few at a time; the number of rows is a multiple of `size`.

        They are views of copies that nothing else reads or writes.
        """
        columns = self._read()
        if isinstance(self._selection, range) and not self._is_new:
            columns = list(map(_own, columns))
        if len(self) == size:
            yield Elements([self._layout.rebuild(columns)])
            return
        for start in range(0, len(self), size * FEW):
            stop = min(start + size * FEW, len(self))
            parts = [_parts(column, start, stop, size) for column in columns]
            yield Elements(list(map(self._layout.rebuild, zip(*parts, strict=True))))

    def unbatched(self) -> Iterator[Rows]:
        """Splits rows along the next dimension, for columns with more than one dimension."""
        columns = list(map(_flattened, self._read(), self._layout.names))
        yield Rows.of(self._layout.rebuild(columns))

    def columns(self) -> Structure:
        """The structure of the columns of these rows."""
        return self._layout.rebuild(self._read())

    def leaves(self) -> tuple[Layout, list[Rows]]:
        """The layout, and the rows of each leaf alone."""
        single = Layout(0)
        return self._layout, [Rows((column,), single, self._selection) for column in self._columns]

    def _read_as(self, layout: Layout) -> list[arrays.HostArray]:
        """The columns in the order of a layout.

        Raises:
            ValueError: The rows have another structure.
        """
        return self._read() if layout.equals(self._layout) else layout.leaves(self.columns())

    def _read(self) -> list[arrays.HostArray]:
        chosen = self._selection
        if isinstance(chosen, range):
            return [
                arrays.slice_rows(column, chosen.start, chosen.stop) for column in self._columns
            ]
        return [arrays.take(column, chosen) for column in self._columns]


class Elements:
    """Whole elements in a list: batches, or results of a user's function."""

    def __init__(self, items: list[Structure]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def slice(self, start: int, stop: int) -> Elements:
        """The elements start…stop − 1."""
        return Elements(self._items[start:stop])

    def take(self, indices: Int64s) -> Elements:
        """The elements at the indices."""
        return Elements([self._items[index] for index in indices.tolist()])

    def elements(self) -> Iterator[Structure]:
        """Element by element."""
        return iter(self._items)

    def batches(self, size: int) -> Iterator[Elements]:
        """Structures of `size` elements, stacked leaf by leaf; the number of elements is a multiple of `size`."""
        for start in range(0, len(self._items), size):
            yield Elements([stack(self._items[start : start + size])])

    def leaves(self) -> tuple[Layout, list[Elements]]:
        """The layout of the first element, and the elements of each leaf alone."""
        layout = Layout(self._items[0])
        return layout, [
            Elements(list(each)) for each in zip(*map(layout.leaves, self._items), strict=True)
        ]

    def few_at_a_time(self) -> Iterator[Elements]:
        """The elements in chunks of a few."""
        return (self.slice(start, start + FEW) for start in range(0, len(self._items), FEW))

    def unbatched(self) -> Iterator[Rows]:
        """The rows of each element, which is a batch."""
        return map(Rows.of, self._items)


Chunk: TypeAlias = Rows | Elements


def concatenate(chunks: Sequence[Chunk]) -> Chunk:
    """Joins chunks, of which there is at least one.

    Raises:
        ValueError: Rows have different structures.
    """
    if all_rows(chunks):
        return Rows.concatenate(chunks)
    return Elements([element for chunk in chunks for element in chunk.elements()])


def all_rows(chunks: Sequence[Chunk]) -> TypeGuard[Sequence[Rows]]:
    """Whether all chunks are rows."""
    return all(isinstance(chunk, Rows) for chunk in chunks)


def share_columns(chunks: Sequence[Chunk]) -> bool:
    """Whether the chunks are rows of the same columns, which are joined without copying."""
    return all_rows(chunks) and len({id(chunk._columns) for chunk in chunks}) == 1


class Reader:
    """Reads chunks a number of elements at a time.

    Args:
        chunks: Nonempty chunks.
    """

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._waiting: Chunk | None = None

    def waiting(self) -> Chunk | None:
        """The elements that were read and not taken yet, at least one; None at the end."""
        if self._waiting is None:
            self._waiting = next(self._chunks, None)
        return self._waiting

    def take(self, count: int) -> Chunk:
        """The first `count` of the elements that wait, which have as many."""
        chunk = self.waiting()
        assert chunk is not None
        if count >= len(chunk):
            self._waiting = None
            return chunk
        self._waiting = chunk.slice(count, len(chunk))
        return chunk.slice(0, count)

    def up_to(self, count: int) -> Iterator[Chunk]:
        """The next `count` elements, or as many as are left."""
        while count > 0 and (chunk := self.waiting()) is not None:
            part = self.take(min(count, len(chunk)))
            count -= len(part)
            yield part


def blocks(chunk: Chunk) -> Iterator[Chunk]:
    """The chunk in pieces of at most BLOCK elements."""
    if 0 < len(chunk) <= BLOCK:
        yield chunk
        return
    for start in range(0, len(chunk), BLOCK):
        yield chunk.slice(start, start + BLOCK)


def drop(chunks: Iterator[Chunk], count: int) -> Iterator[Chunk]:
    """The chunks without their first `count` elements."""
    return _without_first(chunks, count) if count else chunks


def _without_first(chunks: Iterator[Chunk], count: int) -> Iterator[Chunk]:
    for chunk in chunks:
        if count < len(chunk):
            yield chunk.slice(count, len(chunk)) if count else chunk
        count = max(count - len(chunk), 0)


def _joined(selections: list[range | Int64s]) -> range | Int64s:
    ranges = [selection for selection in selections if isinstance(selection, range)]
    if len(ranges) == len(selections) and all(
        left.stop == right.start for left, right in itertools.pairwise(ranges)
    ):
        return range(ranges[0].start, ranges[-1].stop)
    rows = [np.asarray(each, np.int64) if isinstance(each, range) else each for each in selections]
    return np.concatenate(rows)


def _joined_column(parts: Sequence[arrays.HostArray], has_key: bool) -> arrays.HostArray:
    try:
        return arrays.concatenate(parts)
    except arrays.NotUnderstoodError as error:
        if not has_key:
            raise
        return error.column


def _parts(column: Structure, start: int, stop: int, size: int) -> Sequence[Structure]:
    """Views of `size` rows each."""
    if isinstance(column, (np.ndarray, torch.Tensor)):
        return [column[first : first + size] for first in range(start, stop, size)]
    return [column.slice(first, size) for first in range(start, stop, size)]


def _own(column: Structure) -> Structure:
    if isinstance(column, np.ndarray):
        return column.copy()
    if isinstance(column, torch.Tensor):
        return column.clone()
    return column  # Arrow arrays are read-only


def _cells(column: arrays.HostArray) -> Sequence[Structure]:
    if isinstance(column, torch.Tensor):
        return list(column)
    cells: list[Structure] = list(column) if isinstance(column, np.ndarray) else column.to_pylist()
    return cells if arrays.is_understood(column) else [_cell(value) for value in cells]


def _cell(value: Structure) -> Structure:
    """A value of an unsupported column, as a leaf in the structure of a row."""
    if isinstance(value, dict):
        return Struct(value)
    return list(value) if isinstance(value, tuple) else value


def _flattened(column: Structure, name: str) -> Structure:
    if isinstance(column, (np.ndarray, torch.Tensor)) and column.ndim > 1:
        return column.reshape(-1, *column.shape[2:])
    if arrays.is_arrow(column) and hasattr(column, "flatten"):
        return column.flatten()
    raise ValueError(
        f"unbatch: {name!r} holds one value per element, but unbatch needs batches; leave it out."
    )
