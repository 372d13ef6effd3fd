"""Products of small matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel
from torchest.kernels.memory import numbers_at

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
        block = numbers_at(addresses[index], size, weights.dtype.type(0))
        for place in range(size):  # compiling an assignment to a slice takes seconds
            weights[start + place] = block[place]
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
    width = values.shape[1]
    totals = np.zeros(outputs.shape, np.float64)
    for row in range(values.shape[0]):
        for unit in range(gradient.shape[1]):
            slope = gradient[row, unit]
            for place in range(width):
                totals[place, unit] += values[row, place] * slope
            totals[width, unit] += slope
    for place in range(width + 1):
        for unit in range(gradient.shape[1]):
            outputs[place, unit] = totals[place, unit]
