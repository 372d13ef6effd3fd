"""The forms of NumPy arrays (`torchest.kernels.elements`).

They are read from the structs of NumPy's C interface, since a Python call for each of a thousand columns takes longer
than to encode them. Where these structs are not as expected, as may be in later releases, Python's attributes are read.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.kernels.compiling import kernel
from torchest.kernels.elements import (
    BOOL,
    DATA,
    FLOAT,
    KIND,
    PADDED,
    SIGNED,
    SIZE,
    STRIDE,
    UNSIGNED,
)
from torchest.kernels.memory import word8, word32, word64

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Int64s = npt.NDArray[np.int64]

_U: Callable[[int], int] = np.uint64  # as in farmhash
_I: Callable[[int], int] = np.int64

# PyArrayObject_fields and PyArray_Descr: a header, whose last field is the type, then data, rank, shape, strides, base
# and dtype; and header, class, kind, type, byte order, flags, number of the type, and in NumPy 2 flags, then the size.
_HEADER = object.__basicsize__
_TYPE = _U(_HEADER - 8)
_DATA, _RANK, _SHAPE, _STRIDES, _DTYPE = (_U(_HEADER + 8 * n) for n in (0, 1, 2, 3, 5))
_DTYPE_KIND, _DTYPE_ORDER = _U(_HEADER + 8), _U(_HEADER + 10)
_IS_NUMPY_1 = np.__version__.startswith("1.")
_DTYPE_SIZE = _U(_HEADER + (16 if _IS_NUMPY_1 else 24))
_SWAPPED = _U(ord(">"))


def of_arrays(arrays: Sequence[Any], rows: int, forms: Int64s) -> int:
    """Writes the forms of NumPy arrays of one number or string in each row.

    Args:
        arrays: Arrays, among any other objects.
        rows: The number of rows.
        forms: Output, [arrays, FORM]: zeros; those of other objects stay so.

    Returns:
        The number of arrays; −1 if one of them has another number of rows.
    """
    if not structs_are_known():
        return _of_attributes(arrays, rows, forms)
    objects = np.fromiter(arrays, object)
    address = objects.__array_interface__["data"][0]
    return _of_structs(address, id(np.ndarray), rows, forms)


@kernel
def _of_structs(objects: int, array_type: int, rows: int, forms: Int64s) -> int:
    """Does the work of `of_arrays`, given the address of the addresses of objects, and that of `numpy.ndarray`."""
    count = 0
    for place in range(len(forms)):
        array = word64(_U(objects + 8 * place))
        if word64(array + _TYPE) != _U(array_type):
            continue
        rank, shape, dtype = word32(array + _RANK), word64(array + _SHAPE), word64(array + _DTYPE)
        if rank != _U(1) and (rank != _U(2) or word64(shape + _U(8)) != _U(1)):
            continue
        kind, size = word8(dtype + _DTYPE_KIND), word64(dtype + _DTYPE_SIZE)
        if _IS_NUMPY_1:
            size &= _U(0xFFFFFFFF)
        is_number = kind == _U(BOOL) or kind == _U(SIGNED) or kind == _U(UNSIGNED)
        is_number |= kind == _U(FLOAT) and (size == _U(4) or size == _U(8))
        if (not is_number and kind != _U(PADDED)) or word8(dtype + _DTYPE_ORDER) == _SWAPPED:
            continue
        if word64(shape) != _U(rows):
            return -1
        forms[place, KIND] = _I(kind)
        forms[place, SIZE] = _I(size)
        forms[place, DATA] = _I(word64(array + _DATA))
        forms[place, STRIDE] = _I(word64(word64(array + _STRIDES)))
        count += 1
    return count


def _of_attributes(arrays: Sequence[Any], rows: int, forms: Int64s) -> int:
    """Does the work of `of_arrays` without a look at structs."""
    count = 0
    for place, array in enumerate(arrays):
        if type(array) is not np.ndarray or not array.ndim or array.shape[1:] not in ((), (1,)):
            continue
        kind, size = ord(array.dtype.kind), array.dtype.itemsize
        is_read = kind in (BOOL, SIGNED, UNSIGNED, PADDED) or (kind == FLOAT and size in (4, 8))
        if not is_read or array.dtype.byteorder == ">":
            continue
        if len(array) != rows:
            return -1
        address = array.__array_interface__["data"][0]
        forms[place, [KIND, SIZE, DATA, STRIDE]] = kind, size, address, array.strides[0]
        count += 1
    return count


@functools.cache
def structs_are_known() -> bool:
    """Whether the structs of arrays and dtypes have their fields where they are read."""
    numbers = np.zeros((6, 3), np.int16)
    samples = [np.array([b"word"] * 3, "S8"), np.zeros(5, "<f4"), np.zeros(7, ">f8")[::2]]
    samples += [np.zeros(4, np.int64), np.zeros(2, bool), numbers, numbers[1:, 1:2], numbers.T]
    return sys.implementation.name == "cpython" and all(map(_is_as_read, samples))


def _is_as_read(array: npt.NDArray[Any]) -> bool:
    """Whether an array's struct has all that is read of it, in its place.

    The memory of the array and of its dtype is read, and what pointers in it point to only where they must be right.
    """
    dtype = array.dtype
    fields, fields_of_dtype = _fields(array), _fields(dtype)
    shape, strides = fields(_SHAPE), fields(_STRIDES)
    expected = id(np.ndarray), array.__array_interface__["data"][0], array.ndim, id(dtype)
    if (fields(_TYPE), fields(_DATA), fields(_RANK, 4), fields(_DTYPE)) != expected:
        return False
    # NumPy allocates the shape and the strides as one vector.
    if not shape or shape % 8 or strides != shape + 8 * array.ndim:
        return False
    numbers = ctypes.string_at(shape, 16 * array.ndim)
    if np.frombuffer(numbers, np.int64).tolist() != [*array.shape, *array.strides]:
        return False
    kind, order = fields_of_dtype(_DTYPE_KIND, 1), fields_of_dtype(_DTYPE_ORDER, 1)
    size = fields_of_dtype(_DTYPE_SIZE, 4 if _IS_NUMPY_1 else 8)
    return (chr(kind), chr(order), size) == (dtype.kind, dtype.byteorder, dtype.itemsize)


def _fields(of: object) -> Callable[..., int]:
    """Returns a function that reads a field of an object, given its offset and its bytes, by default 8."""
    content = ctypes.string_at(id(of), type(of).__basicsize__)

    def field(offset: int, size: int = 8) -> int:
        return int.from_bytes(content[int(offset) : int(offset) + size], sys.byteorder)

    return field
