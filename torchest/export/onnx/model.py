"""ONNX models of raw features: the nodes of the columns, then the model.

    model = onnx_model(Forward(warm_model, features))
    save(model, "model.onnx")

The ONNX model has one input for each feature that the model uses, named by its key; lists are a matrix, padded with "",
−1 or NaN. Stock onnxruntime runs it, and its metadata list the operators that it needs. The answers are NaN, −1 and ""
for rows that Python refuses, such as an id out of range or a missing number without a default.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from torchest.columns.model_inputs import BATCH
from torchest.export.onnx.graph import ColumnGraph
from torchest.export.onnx.nodes import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    IR_VERSION,
    LEAST_ONNXRUNTIME,
    OPSETS,
    STRING,
    Nodes,
    Value,
    dtype_of,
)
from torchest.export.onnx.program import of_program
from torchest.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torchest.export.forward import Forward, Output
    from torchest.utils.json_form import JSON

_LARGEST_FILE = 2**31 - 2**20  # protobuf's limit, and room for the nodes


def onnx_model(
    forward: Forward, names: Mapping[str, str] | None = None, *, by_fingerprint: bool = False
) -> ir.Model:
    """Converts a trained model to ONNX.

    Args:
        forward: The trained model as a module.
        names: The names of the inputs, by the key of the feature; by default the keys. No input may have the name
            of an output.
        by_fingerprint: Whether fingerprints are inputs in place of text that is hashed; see `ColumnGraph`.

    Returns:
        A model of `onnx_ir`, whose outputs have the names of the module's.

    Raises:
        ValueError: A column cannot be exported.
    """
    graph = ColumnGraph(forward.raw, by_fingerprint)
    encoded = [value for each in forward.inputs for value in each.onnx_tensors(graph)]
    graph.refuse_unequal(forward.together)
    graph.finish()
    parameters = forward.original_names
    tensors = iter(graph.inline(of_program(forward.program()), encoded, "model.", parameters))
    refused = graph.refused()
    outputs = [
        _answer(
            graph,
            output,
            next(tensors) if output.is_tensor else graph.feature(str(output.feature)),
            refused,
        )
        for output in forward.outputs
    ]
    whole = ir.Graph(
        list(graph.inputs.values()),
        outputs,
        nodes=graph.list,
        initializers=graph.initializers,
        opset_imports={"": OPSETS[""]},
        name="model",
    )
    for key, value in graph.inputs.items():
        value.name = (names or {}).get(key, key)
    _keep_apart(whole)
    whole.sort()
    used = {node.domain for node in whole.all_nodes()}
    whole.opset_imports.update({domain: OPSETS[domain] for domain in OPSETS if domain in used})
    model = ir.Model(
        whole, ir_version=IR_VERSION, producer_name="torchest", producer_version=__version__
    )
    operators = needs(model)["operators"].items()
    described = ", ".join(f"{domain} {version}" for domain, version in operators)
    model.metadata_props["operators"] = f"{described}; all built into onnxruntime"
    model.metadata_props["onnxruntime"] = LEAST_ONNXRUNTIME
    return model


def needs(model: ir.Model) -> JSON:
    """The minimum versions of operators, format and onnxruntime that a model needs."""
    imports = model.graph.opset_imports.items()
    return {
        "ir_version": model.ir_version,
        "operators": {domain or "ai.onnx": version for domain, version in imports},
        "onnxruntime": LEAST_ONNXRUNTIME,
    }


def save(model: ir.Model, path: str | os.PathLike[str]) -> None:
    """Writes a model to a file; more than 2 GB of tensors go beside it, into `<path>.data`."""
    tensors = (value.const_value for value in model.graph.initializers.values())
    size = sum(tensor.nbytes for tensor in tensors if tensor is not None)
    beside = f"{os.path.basename(path)}.data" if size > _LARGEST_FILE else None
    ir.save(model, path, external_data=beside)


def _keep_apart(graph: ir.Graph) -> None:
    """Renames values within a graph that have the name of an input or output."""
    outside = {*graph.inputs, *graph.outputs}
    taken = {value.name for value in outside}
    inside = [value for node in graph.all_nodes() for value in node.outputs]
    for value in [*inside, *graph.initializers.values()]:
        if value not in outside and value.name in taken:
            value.name = f"inside.{value.name}"


def _answer(nodes: Nodes, output: Output, value: Value, refused: Value | None) -> Value:
    """An output of the graph, with indices replaced by strings, and with NaN, −1 or "" in refused rows.

    A feature that the model returns unchanged, such as the key of an example, keeps its value in refused rows.
    """
    dtype = dtype_of(output.dtype)
    if output.strings is not None:
        dtype = STRING
        value = nodes.op("Gather", nodes.constant(output.strings, STRING), value)
    if refused is not None and output.feature is None and output.shape[:1] == (BATCH,):
        axes = nodes.constant(np.arange(1, len(output.shape)), INT64)
        wrong = nodes.op("Unsqueeze", refused, axes) if len(output.shape) > 1 else refused
        value = _nothing_where(nodes, wrong, value, dtype)
    answer = nodes.op("Identity", value)
    answer.name = output.name
    answer.type = ir.TensorType(dtype)
    answer.shape = ir.Shape(output.shape)
    return answer


def _nothing_where(nodes: Nodes, wrong: Value, value: Value, dtype: ir.DataType) -> Value:
    """NaN, −1, "" or False where a row is refused. `Where` supports few dtypes, so others are widened."""
    if dtype == BOOL:
        return nodes.op("And", value, nodes.op("Not", wrong))
    if dtype == STRING:
        return nodes.op("Where", wrong, nodes.constant("", STRING), value)
    wide = DOUBLE if dtype.is_floating_point() else INT64
    nothing = np.nan if dtype.is_floating_point() else -1 if dtype.is_signed() else 0
    if dtype in (FLOAT, DOUBLE, INT32, INT64):
        return nodes.op("Where", wrong, nodes.constant(nothing, dtype), value)
    kept = nodes.op("Where", wrong, nodes.constant(nothing, wide), nodes.cast(value, wide))
    return nodes.cast(kept, dtype)
