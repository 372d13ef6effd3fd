"""Ids of a batch, column by column: hash buckets, vocabularies, identities, buckets of numbers, and crosses of these.

A *recipe* describes one column in `RECIPE` int64s, whose places are named below; a *form* describes its array
(`torchest.kernels.elements`). Kernels fill

    rows: The row of a table for each id, [batch, columns]: negative for missing values and unknown ones; −1 in place of
        DECLINED columns.
    codes: What crosses fold, [keys, batch].
    without: For each column, then for each key of a cross, the number of values without a row, or DECLINED.

They return the number of values without a row; DECLINED if a column is. The frequent ones are in a kernel of their own,
which takes less time to compile than all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel, part
from torchest.kernels.elements import (
    BOOL,
    CODES,
    DATA,
    ENTRIES,
    FORM,
    KIND,
    LONGEST_NUMBER,
    NONE,
    OFFSETS,
    PADDED,
    SIZE,
    STRIDE,
    TEXT,
    UNSIGNED,
    decimal,
    integer,
    is_there,
    number,
    whole,
)
from torchest.kernels.farmhash import fingerprint, fingerprint_cat
from torchest.kernels.memory import (
    field,
    float32,
    high_product,
    int64,
    set_word64,
    word8,
    word32,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Int64s = npt.NDArray[np.int64]

_U: Callable[[int], int] = np.uint64  # as in farmhash
_I: Callable[[int], int] = np.int64
_ZERO = _U(0)

# The places in a recipe: the kind of column; what arrays it takes, a sum of TAKES_*; the number of buckets, words, ids
# or boundaries, and of buckets for unknown words, each followed by (2**64 − 1) // number; the row of the table for id
# 0; the id of unknown values, −1 for none, REFUSED for an error; the address of a table; and of a cross the first hash,
# the place of the first key, and the number of keys.
COLUMN, TAKES, COUNT, COUNT_INVERSE, OOV, OOV_INVERSE = range(6)
FIRST, UNKNOWN, TABLE, START, LEAF, LEAVES = range(6, 12)
RECIPE = 12

# What COLUMN says. RAW is the key of a cross that is no column.
OTHER, HASHED, WORDS, RAW, INTEGERS, IDENTITY, BUCKETS, CROSS = range(8)
TAKES_TEXT, TAKES_NUMBERS, TAKES_BOOLS = 1, 2, 4

# Ids of values without one: unknown ones have −1.
MISSING = np.iinfo(np.int64).min
REFUSED = -2
DECLINED = -1  # the result for a column whose array is not suitable
LEFT = -2  # that for one which another kernel encodes

# The places in a table of words. `torchest.columns.encode.vocabulary.Words` describes it.
BEGINS, SHIFT, SORTED, ORDER, WORD_DATA, WORD_STARTS, WORD_LENGTHS = range(7)

# The places in a table of integers: the addresses of the ascending integers, and of their positions in the vocabulary.
SORTED_INTEGERS, ORDER_OF_INTEGERS = range(2)


@kernel
def rows_of_text(
    recipes: Int64s, forms: Int64s, rows: Int64s, codes: Int64s, without: Int64s
) -> int:
    """Encodes strings by hashed columns, vocabularies of words, and keys of crosses.

    Args:
        recipes: The recipes of the columns, then those of crosses' keys, [columns + keys, RECIPE].
        forms: The forms of their arrays, [columns + keys, FORM]; a cross has none.
        rows: See above.
        codes: See above.
        without: See above. It is LEFT for what `rows_of_others` encodes, and 0 for crosses.

    Returns:
        See above; LEFT if something is.
    """
    batch, columns = rows.shape
    total, is_left, is_declined = 0, False, False
    recipe, form = _I(recipes.ctypes.data), _I(forms.ctypes.data)
    for place in range(len(recipes)):
        column, kind, count = field(recipe, COLUMN), field(form, KIND), 0
        is_text = kind == PADDED or kind == TEXT  # noqa: PLR1714 - `in` takes longer to compile
        takes_text = HASHED <= column <= RAW and field(recipe, TAKES) & TAKES_TEXT != 0
        if is_text and takes_text:
            target, step = _I(rows.ctypes.data) + 8 * place, 8 * columns
            if place >= columns:
                target, step = _I(codes.ctypes.data) + 8 * batch * (place - columns), 8
            if kind == PADDED and column == HASHED:
                count = _rows_of_padded(recipe, form, batch, target, step)
            else:
                count = _rows_of_text(recipe, form, batch, target, step)
        elif column == OTHER or (kind == NONE and column != CROSS):
            count = DECLINED
        elif column != CROSS:
            count, is_left = LEFT, True
        without[place] = count
        if place < columns:
            is_declined |= count == DECLINED
            total += count
        recipe += 8 * RECIPE
        form += 8 * FORM
    return LEFT if is_left else DECLINED if is_declined else total


@part
def _rows_of_padded(recipe: int, form: int, batch: int, target: int, step: int) -> int:
    """Writes the ids of padded strings for a hashed column, the most frequent case."""
    count, inverse = _U(field(recipe, COUNT)), _U(field(recipe, COUNT_INVERSE))
    first, width, without = field(recipe, FIRST), field(form, SIZE), 0
    data, stride = field(form, DATA), field(form, STRIDE)
    for row in range(batch):
        at, length, value = data + row * stride, width, MISSING
        while length > 0 and word8(at + length - 1) == _ZERO:
            length -= 1
        if length > 0:
            value = first + remainder(fingerprint(at, length), count, inverse)
        else:
            without += 1
        set_word64(target, value)
        target += step
    return without


@part
def _rows_of_text(recipe: int, form: int, batch: int, target: int, step: int) -> int:
    """Writes the ids of one column; returns the number of values without one."""
    column, kind, width, without = field(recipe, COLUMN), field(form, KIND), field(form, SIZE), 0
    data, stride, offset = field(form, DATA), field(form, STRIDE), field(form, OFFSETS)
    for row in range(batch):
        at, length = data + row * stride, 0
        if kind == PADDED:
            length = width
            while length > 0 and word8(at + length - 1) == _ZERO:
                length -= 1
        elif is_there(form, row):
            start, end = int64(offset), int64(offset + width)
            if width == 4:
                start, end = _I(word32(offset)), _I(word32(offset + 4))
            at, length = data + start, end - start
        value = MISSING if length == 0 and column != RAW else _id_of_text(recipe, at, length)
        if value < 0 and column != RAW:
            without += 1
        set_word64(target, value)
        target += step
        offset += width
    return without


@part
def _id_of_text(recipe: int, at: int, length: int) -> int:
    """The row of a string, its fingerprint for a key of a cross; negative if it has none."""
    column, first, hashed = field(recipe, COLUMN), field(recipe, FIRST), fingerprint(at, length)
    if column == RAW:
        return _I(hashed)
    if column == HASHED:
        inverse = _U(field(recipe, COUNT_INVERSE))
        return first + remainder(hashed, _U(field(recipe, COUNT)), inverse)
    word = place_of_word(field(recipe, TABLE), at, length, hashed)
    if word < 0:
        word = id_of_unknown(recipe, hashed)
    return word + first if word >= 0 else word


@part
def remainder(dividend: int, divisor: int, inverse: int) -> int:
    """The remainder of a division, without the division, which takes as long as hashing a short string."""
    rest = dividend - high_product(dividend, inverse) * divisor  # of the quotient or 1 less
    return _I(rest - divisor if rest >= divisor else rest)


@part
def id_of_unknown(recipe: int, hashed: int) -> int:
    """The id of a word that is not in a vocabulary; negative if it has none."""
    buckets = field(recipe, OOV)
    if buckets == 0:
        return field(recipe, UNKNOWN)
    inverse = _U(field(recipe, OOV_INVERSE))
    return remainder(hashed, _U(buckets), inverse) + field(recipe, COUNT)


@part
def place_of_word(table: int, at: int, length: int, hashed: int) -> int:
    """The position of a string in a vocabulary, −1 for an unknown one.

    Args:
        table: Address of the table of words.
        at: Address of the string.
        length: Its number of bytes.
        hashed: Its fingerprint.
    """
    slot = _I(hashed >> _U(field(table, SHIFT)))
    begins, in_order = field(table, BEGINS), field(table, SORTED)
    for place in range(field(begins, slot), field(begins, slot + 1)):
        if _U(field(in_order, place)) == hashed:
            word = field(field(table, ORDER), place)
            if field(field(table, WORD_LENGTHS), word) == length:
                start = field(table, WORD_DATA) + field(field(table, WORD_STARTS), word)
                same = 0
                while same < length and word8(start + same) == word8(at + same):
                    same += 1
                if same == length:
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
    words = _I(table.ctypes.data)
    for row in range(len(places)):
        at, length, hashed = data + field(starts, row), field(lengths, row), field(hashes, row)
        places[row] = place_of_word(words, at, length, _U(hashed))


@kernel
def rows_of_others(
    recipes: Int64s, forms: Int64s, rows: Int64s, codes: Int64s, without: Int64s
) -> int:
    """Encodes what `rows_of_text` left, which takes the same arguments."""
    batch, columns = rows.shape
    total, is_declined = 0, False
    scratch = np.empty(LONGEST_NUMBER, np.uint8)
    end = _I(scratch.ctypes.data) + LONGEST_NUMBER
    recipe, form = _I(recipes.ctypes.data), _I(forms.ctypes.data)
    for place in range(len(recipes)):
        if without[place] == LEFT:
            target, step = _I(rows.ctypes.data) + 8 * place, 8 * columns
            if place >= columns:
                target, step = _I(codes.ctypes.data) + 8 * batch * (place - columns), 8
            without[place] = _rows_of_others(recipe, form, end, batch, target, step)
        if place < columns:
            is_declined |= without[place] == DECLINED
            total += without[place]
        recipe += 8 * RECIPE
        form += 8 * FORM
    return DECLINED if is_declined else total


@part
def _rows_of_others(recipe: int, form: int, end: int, batch: int, target: int, step: int) -> int:
    """Writes the ids of one column, with memory before `end`; returns the number of values without one, or DECLINED."""
    column, kind = field(recipe, COLUMN), field(form, KIND)
    if field(recipe, TAKES) & _taken(kind) == 0:
        return DECLINED
    first, without = field(recipe, FIRST), 0
    for row in range(batch):
        is_suitable = True
        if kind == CODES:
            value = _code(form, row)
        elif column == BUCKETS:
            value = _bucket_of_number(recipe, number(form, row))
            is_suitable = value >= 0
        else:
            value, is_suitable = integer(form, row)
            if column != RAW and is_suitable:
                value = _id_of_integer(recipe, column, value, end)
                is_suitable = value != REFUSED
        if not is_suitable:
            return DECLINED
        if value < 0 and column != RAW:
            without += 1
            set_word64(target, value)
        else:
            set_word64(target, value + first)
        target += step
    return without


@part
def _taken(kind: int) -> int:
    """What a column takes that takes arrays of this kind."""
    if kind == PADDED or kind == TEXT or kind == CODES:  # noqa: PLR1714, SIM109 - as above
        return TAKES_TEXT
    return TAKES_BOOLS if kind == BOOL else TAKES_NUMBERS


@part
def _code(form: int, row: int) -> int:
    """The code of a dictionary's entry: that of the empty string, which comes last, for a missing one."""
    entry = field(form, ENTRIES)
    if is_there(form, row):
        size = field(form, SIZE)
        entry = whole(UNSIGNED, size, field(form, DATA) + row * field(form, STRIDE))
    return field(field(form, OFFSETS), entry)


