"""Types of CSV columns, inferred like TensorFlow or declared, and conversion of cells."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.utils import arrays
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pyarrow as pa

    from torchest.utils.arrays import ArrowArray

_TYPES = ("int32", "int64", "float32", "float64", "string")

# Texts in place of a number that is missing or has no value.
_MARKER = r"^(?:|[?.*-]+|[-+]?(?:nan|inf|infinity)|#?n/?a|<na>|nat|null|none|nil|missing|unknown)$"
_LEADING_ZERO = r"^[+-]?0[0-9]"
_INTEGER = r"^[+-]?[0-9]+$"


@dataclasses.dataclass(frozen=True)
class Column:
    """The type of a column.

    Args:
        name: The name of the column.
        type: One of _TYPES.
        default: The value of a missing cell; None if a missing cell is an error.
        inferred: Whether the type was inferred. If so, a cell that would have made the column text is an error in any
            row.
    """

    name: str
    type: str
    default: str | float | None
    inferred: bool = False


def inferred(name: str, texts: ArrowArray) -> tuple[Column, int | None]:
    """A column with the type of some cells, and the position of a cell that marks a missing number, if there is one."""
    import pyarrow.compute as pc

    cells = pc.utf8_trim_whitespace(texts)
    kind = _infer(cells.drop_null())
    marker: int | None = None
    if kind == "string" and cells.null_count < len(cells):
        is_marker = pc.match_substring_regex(cells, _MARKER, ignore_case=True)
        if pc.any(is_marker).as_py():
            others = _infer(cells.filter(pc.invert(is_marker)))  # which drops null, too
            if others != "string":
                kind, marker = others, pc.indices_nonzero(is_marker)[0].as_py()
    return Column(name, kind, "" if kind == "string" else 0, True), marker


def _infer(cells: ArrowArray) -> str:
    """The first of TensorFlow's CSV types that can hold all cells; text if there are no cells."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # Arrow reads 0x10 as a number, TensorFlow does not.
    hexadecimal = pc.any(pc.match_substring(cells, "x", ignore_case=True)).as_py()
    if (
        not len(cells)
        or hexadecimal
        or pc.any(pc.match_substring_regex(cells, _LEADING_ZERO)).as_py()
    ):
        return "string"
    try:
        numbers = arrays.in_numpy(arrays.combined(cells.cast(pa.int64())))
        limits = np.iinfo(np.int32)
        return "int32" if limits.min <= numbers.min() and numbers.max() <= limits.max else "int64"
    except pa.ArrowInvalid:
        pass
    signed = pc.any(pc.starts_with(cells, "+")).as_py()
    if signed and pc.all(pc.match_substring_regex(cells, _INTEGER)).as_py():
        return "string"  # such as telephone numbers
    try:
        numbers = arrays.in_numpy(arrays.combined(cells.cast(pa.float64())))
    except pa.ArrowInvalid:
        return "string"
    if not np.isfinite(numbers).all():
        return "string"
    return "float32" if np.abs(numbers).max() <= np.finfo(np.float32).max else "float64"


def declared(
    selected: Sequence[str], defaults: Sequence[object], argument: str = "column_defaults"
) -> tuple[Column, ...]:
    """The columns with the user's types or values of missing cells."""
    if len(defaults) != len(selected):
        raise ValueError(
            f"{argument}={shown(list(defaults))} has {len(defaults)} entries, but {len(selected)} "
            f"columns are read: {', '.join(selected)}; give one for each."
        )
    return tuple(
        Column(name, *_type_and_default(argument, name, entry))
        for name, entry in zip(selected, defaults, strict=True)
    )


def _type_and_default(argument: str, name: str, entry: object) -> tuple[str, str | float | None]:
    """The type, and the value of a missing cell (None if a missing cell is an error)."""
    if isinstance(entry, (list, tuple)) and len(entry) == 1:
        entry = entry[0]
    if isinstance(entry, torch.dtype):
        return _known_type(argument, name, torch.empty(0, dtype=entry).numpy().dtype), None
    if isinstance(entry, (type, np.dtype)):
        plain: dict[object, type[np.generic]] = {int: np.int32, float: np.float32, bytes: np.str_}
        return _known_type(argument, name, np.dtype(plain.get(entry, entry))), None
    if isinstance(entry, torch.Tensor):
        entry = entry.numpy(force=True)
    if isinstance(entry, (np.ndarray, np.generic)):
        kind = _known_type(argument, name, entry.dtype)
        return kind, entry.item() if entry.size else None
    if isinstance(entry, bool) or not isinstance(entry, (int, float, str, bytes)):
        raise TypeError(
            f"{argument} has {entry!r} for the column {name!r}, but each entry must be a dtype "
            f"({', '.join(_TYPES)}) or a number or text."
        )
    if isinstance(entry, int):
        return "int32" if -(2**31) <= entry < 2**31 else "int64", entry
    if isinstance(entry, float):
        return "float32", entry
    return "string", entry.decode() if isinstance(entry, bytes) else entry


def _known_type(argument: str, name: str, dtype: np.dtype[np.generic]) -> str:
    kind = "string" if dtype.kind in "USO" else dtype.name
    if kind not in _TYPES:
        raise ValueError(
            f"{argument} has the dtype {dtype} for the column {name!r}, but it must be one of "
            f"{', '.join(_TYPES)}."
        )
    return kind


