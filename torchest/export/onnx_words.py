"""Arithmetic on unsigned words in ONNX nodes, written as in Python.

>>> from torchest.export.onnx_nodes import UINT64, Nodes
>>> nodes = Nodes()
>>> x = Words(nodes, nodes.input("x", UINT64, ("n",)))
>>> mixed = (x ^ (x >> 47)) * 5
>>> [node.op_type for node in nodes.list]
['BitShift', 'BitwiseXor', 'Mul']
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from torchest.export.onnx_nodes import UINT64

if TYPE_CHECKING:
    import onnx_ir as ir

    from torchest.export.onnx_nodes import Nodes, Value

    Operand: TypeAlias = "Words | int"


@dataclass(frozen=True, eq=False)
class Words:
    """Unsigned numbers of 64 or 32 bits; sums and products are modulo 2 to the power of that.

    Attributes:
        nodes: The graph.
        value: The numbers.
        dtype: Their dtype.
    """

    nodes: Nodes
    value: Value
    dtype: ir.DataType = UINT64

    def __add__(self, other: Operand) -> Words:
        return self._with("Add", other)

    def __sub__(self, other: Operand) -> Words:
        return self._with("Sub", other)

    def __mul__(self, other: Operand) -> Words:
        return self._with("Mul", other)

    def __xor__(self, other: Operand) -> Words:
        return self._with("BitwiseXor", other)

    def __and__(self, other: Operand) -> Words:
        return self._with("BitwiseAnd", other)

    def __lshift__(self, bits: Operand) -> Words:
        return self._with("BitShift", bits, direction="LEFT")

    def __rshift__(self, bits: Operand) -> Words:
        return self._with("BitShift", bits, direction="RIGHT")

    def within(self, part: Nodes) -> Words:
        """The same numbers for the nodes of a part of the graph."""
        return Words(part, self.value, self.dtype)

    def rotated(self, bits: int) -> Words:
        """Rotated to the right."""
        whole = int(self.dtype.itemsize * 8)
        return (self >> bits) ^ (self << (whole - bits))

    def _with(self, kind: str, other: Operand, **attributes: str) -> Words:
        second = other.value if isinstance(other, Words) else self._constant(other)
        return Words(self.nodes, self.nodes.op(kind, self.value, second, **attributes), self.dtype)

    def _constant(self, number: int) -> Value:
        return self.nodes.constant(number, self.dtype)
