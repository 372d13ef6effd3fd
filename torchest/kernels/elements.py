"""Reads single elements of a batch's arrays: numbers and strings of NumPy and Arrow.

A *form* describes one array in `FORM` int64s, whose places are named below. Functions take its address, and the row of
an element. `columns/encode/forms.py` writes the forms of Arrow arrays, `torchest.kernels.arrays` those of NumPy arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import part
from torchest.kernels.memory import (
    field,
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
def is_there(form: int, row: int) -> bool:
    """Whether a row has an element, by Arrow's bits of validity."""
    valid = field(form, VALID)
    if valid == 0:
        return True
    bit = field(form, FIRST_BIT) + row
    return (int8(valid + (bit >> 3)) >> (bit & 7)) & 1 == 1


@part
def whole(kind: int, size: int, at: int) -> int:
    """An integer of some type at an address, as int64."""
    if size == 8:
        return int64(at)
    if kind == SIGNED:
        return int32(at) if size == 4 else int16(at) if size == 2 else int8(at)
    return _I(word32(at) if size == 4 else word16(at) if size == 2 else word8(at))


@part
def integer(form: int, row: int) -> tuple[int, bool]:
    """The integer of a row, −1 for a missing one; and whether the number is one that int64 holds."""
    if not is_there(form, row):
        return -1, True
    kind, size = field(form, KIND), field(form, SIZE)
    at = field(form, DATA) + row * field(form, STRIDE)
    if kind != FLOAT:
        return whole(kind, size, at), kind != UNSIGNED or size != 8 or int64(at) >= 0
    number = np.float64(float32(at)) if size == 4 else float64(at)
    if number != number:  # noqa: PLR0124 - NaN
        return -1, True
    exact = 2.0**24 if size == 4 else 2.0**53  # beyond it, integers are rounded
    is_exact = number == np.floor(number) and -exact <= number <= exact
    return _I(number) if is_exact else -1, is_exact


@part
def number(form: int, row: int) -> float:
    """The number of a row as float32, NaN for a missing one."""
    if not is_there(form, row):
        return _F(np.nan)
    kind, size = field(form, KIND), field(form, SIZE)
    at = field(form, DATA) + row * field(form, STRIDE)
    if kind == FLOAT:
        return float32(at) if size == 4 else _F(float64(at))
    # Arrow makes float64 of integers if some are missing
    is_twice = field(form, VALID) != 0
    value = whole(kind, size, at)
    if kind == UNSIGNED and value < 0:
        return _F(np.float64(word64(at))) if is_twice else _F(word64(at))
    return _F(np.float64(value)) if is_twice else _F(value)


@part
def decimal(value: int, end: int) -> int:
    """Writes the decimal text of an integer in front of an address; returns its length."""
    left = _U(value) if value >= 0 else _U(0) - _U(value)
    at = end
    while at == end or left > _U(0):
        at -= 1
        tens = left // _U(10)
        set_word8(at, _U(48) + (left - tens * _U(10)))
        left = tens
    if value < 0:
        at -= 1
        set_word8(at, _U(45))
    return end - at
