"""Ids of a batch, column by column: hash buckets, vocabularies, identities, buckets of numbers, and crosses of these.

A *recipe* describes one column in `RECIPE` int64s, whose places are named below; a *form* describes its array
(`torchest.kernels.elements`). All functions but the first take addresses, as in `torchest.kernels.farmhash`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel, part
from torchest.kernels.elements import (
    BOOL,
    CODES,
    ENTRIES,
    FORM,
    KIND,
    LONGEST_NUMBER,
    NONE,
    OFFSETS,
    PADDED,
    SIZE,
    TEXT,
    UNSIGNED,
    element,
    field,
    integer,
    is_there,
    number,
    string,
    whole,
)
from torchest.kernels.farmhash import fingerprint, fingerprint_cat
from torchest.kernels.memory import float32, high_product, int64, set_word64, word8, word64

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Int64s = npt.NDArray[np.int64]

_U: Callable[[int], int] = np.uint64  # as in farmhash
_I: Callable[[int], int] = np.int64

# The places in a recipe: the kind of column; what arrays it takes, a sum of TAKES_*; the number of buckets, words, ids
# or boundaries, and of buckets for unknown words, each followed by (2**64 − 1) // number; the row of the table for id
# 0; the id of unknown values, −1 for none, REFUSED for an error; the address of a table; and of a cross the first hash,
# the place of the first key, and the number of keys.
COLUMN, TAKES, COUNT, COUNT_INVERSE, OOV, OOV_INVERSE = range(6)
FIRST, UNKNOWN, TABLE, START, LEAF, LEAVES = range(6, 12)
RECIPE = 12

# What COLUMN says. RAW is the key of a cross that is no column.
OTHER, HASHED, WORDS, INTEGERS, IDENTITY, BUCKETS, CROSS, RAW = range(8)
TAKES_TEXT, TAKES_NUMBERS, TAKES_BOOLS = 1, 2, 4

# Ids of values without one: unknown ones have −1.
MISSING = np.iinfo(np.int64).min
REFUSED = -2
DECLINED = -1  # the result for a column whose array is not suitable

# The places in a table of words. `torchest.columns.encode.vocabulary.Words` describes it.
BEGINS, SHIFT, SORTED, ORDER, WORD_DATA, WORD_STARTS, WORD_LENGTHS = range(7)

# The places in a table of integers: the addresses of the ascending integers, and of their positions in the vocabulary.
SORTED_INTEGERS, ORDER_OF_INTEGERS = range(2)


@kernel
def rows_of_columns(
    recipes: Int64s, forms: Int64s, rows: Int64s, codes: Int64s, without: Int64s
) -> int:
    """Writes the row of a table for each id of a batch.

    Args:
        recipes: The recipes of the columns, then those of crosses' keys, [columns + keys, RECIPE].
        forms: The forms of their arrays, [columns + keys, FORM]; a cross has none.
        rows: Output, [batch, columns]: negative for missing values and unknown ones; −1 in place of DECLINED columns.
        codes: Output, [keys, batch]: what crosses fold.
        without: Output, [columns + keys]: the number of values without a row, or DECLINED.

    Returns:
        The number of values without a row; DECLINED if a column is.
    """
    batch, columns = rows.shape
    scratch = np.empty(LONGEST_NUMBER, np.uint8)
    recipe, form = _U(recipes.ctypes.data), _U(forms.ctypes.data)
    keys, target = recipe + _U(8 * RECIPE * columns), _U(codes.ctypes.data)
    for place in range(columns, len(recipes)):
        at, array = recipe + _U(8 * RECIPE * place), form + _U(8 * FORM * place)
        without[place] = _ids(at, array, _U(scratch.ctypes.data), batch, target, _U(8))
        target += _U(8 * batch)
    total, step = 0, _U(8 * columns)
    for place in range(columns):
        at, array = recipe + _U(8 * RECIPE * place), form + _U(8 * FORM * place)
        target = _U(rows.ctypes.data) + _U(8 * place)
        if field(at, COLUMN) != _U(CROSS):
            without[place] = _ids(at, array, _U(scratch.ctypes.data), batch, target, step)
        else:
            first = _I(field(at, LEAF))
            without[place] = 0
            for key in range(first, first + _I(field(at, LEAVES))):
                if without[columns + key] == DECLINED:
                    without[place] = DECLINED
            if without[place] != DECLINED:
                first_codes = _U(codes.ctypes.data)
                without[place] = _crossed(at, keys, first_codes, batch, target, step)
        total = DECLINED if DECLINED in (total, without[place]) else total + without[place]
    return total


@part
def place_of_word(table: int, at: int, length: int, hashed: int) -> int:
    """The position of a string in a vocabulary, −1 for an unknown one.

    Args:
        table: Address of the table of words.
        at: Address of the string.
        length: Its number of bytes.
        hashed: Its fingerprint.
    """
    slot = field(table, BEGINS) + ((hashed >> field(table, SHIFT)) << _U(3))
    for place in range(int64(slot), int64(slot + _U(8))):
        if word64(field(table, SORTED) + _U(8 * place)) == hashed:
            word = int64(field(table, ORDER) + _U(8 * place))
            if word64(field(table, WORD_LENGTHS) + _U(8 * word)) == length:
                start = word64(field(table, WORD_STARTS) + _U(8 * word))
                if _are_equal(field(table, WORD_DATA) + start, at, length):
                    return word
    return -1


@kernel
def places_of_words(
    table: Int64s, data: int, starts: int, lengths: int, hashes: int, places: Int64s
) -> None:
    """Writes the position of each string in a vocabulary, −1 for unknown ones.

    Args:
        table: The table of words.
        data: Address of the buffer of the strings. Some arrays are read-only, which is a type of its own for Numba.
        starts: Address of the beginnings of the strings in the buffer, int64.
        lengths: Address of their numbers of bytes, int64.
        hashes: Address of their fingerprints.
        places: Output, [strings].
    """
    words = _U(table.ctypes.data)
    for row in range(len(places)):
        at = _U(data) + word64(_U(starts + 8 * row))
        length, hashed = word64(_U(lengths + 8 * row)), word64(_U(hashes + 8 * row))
        places[row] = place_of_word(words, at, length, hashed)


@part
def _are_equal(first: int, second: int, length: int) -> bool:
    place = _U(0)
    while place < length and word8(first + place) == word8(second + place):
        place += _U(1)
    return place == length


@part
def _remainder(dividend: int, divisor: int, inverse: int) -> int:
    """The remainder of a division, without the division, which takes as long as hashing a short string."""
    rest = dividend - high_product(dividend, inverse) * divisor  # of the quotient or 1 less
    return rest - divisor if rest >= divisor else rest


@part
def _takes(recipe: int, kind: int) -> bool:
    """Whether a column takes an array of this kind."""
    takes = field(recipe, TAKES)
    if kind == _U(NONE):
        return False
    if kind == _U(PADDED) or kind == _U(TEXT) or kind == _U(CODES):
        return takes & _U(TAKES_TEXT) != _U(0)
    return takes & _U(TAKES_BOOLS if kind == _U(BOOL) else TAKES_NUMBERS) != _U(0)


@part
def _ids(recipe: int, form: int, scratch: int, batch: int, target: int, step: int) -> int:
    """Writes the ids of one column; returns the number of values without one, or DECLINED."""
    column, kind = field(recipe, COLUMN), field(form, KIND)
    if column == _U(OTHER) or not _takes(recipe, kind):
        return DECLINED
    if column == _U(HASHED) and kind == _U(PADDED):
        return _buckets_of_padded(recipe, form, batch, target, step)
    first, without = _I(field(recipe, FIRST)), 0
    for row in range(batch):
        if kind == _U(CODES):
            value, is_suitable = _code(form, row), True
        elif column == _U(HASHED) or column == _U(WORDS) or column == _U(RAW):
            value, is_suitable = _id_of_text(recipe, column, form, row, scratch)
        elif column == _U(BUCKETS):
            value, is_suitable = _bucket_of_number(recipe, form, row)
        else:
            value, is_suitable = _id_of_integer(recipe, column, form, row, scratch)
        if not is_suitable:
            return DECLINED
        if value < 0 and column != _U(RAW):
            set_word64(target, _U(value))
            without += 1
        else:
            set_word64(target, _U(value + first))
        target += step
    return without


@part
def _buckets_of_padded(recipe: int, form: int, batch: int, target: int, step: int) -> int:
    """The ids of a hashed column of padded strings, the most frequent case."""
    count, inverse = field(recipe, COUNT), field(recipe, COUNT_INVERSE)
    first, width, stride = field(recipe, FIRST), field(form, SIZE), element(form, 1)
    at = element(form, 0)
    stride -= at
    without = 0
    for _ in range(batch):
        length = width
        while length > _U(0) and word8(at + length - _U(1)) == _U(0):
            length -= _U(1)
        if length == _U(0):
            set_word64(target, _U(MISSING))
            without += 1
        else:
            set_word64(target, first + _remainder(fingerprint(at, length), count, inverse))
        at += stride
        target += step
    return without


@part
def _code(form: int, row: int) -> int:
    """The code of a dictionary's entry: that of the empty string, which comes last, for a missing one."""
    entry = field(form, ENTRIES)
    if is_there(form, row):
        entry = _U(whole(_U(UNSIGNED), field(form, SIZE), element(form, row)))
    return int64(field(form, OFFSETS) + (entry << _U(3)))


