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
from torchest.kernels.memory import at, field, float32, put

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Int64s = npt.NDArray[np.int64]
    Float32s = npt.NDArray[np.float32]

_U: Callable[[int], int] = np.uint64  # as in farmhash
_I: Callable[[int], int] = np.int64
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
    form, step = _I(forms.ctypes.data), 4 * columns
    default, target = _I(defaults.ctypes.data), _I(matrix.ctypes.data)
    if not _are_numbers(form, columns):
        return False
    is_whole = True
    for start in range(0, rows, _BLOCK):
        end = start + _BLOCK if start + _BLOCK < rows else rows
        for first in range(0, columns, _LANES):
            lanes = _LANES if first + _LANES < columns else columns - first
            forms_of_lanes, place = form + 8 * FORM * first, target + 4 * first
            rest = start
            if lanes == _LANES and _are_float32(forms_of_lanes):
                missing = _U(0)
                while rest + _LANES <= end:
                    missing |= _transpose(forms_of_lanes, 4 * rest, place + rest * step, step)
                    rest += _LANES
                if missing != _U(0):
                    rest = start
            if rest < end:
                of_lanes = default + 4 * first
                is_whole &= _copy(forms_of_lanes, lanes, of_lanes, rest, end, place, step)
    return is_whole


@part
def _are_numbers(form: int, columns: int) -> bool:
    for _ in range(columns):
        kind = field(form, KIND)
        if kind != FLOAT and kind != BOOL and kind != SIGNED and kind != UNSIGNED:  # noqa: PLR1714 - compiles faster
            return False
        form += 8 * FORM
    return True


@part
def _are_float32(form: int) -> bool:
    """Whether all lanes from a form on are vectors of float32."""
    for _ in range(_LANES):
        is_float32 = field(form, KIND) == FLOAT and field(form, SIZE) == 4
        if not is_float32 or field(form, STRIDE) != 4 or field(form, VALID) != 0:
            return False
        form += 8 * FORM
    return True


@part
def _copy(  # noqa: PLR0913
    form: int, columns: int, defaults: int, start: int, end: int, target: int, step: int
) -> bool:
    """Writes a part of the matrix, number by number; returns whether no NaN is left."""
    is_whole = True
    for column in range(columns):
        default = float32(defaults + 4 * column)
        for row in range(start, end):
            number = number_of(form, row)
            if number != number:  # noqa: PLR0124 - NaN
                number = default
                is_whole &= default == default  # noqa: PLR0124 - NaN
            put(at(target + row * step, default), column, number)
        form += 8 * FORM
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
