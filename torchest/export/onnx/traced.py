"""Inlines a model that torch traced into a larger graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from torchest.export.onnx.older_runtimes import mend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torchest.export.onnx.nodes import Value


@dataclass(frozen=True)
class Traced:
    """The nodes of a model, their constants and parameters, and their outputs."""

    nodes: list[ir.Node]
    initializers: list[Value]
    outputs: list[Value]


def inlined(
    model: ir.Model, inputs: Sequence[Value], prefix: str, names: Mapping[str, str]
) -> Traced:
    """Takes the nodes out of a model, for a larger graph.

    Args:
        model: The model.
        inputs: The values that replace its inputs.
        prefix: The prefix for the names of its values.
        names: New names for its parameters.
    """
    graph = model.graph
    for taken, value in zip(list(graph.inputs), inputs, strict=True):
        ir.convenience.replace_all_uses_with(taken, value, replace_graph_outputs=True)
    for node in list(graph.all_nodes()):
        mend(node)
    outputs, nodes = list(graph.outputs), list(graph)
    initializers = list(graph.initializers.values())
    graph.outputs.clear()
    graph.initializers.clear()
    graph.remove(nodes)
    for value in initializers:
        value.name = names.get(str(value.name), f"{prefix}{value.name}")
    for node in nodes:
        node.name = None  # names of nodes must differ, too
        for value in node.outputs:
            value.name = f"{prefix}{value.name}"
    return Traced(nodes, initializers, outputs)
