"""Recurrent layers of exported models go through sequences of any length, also of none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

import torchest
from tests.export.onnx import test_columns as of_columns
from torchest import columns as fc
from torchest.export.onnx.model import onnx_model
from torchest.exported import golden
from torchest.models.rnn import RNNModel

if TYPE_CHECKING:
    from torchest.export.forward import Forward

FEATURES = {"seen": [[1, 2, 3], [], [4], [5, 6]], "x": np.array([1.0, 2.0, 3.0, 4.0], np.float32)}
BATCHES = {
    "all": [0, 1, 2, 3], "one": [0], "an empty row": [1], "empty rows": [1, 1], "no rows": [],
    "empty at both ends": [1, 0, 1, 3, 1], "longer than the example": [3, 2, 0, 0, 0, 0, 1],
}  # fmt: skip


def take(rows: list[int]) -> dict[str, Any]:
    lists = [FEATURES["seen"][row] for row in rows]
    return {
        "seen": lists if rows else np.zeros((0, 0), np.int64),
        "x": FEATURES["x"][rows],
    }


class OwnNet(nn.Module):
    """Layers of torch as users have them: several, in both directions, with last states."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(6, 2, bias=False)
        self.rnn = nn.RNN(4, 3, nonlinearity="relu", batch_first=True)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        steps = torch.nn.functional.pad(steps, (0, 0, 1, 0))  # layers of torch need a step
        values, (hidden, cells) = self.lstm(steps)
        others, _ = self.gru(values.transpose(0, 1))
        _, last = self.rnn(steps)
        return torch.cat(
            [values.sum(1), hidden.sum(0), cells.sum(0), others.sum(0), last.sum(0)], 1
        )


def model_fn(features, labels, mode):
    seen = fc.embedding_column(fc.sequence_categorical_column_with_identity("seen", 9), 4)
    context = fc.numeric_column("x")

    def model(cell: str, whole: bool) -> RNNModel:
        return RNNModel([seen], [context], [5, 3], cell, outputs=2, return_sequences=whole)

    answers = {}
    for cell, whole in (("simple_rnn", True), ("lstm", False), ("gru", True)):
        made = torchest.get_or_create(cell, lambda cell=cell, whole=whole: model(cell, whole))
        answers[cell], mask = made(features)
        answers["mask"] = mask
    layer = torchest.get_or_create("steps", lambda: fc.SequenceFeatures([seen]))
    net = torchest.get_or_create("net", OwnNet)
    answers["own"] = net(layer(features)[0]) * (features["x"].unsqueeze(1) > 0)
    return torchest.EstimatorSpec(mode, predictions=answers)


class Exported(NamedTuple):
    estimator: torchest.Estimator
    forward: Forward
    kinds: list[str]
    session: Any
    program: Any


@pytest.fixture(scope="module")
def exported():
    torch.manual_seed(0)
    estimator = torchest.Estimator(model_fn)
    forward = of_columns.forward_of(estimator, take([0, 3]))
    model = onnx_model(forward)
    kinds = [node.op_type for node in model.graph]
    return Exported(
        estimator, forward, kinds, of_columns.session(model), forward.program().module()
    )


@pytest.mark.parametrize("name", BATCHES)
def test_answers_are_those_of_python(exported, name):
    estimator, forward, _, session, program = exported
    features = take(BATCHES[name])
    in_python = forward.encode(features)
    expected = dict(zip([each.name for each in forward.outputs], forward(*in_python), strict=True))
    given = of_columns.feed({**features, "seen": list(features["seen"])}, forward.raw)
    actual = session.run(list(expected), given)
    for value, traced, (key, wanted) in zip(
        actual, program(*in_python), expected.items(), strict=True
    ):
        np.testing.assert_allclose(value, wanted.detach(), rtol=1e-5, atol=1e-6, err_msg=key)
        np.testing.assert_allclose(traced.detach(), wanted.detach(), rtol=1e-5, atol=1e-6)
    if name == "all":
        (predicted,) = estimator.predict(lambda: [features], yield_single_examples=False)
        for value, wanted in zip(actual, predicted.values(), strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)


