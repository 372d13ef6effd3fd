"""Properties that every exported estimator has; the numbers of the ONNX files are compared elsewhere."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

import torchest
from tests.catalogue.test_all_estimators import (
    AGE,
    DEEP,
    ESTIMATORS,
    KIND,
    QUIET,
    TOWN,
    batch,
    batches,
    make,
)
from torchest import columns, heads

SPEC = columns.make_parse_example_spec([AGE, TOWN, KIND])
HEADS = {
    "several labels": (heads.MultiLabelHead(3), np.eye(3, dtype=int)[[0, 1, 2, 0, 1, 2]]),
    "poisson": (heads.PoissonRegressionHead(), np.arange(6.0)),
    "logistic": (heads.LogisticRegressionHead(), np.arange(6) / 6),
    "several heads": (
        heads.MultiHead([heads.BinaryClassHead(name="b"), heads.RegressionHead(2, name="r")]),
        {"b": np.arange(6) % 2, "r": np.ones((6, 2))},
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(name, model_dir):
    if name in ESTIMATORS:
        return make(name, model_dir).train(batches(6))
    head, labels = HEADS[name]
    model = torchest.DNNEstimator(
        head=head, hidden_units=[3], feature_columns=DEEP, model_dir=str(model_dir), config=QUIET
    )
    return model.train(lambda: [(batch(6)[0], labels)])


def raw_receiver():
    examples = {key: batch(3)[0][key] for key in ("age", "town", "kind")}
    return torchest.export.build_raw_serving_input_receiver_fn(examples)


RECEIVERS = {
    "parsing": lambda: torchest.export.build_parsing_serving_input_receiver_fn(SPEC),
    "raw": raw_receiver,
}


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for key, value in expected.items():
        assert (actual[key].dtype, actual[key].shape) == (value.dtype, value.shape), key
        if value.dtype == object:
            np.testing.assert_array_equal(actual[key], value)
        else:
            np.testing.assert_allclose(actual[key], value, 1e-5, 1e-5, err_msg=key)


@pytest.mark.parametrize("receiver", RECEIVERS)
@pytest.mark.parametrize("name", [*ESTIMATORS, *HEADS])
def test_torchscript_predicts_as_python_does(name, receiver, tmp_path):
    model = trained(name, tmp_path / "model")
    path = model.export_saved_model(tmp_path / "base", RECEIVERS[receiver](), formats="torchscript")
    predict = torchest.export.load(path, "torchscript").signatures["predict"]
    for rows in (1, 4, 0):
        features = {key: batch(rows, 20)[0][key] for key in ("age", "town", "kind")}
        (expected,) = model.predict(lambda: iter([features]), yield_single_examples=False)  # noqa: B023
        named = {"/".join(k) if isinstance(k, tuple) else k: v for k, v in expected.items()}
        assert_same(predict(**features), named)


def sequences(lengths):
    words = [[f"w{row} {at % 3}" for at in range(length)] for row, length in enumerate(lengths)]
    numbers = [[at / 2 for at in range(length)] for length in lengths]
    return {
        "word": pa.array(words, pa.list_(pa.string())),
        "number": pa.array(numbers, pa.list_(pa.float32())),
        "age": np.arange(len(lengths), dtype=np.float32),
    }


@pytest.mark.parametrize("formats", [("onnx", "torchscript", "pt2")])
def test_a_recurrent_model_answers_sequences_of_all_lengths(formats, tmp_path):
    word = columns.embedding_column(
        columns.sequence_categorical_column_with_hash_bucket("word", 20), 3
    )
    number = columns.sequence_numeric_column("number")
    model = torchest.experimental.RNNClassifier(
        [word, number], context_feature_columns=[AGE], units=[4], n_classes=3,
        model_dir=str(tmp_path / "model"), config=QUIET,
    )  # fmt: skip
    model.train(lambda: (sequences([2, 1, 3]), [0, 1, 2]), steps=2)
    spec = columns.make_parse_example_spec([word, number, AGE])
    receiver_fn = torchest.export.build_parsing_serving_input_receiver_fn(spec)
    path = model.export_saved_model(tmp_path / "base", receiver_fn, formats=formats)
    engines = [torchest.export.load(path, engine).signatures["predict"] for engine in formats]
    for lengths in ([0, 2, 5], [3, 0, 1], [1, 4, 0], [7]):  # empty rows first, in the middle, last
        features = sequences(lengths)
        (expected,) = model.predict(lambda: iter([features]), yield_single_examples=False)  # noqa: B023
        for predict in engines:
            assert_same(predict(**features), expected)


def answers_as_in_python(model, images, tmp_path):
    def receiver_fn():
        return torchest.export.TensorServingInputReceiver(images, {"image": images})

    formats = ("onnx", "torchscript")
    path = model.export_saved_model(tmp_path / "base", receiver_fn, formats=formats)
    (expected,) = model.predict(lambda: iter([images]), yield_single_examples=False)
    for engine in ("onnx", "torchscript"):
        actual = torchest.export.load(path, engine).signatures["serving_default"](image=images)
        np.testing.assert_allclose(actual["output"], expected["output"], atol=1e-5)


def of_module(net, model_dir):
    model = torchest.model_to_estimator(
        net,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.01),
        loss=torch.nn.BCEWithLogitsLoss(),
        model_dir=str(model_dir),
        config=QUIET,
    )
    images = torch.rand(2, 3, 32, 32)
    return model.train(lambda: (images, torch.tensor([[0.0], [1.0]])), steps=2), images


def test_a_convolutional_module_is_exported(tmp_path):
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU6(),
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        torch.nn.BatchNorm2d(8),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(8, 1),
    )
    answers_as_in_python(*of_module(net, tmp_path / "model"), tmp_path)


def test_mobilenet_is_exported(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    net = torchvision.models.mobilenet_v2(num_classes=1)
    answers_as_in_python(*of_module(net, tmp_path / "model"), tmp_path)
