"""The configuration that NVIDIA Triton takes for an exported model.

Format: https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from torchest.exported.golden import MANIFEST, MODEL, believed, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_TYPES = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "bfloat16": "TYPE_BF16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "string": "TYPE_STRING",
    "bytes": "TYPE_STRING",
}


def config(directory: str) -> list[str]:
    """The lines of a config.pbtxt, by which Triton's onnxruntime backend serves model.onnx.

    Args:
        directory: The export.

    Raises:
        ValueError: There is no model.onnx, or signatures.json is damaged.
    """
    manifest = read_manifest(directory)
    if not os.path.exists(os.path.join(directory, MODEL)):
        raise ValueError(f"{directory!r} has no {MODEL}: export it with formats=('onnx', ...).")
    with believed(directory, MANIFEST):
        return [
            'backend: "onnxruntime"',
            "max_batch_size: 1024",  # every tensor's first dimension counts rows
            *_tensors("input", [each for each in manifest["inputs"] if each["used"]]),
            *_tensors("output", manifest["outputs"]),
            "dynamic_batching { }",
        ]


def _tensors(field: str, described: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    yield f"{field} ["
    for place, each in enumerate(described):
        shape = each["shape"][1:]
        sizes = ", ".join("-1" if size is None else str(size) for size in shape or [1])
        lines = [
            f"name: {json.dumps(each['name'], ensure_ascii=False)}",
            f"data_type: {_TYPES[each['dtype']]}",
            f"dims: [ {sizes} ]",
        ]
        if not shape:  # Triton has no tensors of rows without a dimension behind
            lines.append("reshape: { shape: [ ] }")
        yield "  {"
        yield from (f"    {line}" for line in lines)
        yield "  }," if place + 1 < len(described) else "  }"
    yield "]"
