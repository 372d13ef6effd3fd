"""The values that clients send, as the arrays that a model takes.

>>> from torchest.serving.limits import Limits
>>> age = Input({"name": "age", "feature": "age", "dtype": "float32", "shape": [None, 1], "lists": False,
...              "missing": {"rule": "default", "value": [20.0]}, "used": True}, Limits())
>>> age.array([22, None])
array([[22.],
       [20.]], dtype=float32)
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from torchest.serving.limits import Limits, RequestError

Array = npt.NDArray[Any]

_MOST_CELLS = 1 << 25  # of a matrix of lists: a single long list widens those of all rows
_NUMBERS = {bool, float, int}


class Input:
    """One input of a model.

    Args:
        described: The input as signatures.json describes it.
        limits: Bounds on strings and lists.

    Attributes:
        name: What clients call it.
        key: The key of the feature in serialized examples.
        dtype: "float32", "int64", "string" and the like.
        shape: The shape of one row's values; None for a list of any length.
        used: Whether the model reads it.
    """

    def __init__(self, described: Mapping[str, Any], limits: Limits) -> None:
        self.name: str = described["name"]
        self.key: str = described["feature"]
        self.dtype: str = described["dtype"]
        self.shape: tuple[int, ...] | None = (
            None if described["lists"] else tuple(described["shape"][1:])
        )
        self.used: bool = described["used"]
        self._default = described["missing"].get("value")
        self._limits = limits

    @property
    def is_text(self) -> bool:
        """Whether it holds strings."""
        return self.dtype in ("string", "bytes")

    def array(self, rows: Sequence[Any]) -> Array:
        """The values of some rows.

        Args:
            rows: JSON values, one for each row: a value or nested lists of values. None for a row that leaves
                the input out.

        Returns:
            [rows, *shape] of the dtype; lists of any length as a matrix [rows, longest], filled up with "", −1
            or NaN. Strings are objects.

        Raises:
            RequestError: A value has another type or shape, or is beyond a limit.
        """
        if self.shape is None:
            return self._matrix(rows)
        rows = [self._filled(row, number) for number, row in enumerate(rows)]
        size = math.prod(self.shape)
        if any(_count(row) != size for row in rows):
            raise RequestError(
                400,
                f"Input {self.name!r} takes {size} value{'s' * (size != 1)} in each row, of shape {list(self.shape)}.",
            )
        return self._cells(rows).reshape(len(rows), *self.shape)

    def of_array(self, array: Array) -> Array:
        """An array whose first dimension counts rows, in the dtype and the shape that the model takes.

        Raises:
            RequestError: It has another kind of values or another shape.
        """
        if self.shape is None:
            array = array.reshape(len(array), math.prod(array.shape[1:]))
            if array.shape[1] > self._limits.max_list_length:
                raise self._too_long(array.shape[1])
        elif array.size != len(array) * math.prod(self.shape):
            raise RequestError(
                400,
                f"Input {self.name!r} has shape {list(array.shape)} and takes {[-1, *self.shape]}.",
            )
        else:
            array = array.reshape(len(array), *self.shape)
        if self.is_text:
            return self._strings(array.reshape(-1).tolist()).reshape(array.shape)
        return self._numbers(array)

    def absent(self, count: int) -> Array:
        """The input of rows that leave it out."""
        return self.array([None] * count)

    def _filled(self, row: Any, number: int) -> Any:
        if row is not None:
            return row
        if self._default is None:
            raise RequestError(
                400, f"Input {self.name!r} is missing in row {number}, and has no default: give it."
            )
        return self._default

    def _matrix(self, rows: Sequence[Any]) -> Array:
        lists = [flat(row) for row in rows]
        lengths = np.array([len(each) for each in lists], np.int64)
        width = int(lengths.max(initial=0))
        if width > self._limits.max_list_length:
            raise self._too_long(width)
        if width * len(rows) > _MOST_CELLS:
            raise RequestError(
                413,
                f"Input {self.name!r} has {len(rows)} rows, and a list of {width} values: send fewer rows at a time.",
            )
        cells = self._cells([cell for each in lists for cell in each])
        fill: Any = "" if self.is_text else np.nan if self.dtype.startswith("float") else -1
        matrix = np.full((len(rows), width), fill, cells.dtype)
        matrix[np.arange(width) < lengths[:, None]] = cells
        return matrix

    def _cells(self, rows: Sequence[Any]) -> Array:
        """All values of some rows, one after the other."""
        cells = flat(list(rows))
        if self.is_text:
            return self._strings(cells)
        if not cells:
            return np.zeros(0, self.dtype)
        if not are_numbers(cells):
            raise self._wrong(next(cell for cell in cells if not are_numbers([cell])))
        array = np.asarray(cells)
        if array.dtype == object:  # integers beyond 64 bits
            raise self._wrong(max(cells, key=abs))
        return self._numbers(array)

    def _numbers(self, array: Array) -> Array:
        """Numbers in the dtype of the input, if it can hold them."""
        if array.dtype.kind not in "biuf":
            raise self._wrong(array.reshape(-1)[:1].tolist())
        dtype = np.dtype(self.dtype)
        if dtype.kind == "f":
            with np.errstate(over="ignore"):
                return array.astype(dtype)
        with np.errstate(invalid="ignore"):
            numbers = array.astype(dtype)
        changed = numbers != array
        if array.dtype.kind == "f":  # a whole number beyond 2^53 may have been rounded on the way
            changed |= np.abs(array) > 2.0**53
        if array.dtype.kind == "u" and dtype.kind == "i":
            changed |= numbers < 0
        if changed.any():
            raise self._wrong(array[changed][0].item())
        return numbers

    def _strings(self, cells: list[Any]) -> Array:
        texts = [self._text(cell) for cell in cells]
        try:
            "".join(texts).encode()
        except UnicodeEncodeError:
            wrong = next(text for text in texts if not is_unicode(text))
            raise RequestError(
                400, f"Input {self.name!r} has {wrong[:40]!r}, which is no Unicode text."
            ) from None
        strings = np.empty(len(texts), object)
        strings[:] = texts
        return strings

    def _text(self, cell: Any) -> str:
        if isinstance(cell, Mapping) and cell.keys() == {"b64"}:
            cell = decoded(cell["b64"], self.name)
        if isinstance(cell, bytes):
            try:
                cell = cell.decode()
            except UnicodeDecodeError:
                raise RequestError(
                    400, f"Input {self.name!r} has bytes that are no text in UTF-8."
                ) from None
        if not isinstance(cell, str):
            raise self._wrong(cell)
        if len(cell) > self._limits.max_string_length:
            raise RequestError(
                400,
                f"Input {self.name!r} has a string of {len(cell)} characters; the longest allowed has "
                f"{self._limits.max_string_length}.",
            )
        return cell

    def _wrong(self, value: Any) -> RequestError:
        kind = "text" if self.is_text else self.dtype
        return RequestError(400, f"Input {self.name!r} takes {kind}, and has {value!r:.60}.")

    def _too_long(self, length: int) -> RequestError:
        return RequestError(
            400,
            f"Input {self.name!r} has a list of {length} values; the longest allowed has "
            f"{self._limits.max_list_length}.",
        )


def decoded(text: Any, name: str) -> bytes:
    """The bytes of base64 text.

    Raises:
        RequestError: It is none.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise RequestError(400, f"{name!r} has {text!r:.60} as b64, which is no base64.") from None


