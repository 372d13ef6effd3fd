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
        bound: Above all rows.

    Returns:
        The rows that there are, each once, [n]; the places [m]; where in them those of each row begin, [n].
    """
    size = 1 << _DIGIT
    places, others = np.arange(len(rows)), np.empty(len(rows), np.int64)
    shift = 0
    while shift == 0 or (bound - 1) >> shift > 0:
        ends = np.zeros(size + 1, np.int64)
        for row in rows:
            ends[((row >> shift) & (size - 1)) + 1] += 1
        for digit in range(size):
            ends[digit + 1] += ends[digit]
        for place in places:
            digit = (rows[place] >> shift) & (size - 1)
            others[ends[digit]] = place
            ends[digit] += 1
        places, others = others, places
        shift += _DIGIT
    starts, distinct = others, np.empty(len(rows), np.int64)
    count, last = 0, np.int64(-1)
    for index in range(len(rows)):
        row = rows[places[index]]
        if row != last:
            distinct[count], starts[count] = row, index
            count += 1
            last = row
    return distinct[:count], places, starts[:count]


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
