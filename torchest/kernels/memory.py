"""Reads memory at an address: little-endian words, and vectors of numbers.

>>> import numpy as np
>>> from torchest.kernels.compiling import kernel
>>> @kernel
... def second_word(data):
...     return word32(np.uint64(data.ctypes.data) + np.uint64(4))
>>> int(second_word(np.array([1, 0, 0, 0, 2, 1, 0, 0], np.uint8)))
258
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import carray, types  # type: ignore[attr-defined]
from numba.extending import intrinsic

from torchest.kernels.compiling import kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    _Intrinsic = tuple[object, Callable[..., object]]  # a signature, and what writes its code


def _reader(bits: int) -> Any:
    """Returns a function that reads `bits` bits at an address, as uint64."""

    def read(_typing: object, address: object) -> _Intrinsic:  # noqa: ARG001 - numba goes by the name
        def code(_context: object, builder: Any, _signature: object, arguments: Any) -> object:
            pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            word = builder.load(pointer, align=1)
            return word if bits == 64 else builder.zext(word, ir.IntType(64))

        return types.uint64(types.uint64), code

    return intrinsic(read)


word8, word32, word64 = map(_reader, (8, 32, 64))


def _pointer(_typing: object, address: object, like: object) -> _Intrinsic:
    """Casts an address to a pointer to numbers of the type of `like`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> object:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    pointer: Any = types.CPointer
    return pointer(like)(address, like), code


_pointer_to: Any = intrinsic(_pointer)


@kernel
def numbers_at(address: int, count: int, like: float) -> Any:
    """Returns the vector of `count` numbers at an address, of the type of `like`."""
    return carray(_pointer_to(address, like), (count,))
