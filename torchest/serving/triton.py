"""The configuration of an exported model for NVIDIA Triton.

Format: https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from torchest.exported.golden import MANIFEST, MODEL, believed, read_manifest
from torchest.serving.values import DATATYPES, JSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def config(directory: str) -> list[str]:
    """The lines of a config.pbtxt for Triton's onnxruntime backend.

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


def _tensors(field: str, described: Sequence[Mapping[str, JSON]]) -> Iterable[str]:
    yield f"{field} ["
    for place, each in enumerate(described):
        shape = each["shape"][1:]
        sizes = ", ".join("-1" if size is None else str(size) for size in shape or [1])
        yield "  {"
        yield f"    name: {json.dumps(each['name'], ensure_ascii=False)}"
        yield f"    data_type: TYPE_{DATATYPES[each['dtype']].replace('BYTES', 'STRING')}"
        yield f"    dims: [ {sizes} ]"
        if not shape:  # in Triton, each row of a tensor has at least one dimension
            yield "    reshape: { shape: [ ] }"
        yield "  }," if place + 1 < len(described) else "  }"
    yield "]"