@part
def _id_of_text(recipe: int, column: int, form: int, row: int, scratch: int) -> tuple[int, bool]:
    kind = field(form, KIND)
    if column == _U(RAW) and kind != _U(PADDED) and kind != _U(TEXT):
        return integer(form, row)
    at, length, is_suitable = string(form, row, scratch)
    if length == _U(0) and column != _U(RAW):
        return MISSING, is_suitable
    hashed = fingerprint(at, length)
    if column == _U(RAW):
        return _I(hashed), True
    if column == _U(HASHED):
        bucket = _remainder(hashed, field(recipe, COUNT), field(recipe, COUNT_INVERSE))
        return _I(bucket), True
    word = place_of_word(field(recipe, TABLE), at, length, hashed)
    return word if word >= 0 else _id_of_unknown(recipe, hashed), True


@part
def _id_of_integer(recipe: int, column: int, form: int, row: int, scratch: int) -> tuple[int, bool]:
    value, is_suitable = integer(form, row)
    if value == -1 or not is_suitable:
        return MISSING, is_suitable
    count = _I(field(recipe, COUNT))
    if column == _U(IDENTITY):
        if 0 <= value < count:
            return value, True
        default = _I(field(recipe, UNKNOWN))
        return default, default != REFUSED
    place = _place_of_integer(field(recipe, TABLE), count, value)
    if place >= 0:
        return place, True
    at, length, _ = string(form, row, scratch)
    return _id_of_unknown(recipe, fingerprint(at, length)), True


