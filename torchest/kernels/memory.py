"""Reads and writes memory at an address: little-endian words, numbers, and vectors of them.

>>> import numpy as np
>>> from torchest.kernels.compiling import kernel, part
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
from numba.core import cgutils
from numba.extending import intrinsic

from torchest.kernels.compiling import part

if TYPE_CHECKING:
    from collections.abc import Callable

    _Intrinsic = tuple[object, Callable[..., object]]  # a signature, and what writes its code


def _reader(bits: int, result: Any, widened: str = "") -> Any:
    """Returns a function that reads `bits` bits at an address.

    Args:
        bits: Their number.
        result: The type of the number.
        widened: The LLVM instruction that makes 64 bits of fewer.
    """
    kind = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}.get(
        result, ir.IntType(bits)
    )

    def read(_typing: object, address: object) -> _Intrinsic:  # noqa: ARG001 - numba goes by the name
        def code(_context: object, builder: Any, _signature: object, arguments: Any) -> object:
            word = builder.load(builder.inttoptr(arguments[0], kind.as_pointer()), align=1)
            return getattr(builder, widened)(word, ir.IntType(64)) if widened else word

        return result(types.uint64), code

    return intrinsic(read)


def _writer(bits: int) -> Any:
    """Returns a function that writes the lowest `bits` bits of a number at an address."""

    def write(_typing: object, address: object, word: object) -> _Intrinsic:  # noqa: ARG001 - as above
        def code(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
            address, word = arguments
            pointer = builder.inttoptr(address, ir.IntType(bits).as_pointer())
            builder.store(builder.trunc(word, ir.IntType(bits)) if bits < 64 else word, pointer, 1)
            return context.get_dummy_value()

        return types.void(types.uint64, types.uint64), code

    return intrinsic(write)


def _field(_typing: object, table: object, place: object) -> _Intrinsic:  # noqa: ARG001 - as above
    def code(_context: object, builder: Any, _signature: object, arguments: Any) -> object:
        table, place = arguments
        at = builder.add(table, builder.mul(place, ir.IntType(64)(8)))
        return builder.load(builder.inttoptr(at, ir.IntType(64).as_pointer()), align=8)

    return types.int64(types.int64, types.int64), code


word8: Callable[[int], int]
word16: Callable[[int], int]
word32: Callable[[int], int]
word64: Callable[[int], int]
int8: Callable[[int], int]
int16: Callable[[int], int]
int32: Callable[[int], int]
int64: Callable[[int], int]
float32: Callable[[int], float]
float64: Callable[[int], float]
high_product: Callable[[int, int], int]
field: Callable[[int, int], int]  # the int64 at a place in a table at an address

word8, word16, word32 = (_reader(bits, types.uint64, "zext") for bits in (8, 16, 32))
int8, int16, int32 = (_reader(bits, types.int64, "sext") for bits in (8, 16, 32))
word64, int64 = _reader(64, types.uint64), _reader(64, types.int64)
float32, float64 = _reader(32, types.float32), _reader(64, types.float64)
set_word8, set_word64 = _writer(8), _writer(64)


def _high_product(_typing: object, first: object, second: object) -> _Intrinsic:  # noqa: ARG001 - as above
    """Writes the code for the upper 64 bits of the product of two words."""

    def code(_context: object, builder: Any, _signature: object, arguments: Any) -> object:
        long = ir.IntType(128)
        product = builder.mul(*(builder.zext(word, long) for word in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(long, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), code


_of_products: Any = intrinsic(_high_product)
high_product = _of_products
_of_tables: Any = intrinsic(_field)
field = _of_tables


def _rotated(_typing: object, word: object, bits: object) -> _Intrinsic:  # noqa: ARG001 - as above
    """Writes the code for a word whose bits move down, and those that fall out come in above."""

    def code(_context: object, builder: Any, _signature: object, arguments: Any) -> object:
        word, bits = arguments
        above = builder.sub(ir.IntType(64)(64), bits)
        return builder.or_(builder.lshr(word, bits), builder.shl(word, above))

    return types.uint64(types.uint64, types.uint64), code


_of_rotations: Any = intrinsic(_rotated)
rotate: Callable[[int, int], int] = _of_rotations


def _pointer(_typing: object, address: object, like: object) -> _Intrinsic:
    """Casts an address to a pointer to numbers of the type of `like`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> object:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    pointer: Any = types.CPointer
    return pointer(like)(address, like), code


at: Any = intrinsic(_pointer)


def _place(context: Any, builder: Any, signature: Any, pointer: Any, index: Any) -> Any:
    kind = context.get_value_type(signature.args[0].dtype)
    return builder.gep(builder.bitcast(pointer, kind.as_pointer()), [index])


