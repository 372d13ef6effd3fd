"""Numbers of several columns side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.kernels.compiling import kernel
from torchest.kernels.memory import numbers_at

if TYPE_CHECKING:
    import numpy.typing as npt


@kernel
def side_by_side(
    addresses: npt.NDArray[np.int64], like: Any, together: npt.NDArray[np.float32]
) -> bool:
    """Writes columns of numbers of one type into a matrix.

    Args:
        addresses: Of the first number of each column, [columns].
        like: A number of that type.
        together: [rows, columns].

    Returns:
        Whether none is missing: NaN.
    """
    are_there = True
    for column in range(len(addresses)):
        numbers = numbers_at(addresses[column], together.shape[0], like)
        for row in range(len(numbers)):
            number = np.float32(numbers[row])
            together[row, column] = number
            are_there &= number == number  # noqa: PLR0124 - NaN is not
    return are_there