def joined(arrays: Sequence[Array]) -> Array:
    """Rows of several requests as one array; matrices of lists are filled up to the widest."""
    widths = {array.shape[1:] for array in arrays}
    if len(widths) > 1:
        width = max(array.shape[1] for array in arrays)
        arrays = [_widened(array, width) for array in arrays]
    return np.concatenate(arrays)


def trimmed(lists: Array) -> Array:
    """A matrix of lists without the columns that fill up all of its rows."""
    fill = (
        lists == ""
        if lists.dtype == object
        else np.isnan(lists)
        if lists.dtype.kind == "f"
        else lists == -1
    )
    kept = np.flatnonzero(~fill.all(0))
    return lists[:, : kept[-1] + 1 if len(kept) else 0]


def _widened(array: Array, width: int) -> Array:
    fill: Any = "" if array.dtype == object else np.nan if array.dtype.kind == "f" else -1
    wide = np.full((len(array), width), fill, array.dtype)
    wide[:, : array.shape[1]] = array
    return wide


def flat(value: Any) -> list[Any]:
    """The values in nested lists, in order; a single value counts as a list of one, None as none."""
    if value is None:
        return []
    if not isinstance(value, list):
        return [value]
    if not any(isinstance(each, list) for each in value):
        return value
    return [cell for each in value for cell in flat(each)]


def _count(value: Any) -> int:
    """How many values there are in nested lists."""
    if not isinstance(value, list):
        return 1
    if not any(isinstance(each, list) for each in value):
        return len(value)
    return sum(map(_count, value))


def are_numbers(cells: list[Any]) -> bool:
    """Whether all values are numbers; numpy would widen all of them for a single text."""
    return {*map(type, cells)} <= _NUMBERS


def is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogates, which JSON may hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
