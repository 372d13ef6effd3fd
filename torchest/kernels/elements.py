"""Reads single elements of a batch's arrays: numbers and strings of NumPy and Arrow.

A *form* describes one array in `FORM` int64s, whose places are named below. Functions take its address, and the row of
an element. `columns/encode/forms.py` writes the forms of Arrow arrays, `torchest.kernels.arrays` those of NumPy arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import part
from torchest.kernels.memory import (
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    set_word8,
    word8,
    word16,
    word32,
    word64,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_U: Callable[[int], int] = np.uint64  # as in farmhash
_I: Callable[[float], int] = np.int64
_F: Callable[[float], float] = np.float32

# The places in a form: the kind; the bytes of an element, or of an offset; the address of elements; their distance in
# bytes; the address of Arrow's offsets, or of the codes of a dictionary's entries; that of its bits of validity, or 0;
# the first row's bit of validity; the number of a dictionary's entries.
KIND, SIZE, DATA, STRIDE, OFFSETS, VALID, FIRST_BIT, ENTRIES = range(8)
FORM = 8

# Kinds: those of NumPy's dtypes, text of Arrow, and codes of a dictionary's entries, by Arrow's indices.
NONE, BOOL, SIGNED, UNSIGNED, FLOAT, PADDED, TEXT, CODES = 0, *map(ord, "biufSac")

LONGEST_NUMBER = 24  # bytes of decimal text, and more


@part
def field(table: int, place: int) -> int:
    """The number at a place in a form, or in another table of 64-bit numbers."""
    return word64(table + _U(8 * place))


@part
def is_there(form: int, row: int) -> bool:
    """Whether a row has an element, by Arrow's bits of validity."""
    valid = field(form, VALID)
    if valid == _U(0):
        return True
    bit = field(form, FIRST_BIT) + _U(row)
    return (word8(valid + (bit >> _U(3))) >> (bit & _U(7))) & _U(1) == _U(1)


@part
def element(form: int, row: int) -> int:
    """The address of a row's element."""
    return field(form, DATA) + _U(row) * field(form, STRIDE)


@part
def whole(kind: int, size: int, at: int) -> int:
    """An integer of some type at an address, as int64."""
    if size == _U(8):
        return int64(at)
    if kind == _U(SIGNED):
        return int32(at) if size == _U(4) else int16(at) if size == _U(2) else int8(at)
    word = word32(at) if size == _U(4) else word16(at) if size == _U(2) else word8(at)
    return _I(word)


@part
def integer(form: int, row: int) -> tuple[int, bool]:
    """The integer of a row, −1 for a missing one; and whether the number is one that int64 holds."""
    if not is_there(form, row):
        return -1, True
    kind, size, at = field(form, KIND), field(form, SIZE), element(form, row)
    if kind != _U(FLOAT):
        return whole(kind, size, at), kind != _U(UNSIGNED) or size != _U(8) or int64(at) >= 0
    number = np.float64(float32(at)) if size == _U(4) else float64(at)
    if number != number:  # noqa: PLR0124 - NaN
        return -1, True
    exact = 2.0**24 if size == _U(4) else 2.0**53  # beyond it, integers are rounded
    is_exact = number == np.floor(number) and -exact <= number <= exact
    return _I(number) if is_exact else -1, is_exact


@part
def number(form: int, row: int) -> float:
    """The number of a row as float32, NaN for a missing one."""
    if not is_there(form, row):
        return _F(np.nan)
    kind, size, at = field(form, KIND), field(form, SIZE), element(form, row)
    if kind != _U(FLOAT):
        # Arrow makes float64 of integers if some are missing
        is_twice, word = field(form, VALID) != _U(0), word64(at) if size == _U(8) else _U(0)
        if kind == _U(UNSIGNED) and word >> _U(63):
            return _F(np.float64(word)) if is_twice else _F(word)
        value = whole(kind, size, at)
        return _F(np.float64(value)) if is_twice else _F(value)
    return float32(at) if size == _U(4) else _F(float64(at))


@part
def string(form: int, row: int, scratch: int) -> tuple[int, int, bool]:
    """The address and the length of a row's string, or of its integer as decimal text; length 0 if it is missing.

    Args:
        form: Address of a form.
        row: The row.
        scratch: Address of `LONGEST_NUMBER` bytes for the text of integers.

    Returns:
        The address, the length, and whether the element has such text, as floats that are not whole have not.
    """
    kind = field(form, KIND)
    if kind == _U(PADDED):
        at, length = element(form, row), field(form, SIZE)
        while length > _U(0) and word8(at + length - _U(1)) == _U(0):
            length -= _U(1)
        return at, length, True
    if kind == _U(TEXT):
        if not is_there(form, row):
            return _U(0), _U(0), True
        size = field(form, SIZE)
        offset = field(form, OFFSETS) + _U(row) * size
        if size == _U(4):
            start, end = word32(offset), word32(offset + _U(4))
        else:
            start, end = word64(offset), word64(offset + _U(8))
        return field(form, DATA) + start, end - start, True
    value, is_exact = integer(form, row)
    if value == -1 or not is_exact:
        return scratch, _U(0), is_exact
    at, length = _decimal(value, scratch)
    return at, length, True


@part
def _decimal(value: int, scratch: int) -> tuple[int, int]:
    """Writes decimal text; returns its address and length."""
    left = _U(value) if value >= 0 else _U(0) - _U(value)
    end = scratch + _U(LONGEST_NUMBER)
    at = end
    while at == end or left > _U(0):
        at -= _U(1)
        tens = left // _U(10)
        set_word8(at, _U(48) + (left - tens * _U(10)))
        left = tens
    if value < 0:
        at -= _U(1)
        set_word8(at, _U(45))
    return at, end - at
