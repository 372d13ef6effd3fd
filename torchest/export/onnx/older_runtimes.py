"""Rewrites nodes that older versions of onnxruntime compute wrongly.

================  ======  =====================================================================================
operator          up to   mistake
================  ======  =====================================================================================
reductions        1.23    with negative axes, a tensor without elements keeps its shape
TopK              1.23    an input without rows crashes, so one more row is added and cut off Sqrt              1.20
of infinity in a vector is NaN Erf               1.23    of NaN is 1
================  ======  =====================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt


def mend(node: ir.Node) -> None:
    """Rewrites a node of a graph, if a supported version computes it wrongly."""
    first = node.inputs[0] if node.inputs else None
    if node.domain or first is None:
        return
    if node.op_type == "Sqrt":
        infinite = _constant(node, np.inf, first.dtype)
        _keep_where(node, first, _before(node, "Equal", [first, infinite]))
    elif node.op_type == "Erf":
        _keep_where(node, first, _before(node, "IsNaN", [first]))
    elif first.shape is not None and node.op_type.startswith(("Reduce", "ArgM")):
        _count_axes_from_the_front(node, len(first.shape))
    elif first.shape is not None and node.op_type == "TopK":
        _add_a_row(node, first, len(first.shape))


def _keep_where(node: ir.Node, first: ir.Value, condition: ir.Value) -> None:
    """Keeps the operand where a condition holds."""
    _replace(node, node.outputs[0], "Where", lambda made: [condition, first, made])


def _count_axes_from_the_front(node: ir.Node, rank: int) -> None:
    axis = node.attributes.get("axis")
    if axis is not None and axis.as_int() < 0:
        node.attributes["axis"] = ir.AttrInt64("axis", axis.as_int() + rank)
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    known = None if axes is None else ir.convenience.get_const_tensor(axes)
    if known is not None and (known.numpy() < 0).any():
        node.replace_input_with(1, _constant(node, known.numpy() % rank))


def _add_a_row(node: ir.Node, first: ir.Value, rank: int) -> None:
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
    if axis % rank == 0:
        return
    rows = _before(node, "Shape", [first], {"start": 0, "end": 1})
    pads = _constant(node, np.arange(2 * rank) == rank)
    node.replace_input_with(0, _before(node, "Pad", [first, pads]))
    zero = _constant(node, [0])
    for output in node.outputs:
        _replace(node, output, "Slice", lambda made: [made, zero, rows, zero])
        output.shape = None  # onnxruntime would put it in the memory of a value of this shape


def _constant(
    node: ir.Node, numbers: npt.ArrayLike, dtype: ir.DataType | None = ir.DataType.INT64
) -> ir.Value:
    assert dtype is not None
    value = ir.tensor(np.asarray(numbers, dtype.numpy()))
    return _before(node, "Constant", [], {"value": value})


def _before(
    node: ir.Node,
    kind: str,
    inputs: list[ir.Value],
    attributes: Mapping[str, ir.TensorProtocol | int] | None = None,
) -> ir.Value:
    """Inserts a new node before a node, and returns its output."""
    new = ir.node(kind, inputs, attributes)
    assert node.graph is not None
    new.outputs[0].name = f"{node.outputs[0].name}_{kind}_{len(node.graph)}"
    node.graph.insert_before(node, new)
    return new.outputs[0]


def _replace(
    node: ir.Node, output: ir.Value, kind: str, inputs: Callable[[ir.Value], list[ir.Value]]
) -> None:
    """Replaces an output of a node by a new node's output."""
    users = list(output.uses())
    new = ir.node(kind, inputs(output))
    result = new.outputs[0]
    result.name, result.type, result.shape = f"{output.name}_{kind}", output.type, output.shape
    graph = node.graph
    assert graph is not None
    graph.insert_after(node, new)
    for user, place in users:
        user.replace_input_with(place, result)
    for place, each in enumerate(graph.outputs):
        if each is output:
            graph.outputs[place] = result