@part
def _id_of_integer(recipe: int, column: int, value: int, end: int) -> int:
    """The id of an integer: MISSING for −1, negative or REFUSED for an unknown one."""
    if value == -1:
        return MISSING
    count = field(recipe, COUNT)
    if column == IDENTITY:
        return value if 0 <= value < count else field(recipe, UNKNOWN)
    if column == INTEGERS:
        place = _place_of_integer(field(recipe, TABLE), count, value)
        if place >= 0:
            return place
    length = decimal(value, end)
    hashed = fingerprint(end - length, length)
    if column == HASHED:
        return remainder(hashed, _U(count), _U(field(recipe, COUNT_INVERSE)))
    if column == WORDS:
        place = place_of_word(field(recipe, TABLE), end - length, length, hashed)
        if place >= 0:
            return place
    return id_of_unknown(recipe, hashed)


@part
def _place_of_integer(table: int, count: int, value: int) -> int:
    """The position of an integer in a vocabulary, by bisection; −1 for an unknown one."""
    low, high, ascending = 0, count, field(table, SORTED_INTEGERS)
    while low < high:
        middle = (low + high) >> 1
        if field(ascending, middle) < value:
            low = middle + 1
        else:
            high = middle
    if low < count and field(ascending, low) == value:
        return field(field(table, ORDER_OF_INTEGERS), low)
    return -1


