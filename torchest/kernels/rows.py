"""Rows of tables that a batch uses: which these are, and the sums of their gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.kernels.compiling import kernel

if TYPE_CHECKING:
    import numpy.typing as npt

    Int64s = npt.NDArray[np.int64]
    Floats = npt.NDArray[Any]

_DIGIT = 11  # bits


@kernel
def number(rows: Int64s, bits: int, keys: Int64s) -> None:
    """Writes each row number with its place behind it, as one number.

    Args:
        rows: [m].
        bits: That a place has.
        keys: [m].
    """
    for place in range(len(rows)):
        keys[place] = (rows[place] << bits) | place


@kernel
def group(keys: Int64s, bits: int, rows: Int64s, places: Int64s, starts: Int64s) -> int:
    """Takes sorted keys apart into the rows that there are, and the places of each.

    Args:
        keys: What `number` wrote, ascending, [m].
        bits: That a place has.
        rows: Room for the rows, each once, [m].
        places: Room for the places, [m].
        starts: Room for where in `places` those of each row begin, [m].

    Returns:
        How many rows there are.
    """
    mask = (1 << bits) - 1
    count, last = 0, -1
    for index in range(len(keys)):
        key = keys[index]
        row = key >> bits
        places[index] = key & mask
        if row != last:
            rows[count], starts[count] = row, index
            count += 1
            last = row
    return count


@kernel
def order(rows: Int64s, bound: int) -> tuple[Int64s, Int64s, Int64s]:
    """What `number`, sorting and `group` find, for a few rows: in one call, which asks once for the interpreter's lock.

    The places are sorted by one digit of their rows after the other, from the lowest on.

    Args:
        rows: [m].
        bound: Above all rows. Its bits and those of m are fewer than 64.

    Returns:
        The rows that there are, each once, [n]; the places [m]; where in them those of each row begin, [n].
    """
    # all numbers are unsigned: an index that may be negative takes longer
    count, one, zero = np.uint64(len(rows)), np.uint64(1), np.uint64(0)
    bits = zero  # that a place has
    while count >> bits > zero:
        bits += one
    keys, others = np.empty(count, np.uint64), np.empty(count, np.uint64)
    for place in range(count):
        keys[place] = (np.uint64(rows[place]) << bits) | np.uint64(place)
    size, last = np.uint64(1 << _DIGIT), np.uint64(bound - 1)
    shift = zero
    ends = np.empty(size, np.uint32)
    while shift == zero or (shift + bits < np.uint64(64) and last >> shift > zero):
        ends[:] = 0
        for key in keys:
            ends[(key >> (bits + shift)) & (size - one)] += np.uint32(1)
        total = np.uint32(0)
        for digit in range(size):
            ends[digit], total = total, total + ends[digit]
        for key in keys:
            digit = (key >> (bits + shift)) & (size - one)
            end = ends[digit]
            ends[digit] = end + np.uint32(1)
            others[end] = key
        keys, others = others, keys
        shift += np.uint64(_DIGIT)
    return _grouped(keys, bits)


@kernel
def _grouped(keys: Any, bits: Any) -> tuple[Int64s, Int64s, Int64s]:
    """What `group` finds, without a branch, which would be guessed wrong for half of the keys.

    What is written of a row's first key is written anew by the next one, unless that is of another row.
    """
    one = np.uint64(1)
    count = np.uint64(len(keys))
    distinct, places = np.empty(count, np.int64), np.empty(count, np.int64)
    starts = np.zeros(count + one, np.int64)
    found = np.uint64(0)
    for index in range(count):
        key = keys[index]
        places[index] = key & ((one << bits) - one)
        distinct[found] = key >> bits
        starts[found + one] = index + 1
        found += np.uint64(index + one == count or keys[index + one] >> bits != key >> bits)
    return distinct[:found], places, starts[:found]


@kernel
def add_up(values: Floats, places: Int64s, starts: Int64s, sums: Floats) -> None:
    """Writes the sum of the values of each row, in the order of their places.

    Args:
        values: [m, dimension].
        places: [m]; see `group`.
        starts: [n].
        sums: [n, dimension].
    """
    count, total, width = len(starts), len(places), values.shape[1]
    if width == 1:  # without a loop of one, twice as fast
        for index in range(count):
            first = starts[index]
            end = starts[index + 1] if index + 1 < count else total
            number = values[places[first], 0]
            for other in range(first + 1, end):
                number += values[places[other], 0]
            sums[index, 0] = number
        return
    for index in range(count):
        first = starts[index]
        end = starts[index + 1] if index + 1 < count else total
        place = places[first]
        for i in range(width):
            sums[index, i] = values[place, i]
        for other in range(first + 1, end):
            place = places[other]
            for i in range(width):
                sums[index, i] += values[place, i]


@kernel
def add_up_rows(table: Floats, rows: Int64s, sums: Floats) -> bool:
    """Writes the sum of some rows of a table for each example, in their order.

    Args:
        table: [rows of the table, dimension].
        rows: [batch, n].
        sums: [batch, dimension].

    Returns:
        Whether the table has all these rows.
    """
    width = table.shape[1]
    for row in rows.flat:
        if row < 0 or row >= len(table):
            return False
    for example in range(rows.shape[0]):
        for i in range(width):
            number = sums.dtype.type(0)
            for place in range(rows.shape[1]):
                number += table[rows[example, place], i]
            sums[example, i] = number
    return True
