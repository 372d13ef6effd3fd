"""Products of small matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.kernels.compiling import kernel

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[Any]


@kernel
def multiply(values: Floats, weights: Floats, outputs: Floats) -> None:
    """Writes values [batch, width] times weights [width, units] to outputs [batch, units]; sums are of float64."""
    for row in range(values.shape[0]):
        for unit in range(weights.shape[1]):
            total = 0.0
            for place in range(values.shape[1]):
                total += values[row, place] * weights[place, unit]
            outputs[row, unit] = total


@kernel
def multiply_transposed(values: Floats, gradient: Floats, outputs: Floats) -> None:
    """Writes values [batch, width], transposed, times a gradient [batch, units] to outputs [width, units].

    Sums over the batch are of float64.
    """
    totals = np.zeros(outputs.shape, np.float64)
    for row in range(values.shape[0]):
        for place in range(values.shape[1]):
            for unit in range(gradient.shape[1]):
                totals[place, unit] += values[row, place] * gradient[row, unit]
    outputs[:] = totals
