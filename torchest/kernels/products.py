"""Products of small matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel
from torchest.kernels.memory import at, get

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Int64s = npt.NDArray[np.int64]


@kernel
def add_product(values: Floats, addresses: Int64s, sizes: Int64s, outputs: Floats) -> None:
    """Adds values [batch, width] times weights [width, units] to outputs [batch, units].

    The weights are blocks of `sizes` numbers of the outputs' type at `addresses`. Sums are float64.
    """
    units = outputs.shape[1]
    weights = np.empty(values.shape[1] * units, outputs.dtype)
    start = 0
    for index in range(len(sizes)):
        size = sizes[index]
        block = at(addresses[index], weights.dtype.type(0))
        for place in range(size):  # compiling an assignment to a slice takes seconds
            weights[start + place] = get(block, place)
        start += size
    for row in range(values.shape[0]):
        for unit in range(units):
            total = 0.0
            for place in range(values.shape[1]):
                total += values[row, place] * weights[place * units + unit]
            outputs[row, unit] += total


@kernel
def multiply_transposed(values: Floats, gradient: Floats, outputs: Floats) -> None:
    """Writes values [batch, width], transposed, times a gradient [batch, units] to outputs [width + 1, units].

    The last row is the sum of the gradient. All sums are over the batch, in float64.
    """
    width, units = values.shape[1], gradient.shape[1]
    totals = np.empty((width + 1) * units, np.float64)
    for place in range(len(totals)):
        totals[place] = 0.0
    for row in range(values.shape[0]):
        for unit in range(units):
            slope, first = gradient[row, unit], unit * (width + 1)
            for place in range(width):
                totals[first + place] += values[row, place] * slope
            totals[first + width] += slope
    for place in range(width + 1):
        for unit in range(units):
            outputs[place, unit] = totals[unit * (width + 1) + place]
