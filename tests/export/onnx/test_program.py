"""Exports that differ only in their weights share a translation, and their files are as without that."""

from __future__ import annotations

import gc
import re
import weakref
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import torchest
from torchest import columns as fc
from torchest.export.forward import Forward
from torchest.export.onnx import graph
from torchest.export.onnx import model as onnx_model
from torchest.export.onnx import program as onnx_program
from torchest.export.onnx.nodes import OPSETS
from torchest.export.onnx.recurrent import recurrent

FEATURES = {
    "age": np.array([3, 40, 12, 70], np.float32),
    "town": np.array(["Köln", "Zürich", "東京", "x"]),
}
AGE = fc.numeric_column("age", normalizer_fn=lambda age: age / 10)
TOWN = fc.categorical_column_with_hash_bucket("town", 20)
EMBEDDED = fc.embedding_column(TOWN, 3)


def linear() -> torchest.Estimator:
    return torchest.LinearClassifier([AGE, TOWN])


def deep() -> torchest.Estimator:
    return torchest.DNNClassifier([4, 3], [AGE, EMBEDDED])


def wide_and_deep() -> torchest.Estimator:
    return torchest.DNNLinearCombinedClassifier(
        linear_feature_columns=[TOWN], dnn_feature_columns=[AGE, EMBEDDED], dnn_hidden_units=[4]
    )


def with_constants() -> torchest.Estimator:
    """A model_fn that scales by constants, with a recurrent layer and a buffer."""

    def model_fn(features: Any, labels: Any, mode: str) -> torchest.EstimatorSpec:
        layer = torchest.get_or_create("inputs", lambda: fc.DenseFeatures([AGE, EMBEDDED]))
        norm = torchest.get_or_create("norm", lambda: nn.BatchNorm1d(layer.width))
        steps = torchest.get_or_create("steps", lambda: nn.GRU(layer.width, 2, batch_first=True))
        values = norm(layer(features)) * torch.tensor([1.0, 0.5, 2.0, 3.0])
        scores = steps(values.unsqueeze(1))[0][:, 0].sum(1)
        if mode == torchest.ModeKeys.PREDICT:
            return torchest.EstimatorSpec(mode, predictions={"score": scores})
        loss = (scores - labels).square().mean()
        parameters = [*layer.parameters(), *norm.parameters(), *steps.parameters()]
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(parameters, 0.1))
        return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)

    return torchest.Estimator(model_fn)


@pytest.fixture(autouse=True)
def _nothing_is_kept():
    onnx_program._translations.clear()
    yield
    onnx_program._translations.clear()


@pytest.fixture
def translations(monkeypatch):
    """A list with one element for each translation that torch makes."""
    calls = []
    export = torch.onnx.export

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return export(*args, **kwargs)

    monkeypatch.setattr(torch.onnx, "export", counted)
    return calls


def content(model: ir.Model) -> bytes:
    return ir.serde.serialize_model(model).SerializeToString(deterministic=True)


def trained_file(estimator: torchest.Estimator) -> bytes:
    """The file after another step of training."""
    estimator.train(lambda: (FEATURES, np.array([0, 1, 1, 0])), steps=1)
    return file_of(estimator)


def file_of(estimator: torchest.Estimator) -> bytes:
    next(estimator.predict(lambda: [FEATURES]))
    model, _ = estimator._model_cache._kept
    return content(onnx_model.onnx_model(Forward(model, FEATURES)))


def program_of(module: nn.Module, *examples: Tensor) -> torch.export.ExportedProgram:
    rows = torch.export.Dim("rows")
    with torch.no_grad():
        return torch.export.export(
            module, examples, dynamic_shapes=tuple({0: rows} for _ in examples), strict=False
        )


class Scaled(nn.Module):
    """A linear layer behind a constant."""

    def __init__(self, scale: list[float], weight: Tensor) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return (x * torch.tensor(self.scale)) @ self.weight


