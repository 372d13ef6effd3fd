"""Batches of values of several sizes, padded to one size."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.inputs.chunks import Chunk, Elements, Rows
from torchest.inputs.stages import JSON, Batch
from torchest.inputs.structure import Layout, has_rows, is_named
from torchest.utils import arrays, arrow_types, checks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torchest.inputs.structure import Structure
    from torchest.utils.arrays import ArrowArray, HostArray, NumpyArray


@dataclasses.dataclass(frozen=True)
class PaddedBatch(Batch):
    """Elements put together, `size` at a time, each value padded at its end.

    Args:
        shapes: A structure of the shapes of an element, with None for the largest size of a batch; None for all.
        values: A structure of values to pad with, or one for all; None for 0, False or "".
    """

    shapes: Structure
    values: Structure

    def put_together(self, chunk: Chunk, size: int) -> Iterator[Elements]:
        """Pads each batch to its own size."""
        for start in range(0, len(chunk), size):
            yield Elements([self._padded(chunk.slice(start, start + size))])

    def description(self) -> dict[str, JSON]:
        """The settings as text."""
        return {
            **super().description(),
            "shapes": repr(self.shapes),
            "values": repr(self.values),
        }

    def _padded(self, chunk: Chunk) -> Structure:
        layout, columns = _columns(chunk)
        shapes = [None] * len(columns)
        if self.shapes is not None:
            shapes = layout.parts("padded_shapes", self.shapes)
        values = [self.values] * len(columns)
        if is_named(self.values) or isinstance(self.values, tuple):
            values = layout.parts("padding_values", self.values)
        paddings = map(_Padding, layout.names, shapes, values)
        return layout.rebuild(list(map(_pad, columns, paddings)))


class _Padding:
    """How the values of one leaf are padded.

    Args:
        name: The name of the leaf.
        shape: The shape of one value, with None or −1 for the largest of a batch; or None.
        value: What fills them up; None for 0, False or "".

    Raises:
        ValueError: The shape is none.
    """

    def __init__(self, name: str, shape: Any, value: Any) -> None:
        self.name = name
        self._shape: tuple[int | None, ...] | None = None
        self._value = value
        if shape is not None:
            sizes = checks.listed("padded_shapes", shape, f"dimensions of {name!r}")
            self._shape = tuple(
                None
                if size in (None, -1)
                else checks.whole_number("padded_shapes", size, at_least=0)
                for size in sizes
            )

    def target(self, largest: tuple[int, ...]) -> tuple[int, ...]:
        """The shape to pad to, from the largest size in each dimension."""
        if self._shape is None:
            return largest
        if len(self._shape) != len(largest):
            raise ValueError(
                f"padded_shapes has {list(self._shape)} for {self.name!r}, whose values have {len(largest)} "
                "dimensions: give a size, or None, for each of these."
            )
        for limit, size in zip(self._shape, largest, strict=True):
            if limit is not None and size > limit:
                raise ValueError(
                    f"padded_shapes has {list(self._shape)} for {self.name!r}, but a value has the size {size} in "
                    f"place of {limit}: give a larger size, or None for the largest of each batch."
                )
        return tuple(
            size if limit is None else limit
            for limit, size in zip(self._shape, largest, strict=True)
        )

    def filling(self, dtype: np.dtype[Any], example: object = 0) -> Any:
        """The value that fills up values of a dtype; text is like the example, str or bytes."""
        if self._value is None:
            return type(example)() if dtype.kind == "O" else dtype.type(0)
        is_text = isinstance(self._value, (str, bytes))
        if is_text == (dtype.kind == "O") and np.ndim(self._value) == 0:
            filling = np.asarray(self._value).astype(dtype)[()]
            if dtype.kind not in "biu" or filling == self._value:
                return filling
        raise ValueError(
            f"padding_values has {checks.shown(self._value)} for {self.name!r}, which holds "
            f"{'text' if dtype.kind == 'O' else f'values of dtype {dtype}'}: give a value of that type."
        )


def _columns(chunk: Chunk) -> tuple[Layout, list[HostArray | list[Any]]]:
    """The columns of rows, or what elements have at each leaf."""
    if isinstance(chunk, Rows):
        structure = chunk.columns()
        layout = Layout(structure)
        return layout, layout.leaves(structure)
    layout, leaves = chunk.leaves()
    return layout, [list(leaf.elements()) for leaf in leaves]


def _pad(column: HostArray | list[Any], padding: _Padding) -> HostArray:
    if isinstance(column, torch.Tensor):
        return torch.from_numpy(_pad_rows(column.numpy(), padding))
    if isinstance(column, np.ndarray):
        return _pad_rows(column, padding)
    if isinstance(column, list):
        if not any(map(has_rows, column)):
            padding.target(())
            return arrays.to_column(column, padding.name)
        padded = _pad_cells([_in_numpy(cell, padding.name) for cell in column], padding)
        return (
            torch.from_numpy(padded)
            if isinstance(column[0], torch.Tensor)
            else arrays.to_column(padded)
        )
    if not arrow_types.is_list(column.type):
        padding.target(())
        return column
    if arrays.is_ragged(column) and not arrow_types.is_list(column.type.value_type):
        return _pad_lists(column, padding)
    return _pad(column.to_pylist(), padding)


def _in_numpy(cell: Any, name: str) -> NumpyArray:
    """One value as a NumPy array, of objects if it is text."""
    if not has_rows(cell):
        return np.asarray(cell, object) if isinstance(cell, (str, bytes)) else np.asarray(cell)
    column = arrays.to_host(cell, name)
    if arrays.is_arrow(column) and arrays.is_textual(column):
        return np.array(column.to_pylist(), object)
    return arrays.to_tensor(column, name).numpy()


def _pad_rows(rows: NumpyArray, padding: _Padding) -> NumpyArray:
    """Pads rows that have one shape."""
    target = padding.target(rows.shape[1:])
    if target == rows.shape[1:]:
        return rows
    padded = np.full((len(rows), *target), padding.filling(rows.dtype), rows.dtype)
    padded[tuple(map(slice, rows.shape))] = rows
    return padded


def _pad_cells(cells: Sequence[NumpyArray], padding: _Padding) -> NumpyArray:
    """Puts values of several sizes together."""
    ranks = {cell.ndim for cell in cells}
    if len(ranks) > 1:
        raise ValueError(
            f"padded_batch: {padding.name!r} has values of {min(ranks)} and of {max(ranks)} dimensions in one batch, "
            "but all must have as many."
        )
    largest = np.array([cell.shape for cell in cells]).max(axis=0)
    dtype = np.result_type(*cells)
    example = next((cell.flat[0] for cell in cells if cell.size), "")
    shape = (len(cells), *padding.target(tuple(largest.tolist())))
    padded = np.full(shape, padding.filling(dtype, example), dtype)
    for row, cell in zip(padded, cells, strict=True):
        row[tuple(map(slice, cell.shape))] = cell
    return padded


def _pad_lists(lists: ArrowArray, padding: _Padding) -> HostArray:
    """Pads lists of single values, all at once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths: ArrowArray = pc.list_value_length(lists)
    counts = np.asarray(lengths.fill_null(0)).astype(np.int64)
    (width,) = padding.target((int(counts.max(initial=0)),))
    is_value = np.arange(width) < counts[:, None]
    flat = lists.flatten()
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if not arrays.is_textual(flat):
        values = arrays.to_tensor(arrays.to_host(flat, padding.name), padding.name).numpy()
        padded = np.full((len(lists), width), padding.filling(values.dtype), values.dtype)
        padded[is_value] = values
        return padded
    is_bytes = pa.types.is_binary(flat.type) or pa.types.is_large_binary(flat.type)
    filling = padding.filling(np.dtype(object), b"" if is_bytes else "")
    places = np.full(is_value.shape, len(flat))
    places[is_value] = np.arange(len(flat))
    cells = pa.concat_arrays([flat, pa.array([filling], flat.type)]).take(pa.array(places.ravel()))
    padded_lists: HostArray = pa.FixedSizeListArray.from_arrays(cells, width)
    return padded_lists
