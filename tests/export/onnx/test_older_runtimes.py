"""Traced nodes that older versions of onnxruntime get wrong are said in another way, with the same numbers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import torchest
from torchest.export.forward import Forward
from torchest.export.onnx.model import onnx_model, save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

X = np.array([[4.0, np.inf, 0.0], [1.0, 9.0, -2.0], [0.25, 2.0, 3.0]], np.float32)


def exported(function: Callable[[torch.Tensor], Any], path: Path) -> Path:
    """A file that answers with a function of the feature "x"."""

    def model_fn(features, labels, mode):
        x = features["x"]
        shift = torchest.get_or_create("shift", lambda: torch.nn.Linear(1, 1)).bias.detach() * 0
        return torchest.EstimatorSpec(mode, predictions=function(x + shift))

    estimator = torchest.Estimator(model_fn)
    next(estimator.predict(lambda: [{"x": X}]))
    save(onnx_model(Forward(estimator._model_cache._kept[0], {"x": X})), path / "model.onnx")
    return path / "model.onnx"


FUNCTIONS: dict[str, Callable[[torch.Tensor], Any]] = {
    "sum": lambda x: x.sum(-1),
    "mean": lambda x: x.mean(-1, keepdim=True),
    "place of the largest": lambda x: x.argmax(-1),
    "norm": lambda x: x.norm(dim=-1),
    "error function": lambda x: torch.erf(x - x),  # NaN of infinity
    "root": lambda x: x.abs().sqrt(),
    "all in order beside a norm": lambda x: {
        "sorted": x.sort(-1).values,
        "norm": torch.nn.functional.normalize(x.clamp(-9, 9)),
    },
    "the largest two": lambda x: dict(zip(("values", "places"), x.topk(2, -1), strict=True)),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A function that gives the file of a function by its name."""
    return functools.cache(lambda name: exported(FUNCTIONS[name], tmp_path_factory.mktemp("file")))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_file_answers_as_torch_does(name, files):
    session = onnxruntime.InferenceSession(files(name), providers=["CPUExecutionProvider"])
    for rows in (0, 1, 3):
        expected = FUNCTIONS[name](torch.tensor(X[:rows]))
        expected = expected if isinstance(expected, dict) else {"output": expected}
        actual = session.run(list(expected), {"x": X[:rows]})
        for wanted, value in zip(expected.values(), actual, strict=True):
            np.testing.assert_allclose(value, wanted.numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ["sum", "mean", "place of the largest", "norm"])
def test_no_axis_of_a_reduction_is_counted_from_the_end(name, files):
    graph = onnx.load(files(name)).graph
    known = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    known |= {
        node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant"
    }
    reductions = [node for node in graph.node if node.op_type.startswith(("Reduce", "ArgM"))]
    for node in reductions:
        axes = [each.i for each in node.attribute if each.name == "axis"]
        axes += known[node.input[1]].tolist() if len(node.input) > 1 else []
        assert min(axes) >= 0
    assert reductions


def test_what_ends_the_process_without_rows_has_one_row_more(files):
    nodes = onnx.load(files("the largest two")).graph.node
    kinds = [node.op_type for node in nodes]
    assert kinds.index("Pad") < kinds.index("TopK") < kinds.index("Slice")
