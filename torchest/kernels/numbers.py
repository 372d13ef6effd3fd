"""Copies columns of numbers into a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from torchest.kernels.compiling import kernel, part
from torchest.kernels.elements import (
    BOOL,
    DATA,
    FLOAT,
    FORM,
    KIND,
    SIGNED,
    SIZE,
    STRIDE,
    UNSIGNED,
    VALID,
)
from torchest.kernels.elements import number as number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Int64s = npt.NDArray[np.int64]
    Float32s = npt.NDArray[np.float32]

_U: Callable[[int], int] = np.uint64  # as in farmhash
_NUMBERS = (BOOL, SIGNED, UNSIGNED, FLOAT)
_LANES = 8  # numbers in a vector of the processor
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
    for column in range(columns):
        if forms[column, KIND] not in _NUMBERS:
            return False
    is_whole = True
    for start in range(0, rows, _BLOCK):
        end = min(start + _BLOCK, rows)
        for column in range(0, columns, _LANES):
            done, missing = start, _U(0)
            if _are_float32(forms, column):
                form = _U(forms.ctypes.data) + _U(8 * FORM * column)
                done = end - (end - start) % _LANES
                for row in range(start, done, _LANES):
                    target = _U(matrix.ctypes.data) + _U(4 * (row * columns + column))
                    missing |= _transpose(form, _U(4 * row), target, _U(4 * columns))
            if missing or done < end:
                rest = start if missing else done
                last = min(column + _LANES, columns)
                is_whole &= _copy(forms, defaults, matrix, (rest, end), (column, last))
    return is_whole


@part
def _are_float32(forms: Int64s, column: int) -> bool:
    """Whether all lanes from a column on are vectors of float32."""
    if column + _LANES > len(forms):
        return False
    for place in range(column, column + _LANES):
        is_float32 = forms[place, KIND] == FLOAT and forms[place, SIZE] == 4
        if not is_float32 or forms[place, STRIDE] != 4 or forms[place, VALID] != 0:
            return False
    return True


@part
def _copy(
    forms: Int64s,
    defaults: Float32s,
    matrix: Float32s,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> bool:
    """Writes a part of the matrix, number by number; returns whether no NaN is left."""
    is_whole = True
    for column in range(*columns):
        form, default = _U(forms.ctypes.data) + _U(8 * FORM * column), defaults[column]
        for row in range(*rows):
            number = number_of(form, row)
            if number != number:  # noqa: PLR0124 - NaN
                number = default
                is_whole &= default == default  # noqa: PLR0124 - NaN
            matrix[row, column] = number
    return is_whole


def _transposer(_typing: object, form: object, offset: object, target: object, step: object) -> Any:  # noqa: ARG001
    """Writes the code that copies a square of numbers.

    Its function takes the address of the first of `_LANES` forms, the offset of the first row in their data in bytes,
    and the address of the first number in the matrix with the distance of its rows; the result is not 0 if a number is
    NaN. Numba goes by the names of the arguments.
    """
    number, word = ir.FloatType(), ir.IntType(64)
    vector = ir.VectorType(number, _LANES)

    def code(_context: object, builder: Any, _signature: object, arguments: Any) -> object:
        form, offset, target, step = arguments

        def at(address: object, kind: Any) -> object:
            return builder.inttoptr(address, kind.as_pointer())

        lines = []
        for lane in range(_LANES):
            field = builder.add(form, word(8 * (FORM * lane + DATA)))
            data = builder.load(at(field, word))
            lines.append(builder.load(at(builder.add(data, offset), vector), align=4))
        missing = [builder.fcmp_unordered("uno", line, line) for line in lines]
        while len(missing) > 1:
            missing = [builder.or_(*pair) for pair in zip(missing[::2], missing[1::2], strict=True)]
        for _ in range(_LANES.bit_length() - 1):  # each interleaves the upper lines with the lower
            pairs = zip(lines[: _LANES // 2], lines[_LANES // 2 :], strict=True)
            lines = [builder.shuffle_vector(*pair, half) for pair in pairs for half in _HALVES]
        for lane, line in enumerate(lines):
            place = builder.add(target, builder.mul(step, word(lane)))
            builder.store(line, at(place, vector), align=4)
        return builder.zext(builder.bitcast(missing[0], ir.IntType(_LANES)), word)

    return types.uint64(types.uint64, types.uint64, types.uint64, types.uint64), code


_PLACES = [place + line * _LANES for place in range(_LANES) for line in range(2)]
_HALVES = [
    ir.Constant(ir.VectorType(ir.IntType(32), _LANES), half)
    for half in (_PLACES[:_LANES], _PLACES[_LANES:])
]
_transpose: Any = intrinsic(_transposer)
