"""Small dense nets, forward and backward, in one call each: calls of torch cost more than their arithmetic.

A net has `widths[0]` inputs, hidden layers with ReLU or without activation, and `widths[-1]` outputs. Values are in
columns: each unit of a layer has a vector of the rows of the batch, so that loops over rows are loops over memory.

    addresses: Of the weights [outputs, inputs], the bias, and the gradients of both, for each layer: int64 [layers, 4].
    memory: Vectors for the values of all units, for their gradients, and one of ones: float32
        [2 * sum(widths) + 1, rows], with rows rounded up to a multiple of `LANES`.

Sums over inputs or outputs are in their order; sums over rows are those of `sum_of_products`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel, part
from torchest.kernels.memory import numbers_at, sum_of_products

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Int64s = npt.NDArray[np.int64]

_SIZE = 4  # bytes of a number
_ZERO = np.float32(0)


@part
def _add_products(out: int, inputs: int, count: int, weights: int, step: int, rows: int) -> None:
    """Adds to a vector of rows the sum of `count` vectors, each times a weight.

    Args:
        out: The address of the vector.
        inputs: The address of the first input.
        count: The number of inputs.
        weights: The address of the first weight.
        step: The distance of weights, in numbers.
        rows: The size of a vector.
    """
    sums = numbers_at(out, rows, _ZERO)
    weight = numbers_at(weights, (count - 1) * step + 1, _ZERO)
    length = rows * _SIZE
    done = 0
    while done + 4 <= count:  # several at once, so that sums stay in registers
        a = numbers_at(inputs + done * length, rows, _ZERO)
        b = numbers_at(inputs + (done + 1) * length, rows, _ZERO)
        c = numbers_at(inputs + (done + 2) * length, rows, _ZERO)
        d = numbers_at(inputs + (done + 3) * length, rows, _ZERO)
        of_a, of_b = weight[done * step], weight[(done + 1) * step]
        of_c, of_d = weight[(done + 2) * step], weight[(done + 3) * step]
        for row in range(rows):
            sums[row] = sums[row] + of_a * a[row] + of_b * b[row] + of_c * c[row] + of_d * d[row]
        done += 4
    while done < count:
        a = numbers_at(inputs + done * length, rows, _ZERO)
        of_a = weight[done * step]
        for row in range(rows):
            sums[row] += of_a * a[row]
        done += 1


@part
def _copy_columns(matrix: Floats, columns: Floats) -> None:
    """Copies the columns of a matrix into vectors, which end with zeros."""
    for place in range(matrix.shape[1]):
        for row in range(len(matrix)):
            columns[place, row] = matrix[row, place]
        columns[place, len(matrix) :] = _ZERO


@kernel
def forward(
    values: Floats,
    widths: Int64s,
    addresses: Int64s,
    is_relu: bool,
    memory: Floats,
    outputs: Floats,
) -> None:
    """Writes the outputs [batch, widths[-1]] for values [batch, widths[0]]."""
    rows, layers = memory.shape[1], len(widths) - 1
    length = rows * _SIZE
    _copy_columns(values, memory)
    start = np.int64(memory.ctypes.data)
    for layer in range(layers):
        inputs, units = widths[layer], widths[layer + 1]
        end = start + inputs * length
        bias = numbers_at(addresses[layer, 1], units, _ZERO)
        for unit in range(units):
            out = numbers_at(end + unit * length, rows, _ZERO)
            out[:] = bias[unit]
            weights = addresses[layer, 0] + unit * inputs * _SIZE
            _add_products(end + unit * length, start, inputs, weights, 1, rows)
            if is_relu and layer < layers - 1:
                for row in range(rows):
                    out[row] = max(out[row], _ZERO)
        start = end
    first = widths[:-1].sum()
    for unit in range(widths[-1]):
        for row in range(len(values)):
            outputs[row, unit] = memory[first + unit, row]


@kernel
def backward(  # noqa: PLR0913
    slopes: Floats,
    widths: Int64s,
    addresses: Int64s,
    is_relu: bool,
    memory: Floats,
    first: int,
    of_inputs: Floats,
) -> None:
    """Writes the gradients of weights and biases, after `forward`.

    Args:
        slopes: The gradient of the outputs, [batch, widths[-1]].
        widths: See above.
        addresses: See above.
        is_relu: Whether hidden layers have ReLU.
        memory: That of `forward`.
        first: The first input whose gradient is needed.
        of_inputs: Output: the gradient of the inputs from `first` on, [batch, n].
    """
    rows, total = memory.shape[1], widths.sum()
    length = rows * _SIZE
    units = widths[-1]
    memory[2 * total, :] = np.float32(1)
    ones = np.int64(memory.ctypes.data) + 2 * total * length
    _copy_columns(slopes, memory[2 * total - units :])
    end = total - units
    for layer in range(len(widths) - 2, -1, -1):
        inputs, units = widths[layer], widths[layer + 1]
        start = end - inputs
        values = np.int64(memory.ctypes.data) + start * length
        out, after = values + total * length, values + (total + inputs) * length
        _gradients_of_weights(values, inputs, after, units, addresses[layer], ones, rows)
        if layer > 0 or of_inputs.size > 0:
            _gradients_of_values(out, inputs, after, units, addresses[layer, 0], rows)
        if layer > 0 and is_relu:
            for place in range(start, end):
                for row in range(rows):
                    if memory[place, row] <= _ZERO:
                        memory[total + place, row] = _ZERO
        end = start
    for row in range(len(of_inputs)):
        for unit in range(of_inputs.shape[1]):
            of_inputs[row, unit] = memory[total + first + unit, row]


@part
def _gradients_of_weights(  # noqa: PLR0913
    values: int, inputs: int, after: int, units: int, addresses: Int64s, ones: int, rows: int
) -> None:
    """Writes the gradients of the weights and the bias of a layer from its inputs and the gradient of its outputs."""
    length = rows * _SIZE
    of_weights = numbers_at(addresses[2], units * inputs, _ZERO)
    of_bias = numbers_at(addresses[3], units, _ZERO)
    for unit in range(units):
        slope = after + unit * length
        for place in range(inputs):
            of_weights[unit * inputs + place] = sum_of_products(
                slope, values + place * length, rows, _ZERO
            )
        of_bias[unit] = sum_of_products(slope, ones, rows, _ZERO)


@part
def _gradients_of_values(
    out: int, inputs: int, after: int, units: int, weights: int, rows: int
) -> None:
    """Writes the gradient of the inputs of a layer from that of its outputs."""
    length = rows * _SIZE
    for place in range(inputs):
        numbers_at(out + place * length, rows, _ZERO)[:] = _ZERO
        _add_products(out + place * length, after, units, weights + place * _SIZE, inputs, rows)
