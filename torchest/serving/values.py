"""Converts the values that clients send to arrays for a model.

>>> from torchest.serving.limits import Limits
>>> age = Input({"name": "age", "feature": "age", "dtype": "float32", "shape": [None, 1], "lists": False,
...              "missing": {"rule": "default", "value": [20.0]}, "used": True}, Limits())
>>> age.array([22, None])
array([[22.],
       [20.]], dtype=float32)
"""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from torchest.errors import suggest
from torchest.serving.limits import Limits, RequestError

Array: TypeAlias = npt.NDArray[Any]
JSON: TypeAlias = Any  # what json.loads returns and json.dumps takes

# The names of dtypes in the Open Inference Protocol.
DATATYPES = {
    **{f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "bool": "BOOL", "float16": "FP16", "bfloat16": "BF16", "float32": "FP32", "float64": "FP64",
    "string": "BYTES", "bytes": "BYTES",
}  # fmt: skip

_MOST_CELLS = 1 << 25  # of a matrix of lists: a single long list widens those of all rows
_NUMBERS = {bool, float, int}


class Input:
    """One input of a model.

    Args:
        described: The description of the input in signatures.json.
        limits: Limits on strings and lists.

    Attributes:
        name: Its name for clients.
        key: The key of the feature in serialized examples.
        dtype: "float32", "int64", "string" and the like.
        shape: The shape of one row's values; None for a list of any length.
        used: Whether the model reads it.
        is_text: Whether it holds strings.
    """

    def __init__(self, described: Mapping[str, JSON], limits: Limits) -> None:
        self.name: str = described["name"]
        self.key: str = described["feature"]
        self.dtype: str = described["dtype"]
        self.shape: tuple[int, ...] | None = (
            None if described["lists"] else tuple(described["shape"][1:])
        )
        self.used: bool = described["used"]
        self.is_text = self.dtype in ("string", "bytes")
        self._default = described["missing"].get("value")
        self._limits = limits

    def array(self, rows: Sequence[JSON]) -> Array:
        """The values of some rows.

        Args:
            rows: JSON values, one for each row: a value or nested lists of values. None for a row that leaves
                the input out.

        Returns:
            [rows, *shape] of the dtype; lists of any length as a matrix [rows, longest], padded with "", −1
            or NaN. Strings are objects.

        Raises:
            RequestError: A value has another type or shape, or exceeds a limit.
        """
        if self.shape is None:
            return self._matrix([flat(row) for row in rows])
        if self._default is None and None in rows:
            raise self._refused(
                f"is missing in row {rows.index(None)}, and has no default: give it."
            )
        size = math.prod(self.shape)
        lists = [flat(self._default if row is None else row) for row in rows]
        if any(len(each) != size for each in lists):
            raise self._refused(
                f"takes {size} value{'s' * (size != 1)} in each row, of shape {list(self.shape)}."
            )
        return self._cells(lists).reshape(len(rows), *self.shape)

    def of_array(self, array: Array) -> Array:
        """An array of rows, in the dtype and the shape that the model takes.

        Raises:
            RequestError: It has another kind of values or another shape.
        """
        if self.shape is None:
            array = array.reshape(len(array), math.prod(array.shape[1:]))
            self._check_length(array.shape[1])
        elif array.size != len(array) * math.prod(self.shape):
            raise self._refused(f"has shape {list(array.shape)} and takes {[-1, *self.shape]}.")
        else:
            array = array.reshape(len(array), *self.shape)
        if self.is_text:
            return self._strings(array.reshape(-1).tolist()).reshape(array.shape)
        return self._numbers(array)

    def absent(self, count: int) -> Array:
        """The input of rows that leave it out."""
        return self.array([None] * count)

    def _matrix(self, lists: Sequence[list[JSON]]) -> Array:
        lengths = np.array([len(each) for each in lists], np.int64)
        width = int(lengths.max(initial=0))
        self._check_length(width)
        if width * len(lists) > _MOST_CELLS:
            raise self._refused(
                f"has {len(lists)} rows, and a list of {width} values: send fewer rows at a time.",
                413,
            )
        cells = self._cells(lists)
        matrix = np.full((len(lists), width), _padding(cells), cells.dtype)
        matrix[np.arange(width) < lengths[:, None]] = cells
        return matrix

    def _cells(self, lists: Iterable[list[JSON]]) -> Array:
        """The concatenated values of some lists."""
        cells = list(itertools.chain.from_iterable(lists))
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

    def _strings(self, cells: list[JSON]) -> Array:
        texts = [self._text(cell) for cell in cells]
        if not is_unicode("".join(texts)):
            wrong = next(text for text in texts if not is_unicode(text))
            raise self._refused(f"has {wrong[:40]!r}, which is not Unicode text.")
        return of_objects(texts)

    def _text(self, cell: JSON) -> str:
        if isinstance(cell, Mapping) and cell.keys() == {"b64"}:
            cell = decoded(cell["b64"], self.name)
        if isinstance(cell, bytes):
            try:
                cell = cell.decode()
            except UnicodeDecodeError:
                raise self._refused("has bytes that are not text in UTF-8.") from None
        if not isinstance(cell, str):
            raise self._wrong(cell)
        if len(cell) > self._limits.max_string_length:
            raise self._refused(
                f"has a string of {len(cell)} characters; the longest allowed has {self._limits.max_string_length}."
            )
        return cell

    def _wrong(self, value: object) -> RequestError:
        kind = "text" if self.is_text else self.dtype
        return self._refused(f"takes {kind}, but has {value!r:.60}.")

    def _check_length(self, length: int) -> None:
        if length > self._limits.max_list_length:
            raise self._refused(
                f"has a list of {length} values; the longest allowed has {self._limits.max_list_length}."
            )

    def _refused(self, reason: str, status: int = 400) -> RequestError:
        return RequestError(status, f"Input {self.name!r} {reason}")


def decoded(text: JSON, name: str) -> bytes:
    """The bytes of base64 text.

    Raises:
        RequestError: It is not base64.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, TypeError):
        raise RequestError(400, f"{name!r} has {text!r:.60} as b64, which is not base64.") from None


def common_count(counts: Mapping[str, int], inputs: Iterable[str]) -> int:
    """The common number of rows of a request's inputs.

    Args:
        counts: The number of rows of each input in the request.
        inputs: The inputs of the model.

    Raises:
        RequestError: The numbers differ, or there are none.
    """
    if not counts:
        raise RequestError(400, f'"inputs" is empty.{suggest("", inputs)}')
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        raise RequestError(400, f"All inputs must have the same number of rows: {shown:.300}.")
    return next(iter(counts.values()))


def joined(arrays: Sequence[Array]) -> Array:
    """Rows of several requests as one array; matrices of lists are padded to the widest."""
    if len({array.shape[1:] for array in arrays}) > 1:
        width = max(array.shape[1] for array in arrays)
        arrays = [_widened(array, width) for array in arrays]
    return np.concatenate(arrays)


def trimmed(lists: Array) -> Array:
    """A matrix of lists without columns that only hold padding."""
    padding = _padding(lists)
    is_padding = np.isnan(lists) if isinstance(padding, float) else lists == padding
    kept = np.flatnonzero(~is_padding.all(0))
    return lists[:, : kept[-1] + 1 if len(kept) else 0]


def _widened(array: Array, width: int) -> Array:
    wide = np.full((len(array), width), _padding(array), array.dtype)
    wide[:, : array.shape[1]] = array
    return wide


def _padding(array: Array) -> str | float:
    """The value that pads lists in an array of this dtype."""
    return "" if array.dtype == object else np.nan if array.dtype.kind == "f" else -1


def flat(value: JSON) -> list[JSON]:
    """The values in nested lists, in order; a single value counts as a list of one, None as an empty list."""
    if value is None:
        return []
    if not isinstance(value, list):
        return [value]
    if not any(isinstance(each, list) for each in value):
        return value
    return [cell for each in value for cell in flat(each)]


def of_objects(values: Sequence[str] | Sequence[bytes]) -> Array:
    """Strings as a one-dimensional array of objects."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def are_numbers(cells: list[JSON]) -> bool:
    """Whether all values are numbers; a single text would make NumPy convert all of them."""
    return {*map(type, cells)} <= _NUMBERS


def is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogates, which JSON permits."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
