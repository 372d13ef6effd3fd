"""The linear model: sums of rows of a table for each example, and the sums of their gradients for each row.

Rows are int64 [batch, n]. `present` says which of them count, bool [batch, n]; it is empty if all do. A row that does
not count is read and gets a gradient of 0, as in TensorFlow, where a missing id looks up id 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel

if TYPE_CHECKING:
    import numpy.typing as npt

    Booleans = npt.NDArray[np.bool_]
    Int32s = npt.NDArray[np.int32]
    Int64s = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.floating]

_MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio
_HALF = np.uint64(32)


@kernel
def add_rows(table: Floats, rows: Int64s, present: Booleans, outputs: Floats) -> bool:
    """Adds the sum of an example's rows, in their order, to its outputs.

    Args:
        table: [rows of the table, units].
        rows: [batch, n].
        present: [batch, n] or [0, n].
        outputs: [batch, units].

    Returns:
        Whether all rows are in the table; if not, outputs may be incomplete.
    """
    count, units = rows.shape[1], table.shape[1]
    zero = outputs.dtype.type(0)
    above = np.uint64(len(table))
    for example in range(rows.shape[0]):
        for place in range(count):
            if np.uint64(rows[example, place]) >= above:  # so are negative ones
                return False
        for unit in range(units):
            total = zero
            for place in range(count):
                number = table[np.uint64(rows[example, place]), unit]
                if len(present):
                    number *= outputs.dtype.type(present[example, place])
                total += number
            outputs[example, unit] += total
    return True


@kernel
def add_up_by_row(
    rows: Int64s,
    present: Booleans,
    gradient: Floats,
    places: Int32s,
    distinct: Int64s,
    sums: Floats,
) -> int:
    """Adds up the gradients of each row, in the order of the examples.

    Rows are found again in a hash table of the batch, which costs less than sorting them, and does not grow with the
    tables.

    Args:
        rows: [batch, n].
        present: [batch, n] or [0, n].
        gradient: The gradient of all rows of an example, [batch, units].
        places: Memory of the hash table: a power of two above batch · n.
        distinct: Output: the distinct rows, in the order in which they come, in [batch · n].
        sums: Output: their gradients, in [batch · n, units].

    Returns:
        The number of distinct rows.
    """
    places[:] = -1
    one, mask = np.uint64(1), np.uint64(len(places) - 1)
    units, count = gradient.shape[1], 0
    zero = sums.dtype.type(0)
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
            index = np.uint64(places[at])
            counts = len(present) == 0 or present[example, column]
            for unit in range(units):
                slope = gradient[example, unit] if counts else zero
                sums[index, unit] = slope if is_new else sums[index, unit] + slope
    return count
