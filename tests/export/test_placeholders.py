"""Serving functions written for TensorFlow 1: placeholders, defaults, and dimensions that are added to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import torchest
from benchmarks.fuzz.things import example
from torchest import columns, export, inputs
from torchest.inputs import FixedLenFeature, VarLenFeature

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = {"x": np.float32([[0.5], [1.5], [2.5]]), "town": ["a", "b", "?"]}, [0.0, 1.0, 2.0]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> torchest.Estimator:
    town = columns.categorical_column_with_vocabulary_list("town", ["a", "b"])
    made = torchest.LinearRegressor(
        [columns.numeric_column("x"), town], str(tmp_path_factory.mktemp("model"))
    )
    return made.train(lambda: ROWS, steps=3)


def predictions(model: torchest.Estimator) -> list[float]:
    return [row["predictions"].item() for row in model.predict(lambda: ROWS[0])]


def exported(model: torchest.Estimator, folder: Path, receiver: Any, name: str = "predict") -> Any:
    """A signature of the exported model."""
    return export.load(model.export_saved_model(folder, lambda: receiver)).signatures[name]


def test_placeholders_that_get_a_dimension(model: torchest.Estimator, tmp_path: Path):
    sent = {
        "x": export.placeholder(torch.float32, [None], name="x"),
        "town": export.placeholder(str, [None]),
    }
    features = {key: tensor[:, None] for key, tensor in sent.items()}
    loaded = exported(model, tmp_path, export.ServingInputReceiver(features, sent))
    for x in ([0.5, 1.5, 2.5], [[0.5], [1.5], [2.5]]):
        answers = loaded(x=x, town=["a", "b", "?"])
        assert np.ravel(answers["predictions"]).tolist() == pytest.approx(predictions(model))


def test_placeholders_under_other_names(model: torchest.Estimator, tmp_path: Path):
    x, town = export.placeholder("float32", [None, 1]), export.placeholder(str, (None,))
    receiver = export.ServingInputReceiver({"x": x, "town": town[..., None]}, {"a": x, "b": town})
    answers = exported(model, tmp_path, receiver)(a=[0.5], b=["a"])
    assert answers["predictions"].item() == pytest.approx(predictions(model)[0])


def test_a_default_may_be_left_out(model: torchest.Estimator, tmp_path: Path):
    sent = {
        "x": export.placeholder_with_default(torch.tensor([1.5]), [None]),
        "town": export.placeholder_with_default("b", [None]),
    }
    receiver = export.ServingInputReceiver({"x": sent["x"][:, None], "town": sent["town"]}, sent)
    loaded = exported(model, tmp_path, receiver)
    assert loaded(town=["b"])["predictions"].item() == pytest.approx(predictions(model)[1])
    assert loaded(x=[1.5])["predictions"].item() == pytest.approx(predictions(model)[1])


@pytest.mark.parametrize("dtype", [str, bytes])
def test_serialized_examples_that_the_function_parses(
    dtype: type, model: torchest.Estimator, tmp_path: Path
):
    serialized = export.placeholder(dtype, [None], name="input_example_tensor")
    spec = columns.make_parse_example_spec(
        [
            columns.numeric_column("x"),
            columns.categorical_column_with_vocabulary_list("town", ["a"]),
        ]
    )
    features = inputs.parse_example(serialized, spec)
    assert features == spec
    receiver = export.ServingInputReceiver(features, {"examples": serialized})
    loaded = exported(model, tmp_path, receiver)
    of_row = next(iter(model.predict(lambda: ({"x": [1.5], "town": [None]}))))
    answers = loaded(examples=[example()])
    assert np.ravel(answers["predictions"]) == pytest.approx(of_row["predictions"])


def test_a_single_tensor(tmp_path: Path):
    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), 0.1))
        output = net(features)
        if mode == torchest.ModeKeys.PREDICT:
            return torchest.EstimatorSpec(mode, {"y": output})
        return torchest.EstimatorSpec(mode, {"y": output}, (output - labels).square().mean(), sgd)

    model = torchest.Estimator(model_fn, str(tmp_path / "model"))
    model.train(lambda: (torch.ones(2, 1), torch.ones(2, 1)), steps=1)
    x = export.placeholder(torch.float32, [None])
    receiver = export.TensorServingInputReceiver(x[:, None], {"x": x})
    assert exported(model, tmp_path / "exports", receiver, "serving_default")(x=[1.0])[
        "y"
    ].shape == (
        1,
        1,
    )


def test_specs():
    placeholder, default = export.placeholder, export.placeholder_with_default
    assert placeholder("int64", [None]) == FixedLenFeature((), torch.int64)
    assert placeholder(str, [8, 2, 3]) == FixedLenFeature((2, 3), str)
    assert placeholder(torch.float32, [None, None]) == VarLenFeature(torch.float32)
    assert export.sparse_placeholder(str) == VarLenFeature(str)
    assert export.sparse_placeholder("int64", [None, None]) == VarLenFeature(torch.int64)
    assert default(np.float64(2), [None]) == FixedLenFeature((), torch.float64, 2.0)
    assert default([[1, 2], [1, 2]], [None, 2]) == FixedLenFeature((2,), torch.int64, [1, 2])
    assert default(["a"], [None]) == default("a", [None]) == FixedLenFeature((), str, "a")
    matrix = FixedLenFeature((2, 3), torch.float32, np.arange(6).reshape(2, 3).tolist())
    assert [matrix[index].shape for index in ((slice(None), None), (..., None), slice(None))] == [
        (1, 2, 3), (2, 3, 1), (2, 3),
    ]  # fmt: skip
    assert matrix[:, :, None].default_value == (((0, 1, 2),), ((3, 4, 5),))
    assert matrix[:, None][..., None].source is matrix


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: export.placeholder("float32", []), "shape=[] has no dimension. The first dimension is that"),
        (lambda: export.placeholder("float32", None), "shape=None has no dimension."),
        (lambda: export.placeholder("float32", 3), "shape=3 must be a list of dimensions."),
        (lambda: export.placeholder("float32", [None, 0]), "shape=0 must be a whole number of at least 1."),
        (lambda: export.placeholder("float32", [None, 2, None]), "may have None in the first place, or be [None"),
        (lambda: export.placeholder("float32", [None], name=1), "name=1 must be a string that is not empty."),
        (lambda: export.sparse_placeholder("int64", [None, None, 3]), "shape=[None, None, 3] must be [None, None]"),
        (
            lambda: export.placeholder_with_default([1, 2], [None]),
            "input=[1, 2] must be one default of the shape [], which shape=[None] says, for all examples.",
        ),
        (lambda: export.placeholder_with_default([1, 2], [None, 3]), "must be one default of the shape [3]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(call: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_other_values_of_a_placeholder_are_refused():
    spec = export.placeholder("float32", [None, 3])
    for index in (
        0,
        (None, slice(None)),
        (slice(None), 1),
        slice(2),
        (slice(None), slice(None), slice(None)),
    ):
        with pytest.raises(
            TypeError,
            match=r"of a spec may only add dimensions after the first one, as in spec\[:, None\]",
        ):
            spec[index]
    with pytest.raises(TypeError, match=r"dtype is 'flaot': give torch\.float32"):
        export.placeholder("flaot", [None])
    other = export.placeholder("float32", [None])
    with pytest.raises(ValueError, match=r"features\['x'\]=.* is not one of the receiver_tensors"):
        export.ServingInputReceiver({"x": spec[:, None]}, {"x": other})