@part
def _place_of_integer(table: int, count: int, value: int) -> int:
    """The position of an integer in a vocabulary, by bisection; −1 for an unknown one."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if int64(field(table, SORTED_INTEGERS) + _U(8 * middle)) < value:
            low = middle + 1
        else:
            high = middle
    if low < count and int64(field(table, SORTED_INTEGERS) + _U(8 * low)) == value:
        return int64(field(table, ORDER_OF_INTEGERS) + _U(8 * low))
    return -1


@part
def _bucket_of_number(recipe: int, form: int, row: int) -> tuple[int, bool]:
    """The number of boundaries that are not above a number, by bisection; a missing one counts as the default."""
    table = field(recipe, TABLE)
    value = number(form, row)
    if value != value:  # noqa: PLR0124 - NaN
        value = float32(table)
    low, high = 0, _I(field(recipe, COUNT))
    while low < high:
        middle = (low + high) // 2
        if float32(table + _U(4 * middle + 4)) <= value:
            low = middle + 1
        else:
            high = middle
    return low, value == value  # noqa: PLR0124 - NaN


@part
def _crossed(recipe: int, keys: int, codes: int, batch: int, target: int, step: int) -> int:
    """Writes the ids of a cross; declines if a column among its keys lacks a value: its ids are a list then."""
    first = _I(field(recipe, LEAF))
    last = first + _I(field(recipe, LEAVES))
    count, inverse = field(recipe, COUNT), field(recipe, COUNT_INVERSE)
    for row in range(batch):
        folded = field(recipe, START)
        for key in range(first, last):
            code = word64(codes + _U(8 * (key * batch + row)))
            is_column = field(keys + _U(8 * RECIPE * key), COLUMN) != _U(RAW)
            if is_column and code == _U(MISSING):
                return DECLINED
            folded = fingerprint_cat(folded, code)
        set_word64(target, field(recipe, FIRST) + _remainder(folded, count, inverse))
        target += step
    return 0


@part
def _id_of_unknown(recipe: int, hashed: int) -> int:
    buckets = field(recipe, OOV)
    if buckets == _U(0):
        return _I(field(recipe, UNKNOWN))
    bucket = _remainder(hashed, buckets, field(recipe, OOV_INVERSE))
    return _I(bucket + field(recipe, COUNT))