def _getter(_typing: object, pointer: Any, index: object) -> Any:  # noqa: ARG001 - as above
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> object:
        place = _place(context, builder, signature, *arguments)
        return builder.load(place, align=context.get_abi_sizeof(place.type.pointee))

    number: Any = pointer.dtype
    return number(pointer, types.int64), code


def _setter(_typing: object, pointer: Any, index: object, value: object) -> Any:  # noqa: ARG001 - as above
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> object:
        pointer, index, value = arguments
        place = _place(context, builder, signature, pointer, index)
        builder.store(value, place, align=context.get_abi_sizeof(place.type.pointee))
        return context.get_dummy_value()

    nothing: Any = types.void
    return nothing(pointer, types.int64, pointer.dtype), code


get: Any = intrinsic(_getter)  # the number at a place of a vector that begins at a pointer
put: Any = intrinsic(_setter)


@part
def numbers_at(address: int, count: int, like: float) -> Any:
    """Returns the vector of `count` numbers at an address, of the type of `like`."""
    return carray(at(address, like), (count,))


LANES = 32  # numbers that `sum_of_products` adds up side by side


def _product(_typing: object, address: object, other: object, count: object, like: object) -> Any:
    def code(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
        first, second, size, _ = arguments
        word = first.type
        number = context.get_value_type(like)
        vector = ir.VectorType(number, LANES)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, None))  # type: ignore[no-untyped-call]
        width = context.get_abi_sizeof(number)

        def read(start: Any, index: Any) -> Any:
            place = builder.add(start, builder.mul(index, word(width)))
            return builder.load(builder.inttoptr(place, vector.as_pointer()), align=width)

        bounds = word(0), size, word(LANES)
        with cgutils.for_range_slice(builder, *bounds, intp=word) as (index, _):
            products = builder.fmul(read(first, index), read(second, index))
            builder.store(builder.fadd(builder.load(total), products), total)
        sums, lanes = builder.load(total), LANES
        while lanes > 1:
            lanes //= 2
            halves = [
                builder.shuffle_vector(sums, sums, _places(range(start, start + lanes)))
                for start in (0, lanes)
            ]
            sums = builder.fadd(*halves)
        return builder.extract_element(sums, ir.IntType(32)(0))

    signature: Any = like
    return signature(address, other, count, like), code


def _places(numbers: range) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), list(numbers))


_sum_of_products: Any = intrinsic(_product)


@part
def sum_of_products(address: int, other: int, count: int, like: float) -> Any:
    """Returns the sum of products of two vectors at addresses, of the type of `like`.

    `count` is a multiple of LANES. Numbers i, i + LANES, i + 2 LANES ... are added up; then the sums of the lanes, in
    halves. So the bits are the same on every machine, although the lanes are added side by side.
    """
    return _sum_of_products(address, other, count, like)


_LINE = 8  # numbers that are copied at once


def _line_writer(adds: bool) -> Any:
    """Returns a function that copies numbers from an address to another, or adds them to those there."""

    def write(_typing: object, address: object, other: object, like: object) -> Any:
        def code(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
            number = context.get_value_type(like)
            width = context.get_abi_sizeof(number)
            pointer = ir.VectorType(number, _LINE).as_pointer()
            place, source = (builder.inttoptr(each, pointer) for each in arguments[:2])
            numbers = builder.load(source, align=width)
            if adds:
                numbers = builder.fadd(builder.load(place, align=width), numbers)
            builder.store(numbers, place, align=width)
            return context.get_dummy_value()

        nothing: Any = types.void
        return nothing(address, other, like), code

    return intrinsic(write)


_copy_line, _add_line = map(_line_writer, (False, True))


@part
def copy_numbers(address: int, other: int, count: int, like: float) -> None:
    """Copies `count` numbers of the type of `like` to an address from another one."""
    places = numbers_at(address, count, like)
    numbers = numbers_at(other, count, like)
    done, size = 0, places.itemsize
    while done + _LINE <= count:
        _copy_line(address + done * size, other + done * size, like)
        done += _LINE
    for place in range(done, count):
        places[place] = numbers[place]


@part
def add_numbers(address: int, other: int, count: int, like: float) -> None:
    """Adds `count` numbers of the type of `like` to those at an address."""
    places = numbers_at(address, count, like)
    numbers = numbers_at(other, count, like)
    done, size = 0, places.itemsize
    while done + _LINE <= count:
        _add_line(address + done * size, other + done * size, like)
        done += _LINE
    for place in range(done, count):
        places[place] += numbers[place]


def _prefetcher(_typing: object, address: object) -> Any:
    def code(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
        word, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, kind, "llvm.prefetch.p0"
        )
        builder.call(function, [builder.inttoptr(arguments[0], pointer), word(0), word(3), word(1)])
        return context.get_dummy_value()

    nothing: Any = types.void
    return nothing(address), code


prefetch: Any = intrinsic(_prefetcher)  # loads an address into the cache ahead of its use
