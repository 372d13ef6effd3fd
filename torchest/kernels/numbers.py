"""Copies columns of numbers into a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel
from torchest.kernels.elements import (
    BOOL,
    FLOAT,
    FORM,
    KIND,
    SIGNED,
    SIZE,
    UNSIGNED,
    VALID,
    element,
)
from torchest.kernels.elements import number as number_of
from torchest.kernels.memory import float32

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Int64s = npt.NDArray[np.int64]
    Float32s = npt.NDArray[np.float32]

_U: Callable[[int], int] = np.uint64  # as in farmhash
_NUMBERS = (BOOL, SIGNED, UNSIGNED, FLOAT)
_BLOCK = 64  # rows whose part of the matrix stays in a cache, column after column


@kernel
def side_by_side(forms: Int64s, defaults: Float32s, matrix: Float32s) -> bool:
    """Writes columns of numbers into a matrix.

    Args:
        forms: The form of each column (`torchest.kernels.elements`), [columns, FORM].
        defaults: What replaces NaN in each column, itself NaN for an error, [columns].
        matrix: Output, [rows, columns].

    Returns:
        Whether all columns hold numbers, and no NaN is left.
    """
    rows, columns = matrix.shape
    first = _U(forms.ctypes.data)
    for column in range(columns):
        if forms[column, KIND] not in _NUMBERS:
            return False
    is_whole = True
    for start in range(0, rows, _BLOCK):
        end = min(start + _BLOCK, rows)
        for column in range(columns):
            form, default = first + _U(8 * FORM * column), defaults[column]
            is_plain = forms[column, KIND] == FLOAT and forms[column, SIZE] == 4
            is_plain &= forms[column, VALID] == 0
            at, stride = element(form, start), element(form, 1) - element(form, 0)
            for row in range(start, end):
                number = float32(at) if is_plain else number_of(form, row)
                at += stride
                if number != number:  # noqa: PLR0124 - NaN
                    number = default
                    is_whole &= default == default  # noqa: PLR0124 - NaN
                matrix[row, column] = number
    return is_whole