def convert(texts: ArrowArray, column: Column) -> tuple[ArrowArray, list[int]]:
    """Converts cells to the column's type. Also returns the row numbers of invalid cells, whose values are 0 or ""."""
    import pyarrow as pa
    import pyarrow.compute as pc

    bad: set[int] = set()
    if column.default is None and texts.null_count:
        bad.update(np.flatnonzero(np.asarray(pc.is_null(texts))).tolist())
    cells = texts
    if column.type != "string":
        cells, wrong = _numbers(texts, getattr(pa, column.type)(), column.inferred)
        bad.update(wrong)
    if not cells.null_count:
        return cells, sorted(bad)
    fallback = "" if column.type == "string" else 0
    default = fallback if column.default is None else column.default
    return cells.fill_null(_scalar(default, cells.type)), sorted(bad)


def _scalar(value: object, kind: pa.DataType) -> ArrowArray:
    """The value as an Arrow scalar; unlike pa.scalar, this does not import pandas."""
    import pyarrow as pa

    if isinstance(value, str):
        text = value.encode()
        parts: list[Any] = [np.array([0, len(text)], np.int32), text]
    else:
        parts = [np.array([value], kind.to_pandas_dtype())]
    return pa.Array.from_buffers(kind, 1, [None, *map(pa.py_buffer, parts)])[0]


def why_wrong(cell: str | None, column: Column) -> str:
    """The error message for a wrong cell."""
    where = f"the column {column.name!r}"
    if cell is None:
        return (
            f"{where} has no value, but column_defaults has only a dtype for it; give the value of a missing cell "
            "there."
        )
    if column.inferred and re.match(_LEADING_ZERO, cell.strip()):
        return (
            f"{where} has {cell!r}, whose leading zeros a number would lose, but the rows before hold numbers of type "
            f"{column.type}; give the type in column_defaults, e.g. str, or raise num_rows_for_inference."
        )
    if re.match(_MARKER, cell.strip(), re.IGNORECASE):
        missing = (
            "strip_whitespace=True"
            if not cell.strip()
            else f"na_value={cell.strip()!r} (or a list of several texts)"
        )
        return (
            f"{where} has {cell!r} among numbers; if it means that the value is missing, give {missing}, else give the "
            "type in column_defaults, e.g. str, or skip such rows with ignore_errors=True."
        )
    return (
        f"{where} has {cell!r}, which is not {column.type}; correct it, raise num_rows_for_inference, give the type in "
        "column_defaults, or skip such rows with ignore_errors=True."
    )


def _numbers(
    texts: ArrowArray, target: pa.DataType, as_written: bool
) -> tuple[ArrowArray, list[int]]:
    """The cells as numbers, with null for invalid cells, and the rows of invalid cells.

    Args:
        texts: The cells.
        target: The type of the numbers.
        as_written: Whether leading zeros, NaN and infinity are wrong, too.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    cells, wrong = texts, np.empty(0, np.int64)
    try:
        numbers = cells.cast(target)
    except pa.ArrowInvalid:
        cells = pc.utf8_trim_whitespace(texts)
        wrong = np.array(_not_castable(cells, target, 0), np.int64)
        numbers = _without(cells, wrong).cast(target)
    all_wrong = [wrong, _written_otherwise(cells, as_written)]
    if as_written and pa.types.is_floating(target):
        infinite = pc.indices_nonzero(pc.invert(pc.is_finite(numbers)))  # null is not among them
        all_wrong.append(arrays.in_numpy(infinite).astype(np.int64))
    if not any(map(len, all_wrong)):
        return numbers, []
    wrong = np.unique(np.concatenate(all_wrong))
    return _without(numbers, wrong), wrong.tolist()


def _without(cells: ArrowArray, rows: npt.NDArray[np.int64]) -> ArrowArray:
    """The cells, with null in some rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    good = np.ones(len(cells), dtype=bool)
    good[rows] = False
    return pc.if_else(pa.array(good), cells, pa.scalar(None, cells.type))


def _written_otherwise(cells: ArrowArray, zeros: bool) -> npt.NDArray[np.int64]:
    """The rows of hexadecimal numbers and, if `zeros`, of numbers with leading zeros."""
    _, ends, text = cells.buffers()
    if text is None or not text.size:
        return np.empty(0, np.int64)
    offsets = np.frombuffer(ends, np.int32)[cells.offset : cells.offset + len(cells) + 1]
    data = np.frombuffer(text, np.uint8)
    starts = offsets[:-1]
    first = data.take(starts, mode="clip")
    rows = np.flatnonzero((first == ord("0")) | (first == ord("-")))
    signs = first[rows] == ord("-")
    begins = starts[rows] + signs
    second = data.take(begins + 1, mode="clip")
    wrong = (second | 32) == ord("x")
    if zeros:
        wrong |= (second >= ord("0")) & (second <= ord("9"))
    wrong &= (offsets[rows + 1] - begins > 1) & (data.take(begins, mode="clip") == ord("0"))
    return np.asarray(rows[wrong])


def _not_castable(cells: ArrowArray, target: pa.DataType, first: int) -> list[int]:
    """The rows of cells that are not of the type, found by bisection."""
    import pyarrow as pa

    try:
        cells.cast(target)
    except pa.ArrowInvalid:
        if len(cells) == 1:
            return [first]
        half = len(cells) // 2
        left = _not_castable(cells.slice(0, half), target, first)
        return left + _not_castable(cells.slice(half), target, first + half)
    return []