def of_torch(program: torch.export.ExportedProgram) -> ir.Model:
    """What torch makes of a program in one go."""
    operators = {torch.ops.torchest.recurrent.default: recurrent}
    with onnx_program.quiet():
        made = torch.onnx.export(
            program, dynamo=True, opset_version=OPSETS[""], verbose=False, custom_translation_table=operators
        )  # fmt: skip
    return made.model


def with_values_numbered(file: bytes) -> str:
    """A file as text, in which the values that the optimizer named are numbered as they come."""
    numbers: dict[str, int] = {}
    return re.sub(
        r"\bval_\d+",
        lambda name: f"value {numbers.setdefault(name[0], len(numbers))}",
        str(onnx.load_from_string(file)),
    )


@pytest.mark.parametrize("kind", [linear, deep, wide_and_deep, with_constants])
def test_files_made_of_a_kept_translation_are_those_that_torch_makes(
    kind, translations, monkeypatch
):
    estimator = kind()
    first = trained_file(estimator)
    made = len(translations)
    again = trained_file(estimator)
    assert len(translations) == made
    monkeypatch.setattr(graph, "of_program", of_torch)
    monkeypatch.setattr(onnx_model, "of_program", of_torch)
    expected = file_of(estimator)
    assert len(translations) == 2 * made
    assert with_values_numbered(again) == with_values_numbered(expected)
    assert with_values_numbered(first) != with_values_numbered(expected)


def test_a_program_that_differs_only_in_a_constant_has_its_own(translations):
    programs = [
        program_of(Scaled(scale, torch.ones(2, 3)), torch.ones(4, 2))
        for scale in ([1.0, 2.0], [1.0, 3.0], [1.0, 2.0])
    ]
    assert len({str(program) for program in programs}) == 1
    one, other, again = (content(onnx_program.of_program(program)) for program in programs)
    assert one == again != other
    assert len(translations) == 2
    onnx_program._translations.clear()
    assert content(onnx_program.of_program(programs[1])) == other


def test_a_program_whose_weights_have_other_strides_is_translated_anew(translations):
    weight = torch.arange(6.0).reshape(2, 3)
    programs = [
        program_of(Scaled([1.0, 2.0], kept), torch.ones(4, 2))
        for kept in (weight, weight.T.contiguous().T)
    ]
    assert len({str(program) for program in programs}) == 1
    one, other = (content(onnx_program.of_program(program)) for program in programs)
    assert one == other
    assert len(translations) == 2


class Added(nn.Module):
    """Two weights, which may be parts of one."""

    def __init__(self, *weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.ParameterList(weights)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weights[0] + self.weights[1]


def test_a_program_whose_weights_share_storage_is_translated_anew(translations):
    both = torch.ones(2)
    for weights in ((torch.ones(2), torch.ones(2)), (both, both.view(2))):
        onnx_program.of_program(program_of(Added(*weights), torch.ones(3, 2)))
    assert len(translations) == 2


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))


def test_a_program_with_branches_is_translated_each_time(translations):
    for _ in range(2):
        onnx_program.of_program(program_of(Branches(), torch.ones(3, 2)))
    assert len(translations) == 2
    assert not onnx_program._translations


def test_few_translations_are_kept(monkeypatch):
    monkeypatch.setattr(onnx_program, "_MOST_TRANSLATIONS", 2)
    for width in range(1, 4):
        module = Scaled([1.0] * width, torch.ones(width, 1))
        onnx_program.of_program(program_of(module, torch.ones(3, width)))
    assert len(onnx_program._translations) == 2


def test_kept_translations_hold_no_weights():
    module = Scaled([1.0, 2.0], torch.ones(2, 3))
    weight = weakref.ref(module.weight)
    onnx_program.of_program(program_of(module, torch.ones(4, 2)))
    del module
    # the rules of the optimizer remember the nodes that they saw last
    onnx_program.of_program(program_of(Scaled([1.0], torch.ones(1, 1)), torch.ones(4, 1)))
    gc.collect()
    assert len(onnx_program._translations) == 2
    assert weight() is None
