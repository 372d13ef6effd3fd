"""Steps of optimizers, in place: on some rows of a table, and on vectors anywhere in memory.

Hyperparameters have the type of the weights, and so has all arithmetic. The loops over rows take

    rows: Distinct rows, int64 [n].
    gradient: Their gradients, [n, dimension].
    weight and slots: [rows of the table, dimension].

and those over vectors

    addresses: Addresses of the gradient, the weight and the slots of each vector, int64 [vectors, 2 + slots].
    sizes: Number of elements of each vector, int64 [vectors].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel, part
from torchest.kernels.memory import numbers_at, prefetch

if TYPE_CHECKING:
    import numpy.typing as npt

    Int64s = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.floating]

_AHEAD = 8  # rows; until they are used, memory has answered


@part
def _adagrad(
    slope: float, weight: float, squares: float, lr: float, epsilon: float
) -> tuple[float, float]:
    squares += slope * slope
    return weight - lr * slope / (np.sqrt(squares) + epsilon), squares


@kernel
def adagrad_of_rows(
    rows: Int64s, gradient: Floats, weight: Floats, accumulator: Floats, lr: float, epsilon: float
) -> None:
    """Adagrad; see `torchest.optimizers.Adagrad`."""
    length = np.int64(weight.strides[0])
    weights, squares = np.int64(weight.ctypes.data), np.int64(accumulator.ctypes.data)
    for index in range(len(rows)):
        if index + _AHEAD < len(rows):
            offset = rows[index + _AHEAD] * length
            prefetch(weights + offset)
            prefetch(squares + offset)
        row = rows[index]
        for i in range(weight.shape[1]):
            weight[row, i], accumulator[row, i] = _adagrad(
                gradient[index, i], weight[row, i], accumulator[row, i], lr, epsilon
            )


@kernel
def adagrad_of_vectors(addresses: Int64s, sizes: Int64s, lr: float, epsilon: float) -> None:
    """Adagrad; see `torchest.optimizers.Adagrad`."""
    for index in range(len(sizes)):
        size = sizes[index]
        gradient = numbers_at(addresses[index, 0], size, lr)
        weight = numbers_at(addresses[index, 1], size, lr)
        accumulator = numbers_at(addresses[index, 2], size, lr)
        for i in range(size):
            weight[i], accumulator[i] = _adagrad(
                gradient[i], weight[i], accumulator[i], lr, epsilon
            )


@part
def _ftrl(  # noqa: PLR0913
    slope: float,
    weight: float,
    squares: float,
    linear: float,
    lr: float,
    l1: float,
    shrinkage: float,
    curvature: float,
) -> tuple[float, float, float]:
    before = np.sqrt(squares)
    squares += slope * slope
    after = np.sqrt(squares)
    zero = lr - lr
    linear += slope - (after - before) / lr * weight
    if shrinkage > zero:
        linear += shrinkage * weight
    excess = min(max(linear, -l1), l1) - linear
    # before the first gradient, all terms may be 0
    weight = zero if excess == zero else excess * lr / (after + curvature)
    return weight, squares, linear


@kernel
def ftrl_of_rows(  # noqa: PLR0913
    rows: Int64s,
    gradient: Floats,
    weight: Floats,
    accumulator: Floats,
    linear: Floats,
    lr: float,
    l1: float,
    shrinkage: float,
    curvature: float,
) -> None:
    """Ftrl with learning_rate_power=-0.5; see `torchest.optimizers.Ftrl`.

    `shrinkage` is 2·l2_shrinkage, and `curvature` is 2·lr·l2 + beta.
    """
    if weight.shape[1] == 1:  # without the inner loop, more rows are prefetched from memory
        for index in range(len(rows)):
            row = rows[index]
            weight[row, 0], accumulator[row, 0], linear[row, 0] = _ftrl(
                gradient[index, 0],
                weight[row, 0],
                accumulator[row, 0],
                linear[row, 0],
                lr,
                l1,
                shrinkage,
                curvature,
            )
        return
    for index in range(len(rows)):
        row = rows[index]
        for i in range(weight.shape[1]):
            weight[row, i], accumulator[row, i], linear[row, i] = _ftrl(
                gradient[index, i],
                weight[row, i],
                accumulator[row, i],
                linear[row, i],
                lr,
                l1,
                shrinkage,
                curvature,
            )


@kernel
def ftrl_of_vectors(
    addresses: Int64s, sizes: Int64s, lr: float, l1: float, shrinkage: float, curvature: float
) -> None:
    """Ftrl; see `ftrl_of_rows`."""
    for index in range(len(sizes)):
        size = sizes[index]
        gradient = numbers_at(addresses[index, 0], size, lr)
        weight = numbers_at(addresses[index, 1], size, lr)
        accumulator = numbers_at(addresses[index, 2], size, lr)
        linear = numbers_at(addresses[index, 3], size, lr)
        for i in range(size):
            weight[i], accumulator[i], linear[i] = _ftrl(
                gradient[i], weight[i], accumulator[i], linear[i], lr, l1, shrinkage, curvature
            )


@kernel
def sgd_of_rows(rows: Int64s, gradient: Floats, weight: Floats, lr: float) -> None:
    """Gradient descent; see `torchest.optimizers.SGD`."""
    for index in range(len(rows)):
        row = rows[index]
        for i in range(weight.shape[1]):
            weight[row, i] -= lr * gradient[index, i]


@kernel
def sgd_of_vectors(addresses: Int64s, sizes: Int64s, lr: float) -> None:
    """Gradient descent; see `torchest.optimizers.SGD`."""
    for index in range(len(sizes)):
        gradient = numbers_at(addresses[index, 0], sizes[index], lr)
        weight = numbers_at(addresses[index, 1], sizes[index], lr)
        for i in range(sizes[index]):
            weight[i] -= lr * gradient[i]


@part
def _momentum(
    slope: float, weight: float, moving: float, lr: float, momentum: float, nesterov: float
) -> tuple[float, float]:
    step = lr * slope
    moving = momentum * moving - step
    if nesterov > lr - lr:
        return weight + momentum * moving - step, moving
    return weight + moving, moving


@kernel
def momentum_of_rows(  # noqa: PLR0913
    rows: Int64s,
    gradient: Floats,
    weight: Floats,
    moving: Floats,
    lr: float,
    momentum: float,
    nesterov: float,
) -> None:
    """Gradient descent with momentum, which is Nesterov's if `nesterov` is 1; see `torchest.optimizers.SGD`."""
    for index in range(len(rows)):
        row = rows[index]
        for i in range(weight.shape[1]):
            weight[row, i], moving[row, i] = _momentum(
                gradient[index, i], weight[row, i], moving[row, i], lr, momentum, nesterov
            )


