"""Arithmetic on unsigned words in ONNX nodes, written as in Python.

>>> from torchest.export.onnx.nodes import UINT64, Nodes
>>> nodes = Nodes()
>>> x = Words(nodes, nodes.input("x", UINT64, ("n",)))
>>> mixed = (x ^ (x >> 47)) * 5
>>> [node.op_type for node in nodes.list]
['BitShift', 'BitwiseXor', 'Cast', 'Mul']

Older runtimes multiply, add and compare only signed integers, and all runtimes shift only unsigned ones. The bits of
sums and products are the same for both, so words keep their form until an operator needs the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from torchest.export.onnx.nodes import INT32, INT64, UINT32, UINT64

if TYPE_CHECKING:
    import onnx_ir as ir

    from torchest.export.onnx.nodes import Nodes, Value

    Operand: TypeAlias = "Words | int"

_SIGNED = {UINT64: INT64, UINT32: INT32}
_UNSIGNED = {INT64: UINT64, INT32: UINT32}


class Words:
    """Numbers of 64 or 32 bits; sums and products wrap around.

    Args:
        nodes: The graph.
        value: The numbers.
        dtype: Their dtype: unsigned, or the signed integers of the same bits.

    Attributes:
        nodes: The graph.
    """

    def __init__(self, nodes: Nodes, value: Value, dtype: ir.DataType = UINT64) -> None:
        self.nodes = nodes
        self._unsigned_dtype = _UNSIGNED.get(dtype, dtype)
        self._forms = {dtype: value}

    @property
    def value(self) -> Value:
        """The numbers as unsigned integers."""
        return self._as(self._unsigned_dtype)

    @property
    def signed(self) -> Value:
        """The same bits as signed integers."""
        return self._as(_SIGNED[self._unsigned_dtype])

    def __add__(self, other: Operand) -> Words:
        return self._signed("Add", other)

    def __sub__(self, other: Operand) -> Words:
        return self._signed("Sub", other)

    def __mul__(self, other: Operand) -> Words:
        return self._signed("Mul", other)

    def __xor__(self, other: Operand) -> Words:
        return self._bitwise("BitwiseXor", other)

    def __and__(self, other: Operand) -> Words:
        return self._bitwise("BitwiseAnd", other)

    def __or__(self, other: Operand) -> Words:
        return self._bitwise("BitwiseOr", other)

    def __lshift__(self, bits: Operand) -> Words:
        return self._made("BitShift", self._unsigned_dtype, bits, direction="LEFT")

    def __rshift__(self, bits: Operand) -> Words:
        return self._made("BitShift", self._unsigned_dtype, bits, direction="RIGHT")

    def within(self, part: Nodes) -> Words:
        """The same numbers, for nodes in a part of the graph."""
        words = Words(part, self.value, self._unsigned_dtype)
        words._forms = dict(self._forms)
        return words

    def rotated(self, bits: int) -> Words:
        """The words, rotated to the right."""
        whole = int(self._unsigned_dtype.itemsize * 8)
        return (self >> bits) | (self << (whole - bits))

    def is_zero(self) -> Value:
        """Where the numbers are 0."""
        dtype = _SIGNED[self._unsigned_dtype]
        return self.nodes.equal(self.signed, 0, dtype)

    def _signed(self, kind: str, other: Operand) -> Words:
        return self._made(kind, _SIGNED[self._unsigned_dtype], other)

    def _bitwise(self, kind: str, other: Operand) -> Words:
        """The result, in the common form of both operands."""
        have = set(self._forms) & set(other._forms if isinstance(other, Words) else self._forms)
        dtype = next(iter(have)) if len(have) == 1 else self._unsigned_dtype
        return self._made(kind, dtype, other)

    def _made(self, kind: str, dtype: ir.DataType, other: Operand, **attributes: str) -> Words:
        second = other._as(dtype) if isinstance(other, Words) else self._constant(other, dtype)
        made = self.nodes.op(kind, self._as(dtype), second, **attributes)
        return Words(self.nodes, made, dtype)

    def _as(self, dtype: ir.DataType) -> Value:
        if dtype not in self._forms:
            (value,) = self._forms.values()
            self._forms[dtype] = self.nodes.cast(value, dtype)
        return self._forms[dtype]

    def _constant(self, number: int, dtype: ir.DataType) -> Value:
        bits = int(dtype.itemsize * 8)
        number %= 1 << bits
        if dtype in _UNSIGNED and number >> (bits - 1):
            number -= 1 << bits
        return self.nodes.constant(number, dtype)
