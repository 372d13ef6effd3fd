"""Types of CSV columns: inferred as TensorFlow does, or declared, and cells converted to them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TYPES = ("int32", "int64", "float32", "float64", "string")


@dataclasses.dataclass(frozen=True)
class Column:
    """What a column holds.

    Args:
        name: Its name.
        type: One of _TYPES.
        default: The value of a missing cell; None where a cell must not be missing.
    """

    name: str
    type: str
    default: Any


def inferred(
    blocks: Iterable[dict[str, Any]], selected: Sequence[str], rows: int | None
) -> tuple[Column, ...]:
    """The columns with the types that hold their first cells.

    Args:
        blocks: The columns as text, block by block.
        selected: Their names.
        rows: How many rows to look at; None for all.
    """
    import pyarrow as pa

    parts: dict[str, list[Any]] = {name: [] for name in selected}
    seen = 0
    for texts in blocks:
        for name in selected:
            parts[name].append(texts[name] if rows is None else texts[name].slice(0, rows - seen))
        seen += len(texts[selected[0]])
        if rows is not None and seen >= rows:
            break
    kinds = {name: _infer(pa.chunked_array(parts[name], pa.string())) for name in selected}
    return tuple(Column(name, kind, "" if kind == "string" else 0) for name, kind in kinds.items())


def _infer(texts: Any) -> str:
    """The first of TensorFlow's CSV types that holds all cells; text if there are none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = pc.utf8_trim_whitespace(texts.drop_null())
    if not len(cells):
        return "string"
    # Arrow reads 0x10 as a number, TensorFlow does not.
    hexadecimal = pc.any(pc.match_substring(cells, "x", ignore_case=True)).as_py()
    try:
        numbers = np.asarray(cells.cast(pa.int64()))
        if hexadecimal:
            return "string"
        limits = np.iinfo(np.int32)
        return "int32" if limits.min <= numbers.min() and numbers.max() <= limits.max else "int64"
    except pa.ArrowInvalid:
        pass
    try:
        numbers = np.asarray(cells.cast(pa.float64()))
    except pa.ArrowInvalid:
        return "string"
    if not np.isfinite(numbers).all():
        return "string"
    return "float32" if np.abs(numbers).max() <= np.finfo(np.float32).max else "float64"


def declared(selected: Sequence[str], column_defaults: Sequence[Any]) -> tuple[Column, ...]:
    """The columns with the types or values of missing cells that the user gave."""
    if len(column_defaults) != len(selected):
        raise ValueError(
            f"column_defaults has {len(column_defaults)} entries, and {len(selected)} columns are read: "
            f"{', '.join(selected)}; give one for each."
        )
    return tuple(
        Column(name, *_type_and_default(name, given))
        for name, given in zip(selected, column_defaults, strict=True)
    )


def _type_and_default(name: str, given: Any) -> tuple[str, Any]:
    """The type, and the value of a missing cell (None: a cell must not be missing)."""
    if isinstance(given, (list, tuple)) and len(given) == 1:
        given = given[0]
    if isinstance(given, torch.dtype):
        return _known_type(name, torch.empty(0, dtype=given).numpy().dtype), None
    if isinstance(given, (type, np.dtype)):
        plain: dict[Any, Any] = {int: np.int32, float: np.float32, bytes: np.str_}
        return _known_type(name, np.dtype(plain.get(given, given))), None
    value = given.item() if isinstance(given, (torch.Tensor, np.ndarray)) else given
    if isinstance(given, (torch.Tensor, np.ndarray, np.generic)):
        kind = (
            torch.empty(0, dtype=given.dtype).numpy().dtype
            if isinstance(given, torch.Tensor)
            else given.dtype
        )
        return _known_type(name, kind), value
    if isinstance(value, bool) or not isinstance(value, (int, float, str, bytes)):
        raise TypeError(
            f"column_defaults has {given!r} for the column {name!r}, and each must be a dtype "
            f"({', '.join(_TYPES)}) or a number or text."
        )
    if isinstance(value, int):
        return "int32" if -(2**31) <= value < 2**31 else "int64", value
    if isinstance(value, float):
        return "float32", value
    return "string", value.decode() if isinstance(value, bytes) else value


def _known_type(name: str, dtype: np.dtype[Any]) -> str:
    kind = "string" if dtype.kind in "USO" else dtype.name
    if kind not in _TYPES:
        raise ValueError(
            f"column_defaults has the dtype {dtype} for the column {name!r}, and it must be one of "
            f"{', '.join(_TYPES)}."
        )
    return kind


def convert(texts: Any, column: Column) -> tuple[Any, list[int]]:
    """The cells in the column's type, and the numbers of those rows that have none (0 or "" there)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    bad: list[int] = []
    if column.default is None and texts.null_count:
        bad = np.flatnonzero(np.asarray(pc.is_null(texts))).tolist()
    cells = texts
    fallback = "" if column.type == "string" else 0
    if column.type != "string":
        target: Any = getattr(pa, column.type)()
        cells = pc.utf8_trim_whitespace(texts)
        wrong = _not_castable(cells, target, 0)
        if wrong:
            good = np.ones(len(cells), dtype=bool)
            good[wrong] = False
            cells = pc.if_else(pa.array(good), cells, pa.scalar(None, pa.string()))
            bad = sorted({*bad, *wrong})
        cells = cells.cast(target)
    default = fallback if column.default is None else column.default
    return cells.fill_null(pa.scalar(default, cells.type)), bad


def _not_castable(cells: Any, target: Any, first: int) -> list[int]:
    """The rows that have no value of the type, found by halving."""
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