@part
def _bucket_of_number(recipe: int, value: float) -> int:
    """The number of boundaries that are not above a number, by bisection; the default's for NaN, −1 if that is NaN."""
    table = field(recipe, TABLE)
    if value != value:  # noqa: PLR0124 - NaN
        value = float32(table)
    if value != value:  # noqa: PLR0124
        return -1
    low, high = 0, field(recipe, COUNT)
    while low < high:
        middle = (low + high) >> 1
        if float32(table + 4 * middle + 4) <= value:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def rows_of_crosses(
    recipes: Int64s, rows: Int64s, codes: Int64s, without: Int64s, total: int
) -> int:
    """Encodes crosses, after the other kernels, whose result is `total`."""
    batch, columns = rows.shape
    recipe = _I(recipes.ctypes.data)
    keys = recipe + 8 * RECIPE * columns
    for place in range(columns):
        if field(recipe, COLUMN) == CROSS:
            target, step = _I(rows.ctypes.data) + 8 * place, 8 * columns
            first = field(recipe, LEAF)
            for key in range(first, first + field(recipe, LEAVES)):
                if without[columns + key] == DECLINED:
                    without[place] = DECLINED
            if without[place] != DECLINED:
                first_codes = _I(codes.ctypes.data)
                without[place] = _crossed(recipe, keys, first_codes, batch, target, step)
            if without[place] == DECLINED:
                total = DECLINED
        recipe += 8 * RECIPE
    return total


@part
def _crossed(recipe: int, keys: int, codes: int, batch: int, target: int, step: int) -> int:
    """Writes the ids of a cross; declines if a column among its keys lacks a value: its ids are a list then."""
    first = field(recipe, LEAF)
    last = first + field(recipe, LEAVES)
    count, inverse = _U(field(recipe, COUNT)), _U(field(recipe, COUNT_INVERSE))
    for row in range(batch):
        folded = _U(field(recipe, START))
        for key in range(first, last):
            code = field(codes, key * batch + row)
            if code == MISSING and field(keys + 8 * RECIPE * key, COLUMN) != RAW:
                return DECLINED
            folded = fingerprint_cat(folded, _U(code))
        set_word64(target, field(recipe, FIRST) + remainder(folded, count, inverse))
        target += step
    return 0
