"""Copies columns of numbers into a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel
from torchest.kernels.memory import numbers_at

if TYPE_CHECKING:
    import numpy.typing as npt


@kernel
def side_by_side(
    addresses: npt.NDArray[np.int64], like: float, matrix: npt.NDArray[np.float32]
) -> bool:
    """Writes columns of numbers of one type into a matrix.

    Args:
        addresses: Address of the first number of each column, [columns].
        like: A number of the columns' type.
        matrix: Output, [rows, columns].

    Returns:
        Whether no number is NaN.
    """
    none_missing = True
    for column in range(len(addresses)):
        numbers = numbers_at(addresses[column], matrix.shape[0], like)
        for row in range(len(numbers)):
            number = np.float32(numbers[row])
            matrix[row, column] = number
            none_missing &= number == number  # noqa: PLR0124 - NaN is not
    return none_missing