@kernel
def momentum_of_vectors(
    addresses: Int64s, sizes: Int64s, lr: float, momentum: float, nesterov: float
) -> None:
    """Gradient descent with momentum; see `momentum_of_rows`."""
    for index in range(len(sizes)):
        size = sizes[index]
        gradient = numbers_at(addresses[index, 0], size, lr)
        weight = numbers_at(addresses[index, 1], size, lr)
        moving = numbers_at(addresses[index, 2], size, lr)
        for i in range(size):
            weight[i], moving[i] = _momentum(
                gradient[i], weight[i], moving[i], lr, momentum, nesterov
            )


@part
def _adam(  # noqa: PLR0913
    slope: float,
    weight: float,
    mean: float,
    squares: float,
    lr: float,
    keep_mean: float,
    add_mean: float,
    keep_squares: float,
    add_squares: float,
    epsilon: float,
) -> tuple[float, float, float]:
    mean = keep_mean * mean + add_mean * slope
    squares = keep_squares * squares + add_squares * slope * slope
    return weight - lr * mean / (np.sqrt(squares) + epsilon), mean, squares


@kernel
def adam_of_rows(  # noqa: PLR0913
    rows: Int64s,
    gradient: Floats,
    weight: Floats,
    mean: Floats,
    squares: Floats,
    lr: float,
    keep_mean: float,
    add_mean: float,
    keep_squares: float,
    add_squares: float,
    epsilon: float,
) -> None:
    """Adam; see `torchest.optimizers.Adam`.

    `lr` is corrected for the bias of this step, and each `add` is 1 minus the `keep` of its name.
    """
    for index in range(len(rows)):
        row = rows[index]
        for i in range(weight.shape[1]):
            weight[row, i], mean[row, i], squares[row, i] = _adam(
                gradient[index, i],
                weight[row, i],
                mean[row, i],
                squares[row, i],
                lr,
                keep_mean,
                add_mean,
                keep_squares,
                add_squares,
                epsilon,
            )


@kernel
def adam_of_vectors(  # noqa: PLR0913
    addresses: Int64s,
    sizes: Int64s,
    lr: float,
    keep_mean: float,
    add_mean: float,
    keep_squares: float,
    add_squares: float,
    epsilon: float,
) -> None:
    """Adam; see `adam_of_rows`."""
    for index in range(len(sizes)):
        size = sizes[index]
        gradient = numbers_at(addresses[index, 0], size, lr)
        weight = numbers_at(addresses[index, 1], size, lr)
        mean = numbers_at(addresses[index, 2], size, lr)
        squares = numbers_at(addresses[index, 3], size, lr)
        for i in range(size):
            weight[i], mean[i], squares[i] = _adam(
                gradient[i],
                weight[i],
                mean[i],
                squares[i],
                lr,
                keep_mean,
                add_mean,
                keep_squares,
                add_squares,
                epsilon,
            )
