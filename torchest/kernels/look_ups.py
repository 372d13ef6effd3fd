"""Rows of tables side by side in a matrix [batch, width], in which column c of n has the place `starts[c]`.

Rows are int64 [batch, n], C-contiguous. `present` says which of them count, bool [batch, n]; it is empty if all do. A
row that does not count gives a vector of zeros, and gets a gradient of 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel
from torchest.kernels.memory import add_numbers, copy_numbers, numbers_at, prefetch

if TYPE_CHECKING:
    import numpy.typing as npt

    Booleans = npt.NDArray[np.bool_]
    Int32s = npt.NDArray[np.int32]
    Int64s = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.floating]

_MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio
_HALF = np.uint64(32)
_AHEAD = 16  # rows, so that reading them takes about as long as memory takes to answer


@kernel
def look_up(table: Floats, rows: Int64s, present: Booleans, starts: Int64s, matrix: Floats) -> bool:
    """Writes rows of a table into a matrix.

    Args:
        table: [rows of the table, dimension].
        rows: See above.
        present: See above.
        starts: See above.
        matrix: Output, [batch, width].

    Returns:
        Whether all rows are in the table; if not, nothing is written.
    """
    width, columns = table.shape[1], rows.shape[1]
    zero, size = table.dtype.type(0), table.itemsize
    length, stride = np.int64(table.strides[0]), np.int64(matrix.strides[0])
    first, out = np.int64(table.ctypes.data), np.int64(matrix.ctypes.data)
    flat = rows.reshape(-1)
    for row in flat:
        if row < 0 or row >= len(table):
            return False
    for example in range(len(rows)):
        for column in range(columns):
            ahead = example * columns + column + _AHEAD
            if ahead < len(flat):
                prefetch(first + flat[ahead] * length)
            to = out + example * stride + starts[column] * size
            if len(present) > 0 and not present[example, column]:
                numbers_at(to, width, zero)[:] = zero
            else:
                copy_numbers(to, first + rows[example, column] * length, width, zero)
    return True


@kernel
def add_up_by_row(  # noqa: PLR0913
    rows: Int64s,
    present: Booleans,
    starts: Int64s,
    gradient: Floats,
    places: Int32s,
    distinct: Int64s,
    sums: Floats,
) -> int:
    """Adds up the gradients of each row, in the order of the examples, and of the columns of an example.

    Rows are found again in a hash table of the batch, which costs less than sorting them, and does not grow with the
    tables.

    Args:
        rows: See above.
        present: See above.
        starts: See above.
        gradient: That of the matrix, [batch, width].
        places: Memory of the hash table: a power of two above batch · n.
        distinct: Output: the distinct rows, in the order in which they come, in [batch · n].
        sums: Output: their gradients, in [batch · n, dimension].

    Returns:
        The number of distinct rows.
    """
    places[:] = -1
    one, mask = np.uint64(1), np.uint64(len(places) - 1)
    width, count = sums.shape[1], 0
    zero, size = sums.dtype.type(0), sums.itemsize
    length, stride = np.int64(sums.strides[0]), np.int64(gradient.strides[0])
    first, source = np.int64(sums.ctypes.data), np.int64(gradient.ctypes.data)
    for example in range(rows.shape[0]):
        for column in range(rows.shape[1]):
            row = rows[example, column]
            at = ((np.uint64(row) * _MIXER) >> _HALF) & mask
            while places[at] >= 0 and distinct[np.uint64(places[at])] != row:
                at = (at + one) & mask
            is_new = places[at] < 0
            if is_new:
                places[at], distinct[count] = count, row
                count += 1
            to = first + np.int64(places[at]) * length
            slope = source + example * stride + starts[column] * size
            if len(present) > 0 and not present[example, column]:
                if is_new:
                    numbers_at(to, width, zero)[:] = zero
            elif is_new:
                copy_numbers(to, slope, width, zero)
            else:
                add_numbers(to, slope, width, zero)
    return count
