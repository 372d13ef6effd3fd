"""The rows of tables that a batch uses, and the sums of their gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel, part

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Int64s = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.floating]

_DIGIT = 11  # bits


@kernel
def number(rows: Int64s, bits: int, keys: Int64s) -> None:
    """Writes each row number and its place as one key.

    Args:
        rows: Row numbers, [m].
        bits: Number of bits of a place.
        keys: Output, [m].
    """
    for place in range(len(rows)):
        keys[place] = (rows[place] << bits) | place


@kernel
def group(keys: Int64s, bits: int, rows: Int64s, places: Int64s, starts: Int64s) -> int:
    """Splits sorted keys into the distinct rows, and the places of each.

    Args:
        keys: Keys of `number`, ascending, [m].
        bits: Number of bits of a place.
        rows: Output: the distinct rows, in [m].
        places: Output: the places, [m].
        starts: Output: where the places of each row begin, in [m].

    Returns:
        The number of distinct rows.
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
    """Does the work of `number`, sorting and `group` in one call, which acquires the GIL only once; for few rows.

    A radix sort, from the lowest digit of the rows on.

    Args:
        rows: Row numbers, [m].
        bound: Above all rows. It and m have fewer than 64 bits together.

    Returns:
        The distinct rows [n]; the places [m]; where the places of each row begin [n].
    """
    # all numbers are unsigned: an index that may be negative takes longer
    count, one, zero = np.uint64(len(rows)), np.uint64(1), np.uint64(0)
    bits = zero  # of a place
    while count >> bits > zero:
        bits += one
    keys, others = np.empty(count, np.uint64), np.empty(count, np.uint64)
    for place in range(count):
        keys[place] = (np.uint64(rows[place]) << bits) | np.uint64(place)
    size, last = np.uint64(1 << _DIGIT), np.uint64(bound - 1)
    shift = zero
    ends = np.empty(size, np.uint32)
    while shift == zero or (shift + bits < np.uint64(64) and last >> shift > zero):
        for digit in range(size):  # compiling an assignment to a slice takes long
            ends[digit] = np.uint32(0)
        for place in range(count):
            ends[(keys[place] >> (bits + shift)) & (size - one)] += np.uint32(1)
        total = np.uint32(0)
        for digit in range(size):
            ends[digit], total = total, total + ends[digit]
        for place in range(count):
            key = keys[place]
            digit = (key >> (bits + shift)) & (size - one)
            end = ends[digit]
            ends[digit] = end + np.uint32(1)
            others[end] = key
        keys, others = others, keys
        shift += np.uint64(_DIGIT)
    return _grouped(keys, bits)


@part
def _grouped(keys: npt.NDArray[np.uint64], bits: np.uint64) -> tuple[Int64s, Int64s, Int64s]:
    """Like `group`, but without a branch, which would be mispredicted for half of the keys.

    Each key overwrites what the previous key of the same row wrote.
    """
    one = np.uint64(1)
    count = np.uint64(len(keys))
    distinct, places = np.empty(count, np.int64), np.empty(count, np.int64)
    starts = np.empty(count + one, np.int64)
    starts[0], row = 0, np.uint64(0)
    for index in range(count):
        key = keys[index]
        places[index] = key & ((one << bits) - one)
        distinct[row] = key >> bits
        starts[row + one] = index + 1
        row += np.uint64(index + one == count or keys[index + one] >> bits != key >> bits)
    return distinct[:row], places, starts[:row]


@kernel
def add_up(values: Floats, places: Int64s, starts: Int64s, sums: Floats) -> None:
    """Writes the sum of the values of each row, in the order of their places.

    Args:
        values: [m, dimension].
        places: [m]; see `group`.
        starts: [n]; see `group`.
        sums: Output, [n, dimension].
    """
    count, total, width = len(starts), len(places), values.shape[1]
    if width == 1:  # twice as fast without the inner loop
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
        sums: Output, [batch, dimension].

    Returns:
        Whether all rows are in the table.
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


@kernel
def not_marked(rows: Int64s, marks: Bytes, new: Int64s) -> int:
    """Marks rows, and lists those that were not marked before.

    Args:
        rows: Row numbers, [m].
        marks: A bit for each row of a table, changed in place.
        new: Output: the rows that were not marked, in [m].

    Returns:
        The number of rows that were not marked.
    """
    count = 0
    for index in range(len(rows)):
        row = rows[index]
        bit = 1 << (row & 7)
        if not marks[row >> 3] & bit:
            marks[row >> 3] |= bit
            new[count] = row
            count += 1
    return count