def test_layers_are_loops_in_the_graph(exported):
    # two layers of each recurrent model, one or two of the net of its own
    assert {kind: exported.kinds.count(kind) for kind in ("LSTM", "GRU", "RNN")} == {
        "LSTM": 4, "GRU": 3, "RNN": 3
    }  # fmt: skip


SEEN = fc.sequence_categorical_column_with_identity("seen", 9)
SPENT = fc.sequence_numeric_column("spent", default_value=-1.0)
TAGS = fc.sequence_categorical_column_with_vocabulary_list("tag", ["a", "b"])
WIDTHS = {
    "equal": (5, 5, 5),
    "differing": (3, 4, 6),
    "as wide as the longest row": (2, 2, 2),
    "no step in any row": (4, 3, 0),
    "no room": (0, 0, 0),
}


def padded(seen: int, spent: int, tag: int) -> dict[str, Any]:
    """Three rows of two steps, one and none, as far as there is room, in matrices of so many steps."""
    lengths = np.array([2, 1, 0]) * (min(seen, spent, tag) > 0)

    def matrix(width: int, value: Any, fill: Any) -> np.ndarray:
        return np.where(np.arange(width) < lengths[:, None], value, fill)

    return {
        "seen": matrix(seen, 3, -1).astype(np.int64),
        "spent": matrix(spent, 0.5, np.nan).astype(np.float32),
        "tag": matrix(tag, "b", "").astype(object),
    }


@pytest.fixture(scope="module")
def of_matrices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("of_matrices")
    used = [fc.embedding_column(SEEN, 2), SPENT, fc.indicator_column(TAGS)]
    model = torchest.experimental.RNNClassifier(
        used, units=[3], cell_type="gru", return_sequences=True, model_dir=folder / "model"
    )
    model.train(lambda: (padded(2, 2, 2), [[1, 0], [1], []]), steps=1)
    receiver = torchest.export.build_parsing_serving_input_receiver_fn(
        fc.make_parse_example_spec(used)
    )
    formats = ("onnx", "torchscript", "pt2")
    path = model.export_saved_model(folder / "exports", receiver, formats=formats)
    assert golden.verify(path) == []
    return model, [torchest.export.load(path, each).signatures["predict"] for each in formats]


@pytest.mark.parametrize("name", WIDTHS)
def test_a_matrix_keeps_its_width_in_every_format(of_matrices, name):
    model, engines = of_matrices
    features = padded(*WIDTHS[name])
    (expected,) = model.predict(lambda: [features], yield_single_examples=False)
    assert expected["logits"].shape == (3, max(WIDTHS[name]), 1)
    for predict in engines:
        actual = predict(**features)
        for key, value in expected.items():
            assert actual[key].shape == value.shape, key
            if value.dtype != object:
                np.testing.assert_allclose(actual[key], value, rtol=1e-5, atol=1e-6, err_msg=key)


def test_several_ids_a_step_are_trained_on_and_not_exported(tmp_path):
    watched = fc.sequence_categorical_column_with_identity("watched", 5)
    model = torchest.experimental.RNNClassifier(
        [fc.embedding_column(watched, 2)], units=[3], model_dir=tmp_path / "model"
    )
    batch = {"watched": [[[1, 2], [], [3]], [[], [4]]]}, [0, 1]
    model.train(lambda: batch, steps=1)
    assert len(list(model.predict(lambda: batch))) == 2
    example = {"watched": np.array([[[1, 2], [3, -1]], [[4, -1], [-1, -1]]])}
    receiver = torchest.export.build_raw_serving_input_receiver_fn(example)
    with pytest.raises(ValueError, match="'watched' has several values in a step, which cannot be"):
        model.export_saved_model(tmp_path / "exports", receiver)
    assert not (tmp_path / "exports").exists() or not list((tmp_path / "exports").iterdir())
