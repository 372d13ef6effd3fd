"""Encodes many columns in a few operations, if their features have the same type."""

from __future__ import annotations

import ctypes
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from torchest.columns import checks
from torchest.columns.categorical import HashedCategoricalColumn
from torchest.columns.encode.strings import PLAIN, Text
from torchest.columns.numeric import NumericColumn
from torchest.utils.arrays import is_arrow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from torchest.columns.base import CategoricalColumn, DenseColumn
    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.encode.values import FlatArray
    from torchest.columns.features import Features
    from torchest.utils.arrays import ArrowArray, HostArray, NumpyArray

_COMPILED_FOR = frozenset(map(np.dtype, ("float32", "float64", "int64")))


def hashed_with_own_key(columns: Sequence[CategoricalColumn]) -> dict[int, HashedCategoricalColumn]:
    """The hashed string columns whose key no other column reads, by position."""
    used = Counter(key for column in columns for key in column.feature_keys)
    return {
        place: column
        for place, column in enumerate(columns)
        if type(column) is HashedCategoricalColumn  # a subclass may hash otherwise
        and column.dtype == checks.STRING
        and used[column.key] == 1
    }


def rows_of_hashed(
    columns: Sequence[HashedCategoricalColumn], firsts: Int64s, features: Features
) -> list[ColumnRows]:
    """The table rows that a batch uses, for hashed columns of one string per row.

    Args:
        columns: The columns that `hashed_with_own_key` selects.
        firsts: The row of each column's id 0, int64 [columns].
        features: The batch.

    Returns:
        The columns whose arrays have the same type as another one's, in groups of one type.

    Raises:
        MissingFeatureError: A feature is missing.
        ValueError: A feature has another number of rows than the others.
    """
    counts = np.array([column.hash_bucket_size for column in columns])
    vectors = features.vectors([column.key for column in columns]) if len(columns) > 1 else None
    if vectors is not None and {array.dtype.kind for array in vectors} == {"S"}:
        return [_hashed_rows(list(range(len(columns))), vectors, counts, firsts)]
    alike: dict[object, tuple[list[int], list[FlatArray]]] = {}
    for number, column in enumerate(columns):
        array = features.raw_of(column, column.key)
        kind = _kind(array)
        if kind is not None:
            numbers, arrays = alike.setdefault(kind, ([], []))
            numbers.append(number)
            arrays.append(array)
    return [
        _hashed_rows(numbers, arrays, counts[numbers], firsts[numbers])
        for numbers, arrays in alike.values()
        if len(numbers) > 1
    ]


class ColumnRows(NamedTuple):
    """The table rows that several columns use in a batch.

    Attributes:
        numbers: The positions of the columns, ascending.
        rows: int64 [batch, columns], −1 where a string is empty or missing.
        all_present: Whether there is no −1.
    """

    numbers: list[int]
    rows: Int64s
    all_present: bool


def _kind(array: HostArray) -> object:
    """The type of an array of one string per row, equal for arrays that can be joined; None for other arrays."""
    if isinstance(array, np.ndarray):
        return "S" if array.ndim == 1 and array.dtype.kind == "S" else None
    return str(array.type) if is_arrow(array) and str(array.type) in PLAIN else None


def _hashed_rows(
    numbers: list[int], arrays: list[FlatArray], counts: Int64s, firsts: Int64s
) -> ColumnRows:
    from torchest.kernels import farmhash

    rows = np.empty((len(arrays[0]), len(arrays)), np.int64)
    if isinstance(arrays[0], np.ndarray):
        layout = np.array([(array.strides[0], array.itemsize) for array in arrays])
        empty = farmhash.buckets_of_padded(_addresses(arrays), layout, counts, firsts, rows)
    else:
        import pyarrow as pa

        columns: list[ArrowArray] = list(arrays)
        text = Text.of(pa.concat_arrays(columns))
        empty = farmhash.buckets(text.data, text.starts, text.lengths, counts, firsts, rows)
    return ColumnRows(numbers, rows, empty == 0)


def _in_one_piece(array: NumpyArray) -> NumpyArray:
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else array.copy()


def _addresses(arrays: Sequence[NumpyArray]) -> Int64s:
    # features see to it; loops would read what is not theirs
    assert len(set(map(len, arrays))) == 1
    return np.array(list(map(_address, arrays)))


def _address(array: Any) -> int:
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (TypeError, ValueError, BufferError):  # read-only, empty, or in several pieces
        address: int = array.__array_interface__["data"][0]  # takes four times as long
        return address


def single_numbers(columns: Sequence[DenseColumn]) -> list[NumericColumn] | None:
    """The columns if all are numeric ones of one number per row without a normalizer_fn."""
    single = [
        column
        for column in columns
        if type(column) is NumericColumn and not column.normalizer_fn and column.shape == (1,)
    ]
    return single if len(single) == len(columns) else None


def numbers_of_all(
    columns: Sequence[NumericColumn], features: Features
) -> npt.NDArray[np.float32] | None:
    """The numbers of numeric columns with one number per row.

    Args:
        columns: The columns that `single_numbers` returns.
        features: The batch.

    Returns:
        float32 [batch, number of columns]; None if an array has another type, or a number is missing.

    Raises:
        MissingFeatureError: A feature is missing.
        ValueError: A feature has another number of rows than the others.
    """
    arrays = features.vectors([column.key for column in columns])
    if arrays is None:
        of_any_kind = [features.raw_of(column, column.key) for column in columns]
        arrays = [
            array for array in of_any_kind if isinstance(array, np.ndarray) and array.ndim == 1
        ]
    if len(arrays) < len(columns) or not {array.dtype.kind for array in arrays} <= set("biuf"):
        return None
    kinds = {array.dtype for array in arrays}
    if len(kinds) == 1 and kinds.pop() in _COMPILED_FOR:
        return _side_by_side(list(map(_in_one_piece, arrays)))
    with np.errstate(over="ignore"):  # what is too large for float32 is infinite
        numbers = np.stack(arrays, 1, dtype=np.float32, casting="unsafe")
    return None if np.isnan(numbers).any() else numbers


def _side_by_side(arrays: Sequence[NumpyArray]) -> npt.NDArray[np.float32] | None:
    from torchest.kernels import numbers

    matrix = np.empty((len(arrays[0]), len(arrays)), np.float32)
    like = arrays[0].dtype.type(0)
    return matrix if numbers.side_by_side(_addresses(arrays), like, matrix) else None
