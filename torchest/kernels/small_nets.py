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
from torchest.kernels.memory import at, field, get, put, sum_of_products

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Int64s = npt.NDArray[np.int64]

_SIZE = 4  # bytes of a number
_ZERO, _ONE = np.float32(0), np.float32(1)


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
    sums, weight, values = at(out, _ZERO), at(weights, _ZERO), at(inputs, _ZERO)
    done, place = 0, 0
    while done + 4 <= count:  # several at once, so that sums stay in registers
        a, b = done * rows, (done + 1) * rows
        c, d = (done + 2) * rows, (done + 3) * rows
        of_a, of_b = get(weight, place), get(weight, place + step)
        of_c, of_d = get(weight, place + 2 * step), get(weight, place + 3 * step)
        for row in range(rows):
            total = get(sums, row) + of_a * get(values, a + row) + of_b * get(values, b + row)
            total = total + of_c * get(values, c + row) + of_d * get(values, d + row)
            put(sums, row, total)
        done += 4
        place += 4 * step
    while done < count:
        a, of_a = done * rows, get(weight, place)
        for row in range(rows):
            put(sums, row, get(sums, row) + of_a * get(values, a + row))
        done += 1
        place += step


@part
def _copy_columns(matrix: int, columns: int, batch: int, width: int, rows: int) -> None:
    """Copies the columns of a matrix [batch, width] into vectors of `rows`, which end with zeros."""
    values, vectors = at(matrix, _ZERO), at(columns, _ZERO)
    for place in range(width):
        for row in range(batch):
            put(vectors, place * rows + row, get(values, row * width + place))
        for row in range(batch, rows):
            put(vectors, place * rows + row, _ZERO)


@part
def _copy_back(columns: int, matrix: int, batch: int, width: int, rows: int) -> None:
    """Copies vectors of `rows` into the columns of a matrix [batch, width]."""
    vectors, values = at(columns, _ZERO), at(matrix, _ZERO)
    for place in range(width):
        for row in range(batch):
            put(values, row * width + place, get(vectors, place * rows + row))


@part
def _fill(vector: int, rows: int, value: float) -> None:
    numbers = at(vector, _ZERO)
    for row in range(rows):
        put(numbers, row, value)


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
    rows, layers, batch = memory.shape[1], len(widths) - 1, len(values)
    length = rows * _SIZE
    size, place_of = np.int64(widths.ctypes.data), np.int64(addresses.ctypes.data)
    start = np.int64(memory.ctypes.data)
    inputs, one = field(size, 0), np.int64(1)  # a literal would be compiled as another type
    _copy_columns(np.int64(values.ctypes.data), start, batch, inputs, rows)
    for layer in range(layers):
        units = field(size, layer + 1)
        end = start + inputs * length
        weights, bias = field(place_of, 4 * layer), at(field(place_of, 4 * layer + 1), _ZERO)
        for unit in range(units):
            out = end + unit * length
            _fill(out, rows, get(bias, unit))
            _add_products(out, start, inputs, weights + unit * inputs * _SIZE, one, rows)
        if is_relu and layer < layers - 1:
            numbers = at(end, _ZERO)
            for place in range(units * rows):
                put(numbers, place, max(get(numbers, place), _ZERO))
        start, inputs = end, units
    _copy_back(start, np.int64(outputs.ctypes.data), batch, inputs, rows)


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
    rows, total, batch = memory.shape[1], memory.shape[0] // 2, len(slopes)
    length, width = rows * _SIZE, of_inputs.shape[1]
    size, place_of = np.int64(widths.ctypes.data), np.int64(addresses.ctypes.data)
    memory_of_values = np.int64(memory.ctypes.data)
    memory_of_slopes = memory_of_values + total * length
    ones = memory_of_slopes + total * length
    _fill(ones, rows, _ONE)
    units = field(size, len(widths) - 1)
    end = (total - units) * length
    _copy_columns(np.int64(slopes.ctypes.data), memory_of_slopes + end, batch, units, rows)
    for layer in range(len(widths) - 2, -1, -1):
        inputs = field(size, layer)
        start = end - inputs * length
        values, out, after = (
            memory_of_values + start,
            memory_of_slopes + start,
            memory_of_slopes + end,
        )
        of_layer = place_of + 4 * 8 * layer
        _gradients_of_weights(values, inputs, after, units, of_layer, ones, rows)
        if layer > 0 or width > 0:
            weights = field(of_layer, 0)
            for place in range(inputs):
                slope = out + place * length
                _fill(slope, rows, _ZERO)
                _add_products(slope, after, units, weights + place * _SIZE, inputs, rows)
        if layer > 0 and is_relu:
            numbers, slopes_of = at(values, _ZERO), at(out, _ZERO)
            for place in range(inputs * rows):
                if get(numbers, place) <= _ZERO:
                    put(slopes_of, place, _ZERO)
        end, units = start, inputs
    out = memory_of_slopes + first * length
    _copy_back(out, np.int64(of_inputs.ctypes.data), batch, width, rows)


@part
def _gradients_of_weights(  # noqa: PLR0913
    values: int, inputs: int, after: int, units: int, addresses: int, ones: int, rows: int
) -> None:
    """Writes the gradients of the weights and the bias of a layer from its inputs and the gradient of its outputs."""
    length = rows * _SIZE
    of_weights, of_bias = at(field(addresses, 2), _ZERO), at(field(addresses, 3), _ZERO)
    for unit in range(units):
        slope = after + unit * length
        for place in range(inputs):
            total = sum_of_products(slope, values + place * length, rows, _ZERO)
            put(of_weights, unit * inputs + place, total)
        put(of_bias, unit, sum_of_products(slope, ones, rows, _ZERO))
