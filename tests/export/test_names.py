"""Features and answers of any name: exported, loaded and asked."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from serialized_examples import serialized

import torchest
from torchest import columns as fc

NAMES = [
    "logits",
    "classes",
    "probabilities",
    "self",
    "examples",
    "inputs",
    "",
    "given",
    "model.x",
    "feature_logits",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    read = [fc.numeric_column(name) if name else fc.numeric_column("empty") for name in NAMES]
    rows = {
        column.key: np.array([1.0, -2.0, 3.0], np.float32) * at for at, column in enumerate(read, 1)
    }
    config = torchest.RunConfig(tf_random_seed=1)
    model = torchest.LinearClassifier(read, tmp_path_factory.mktemp("model"), config=config)
    model.train(lambda: (rows, [0, 1, 1]), steps=3)
    return model, rows


def spec_of(rows):
    return {key: fc.FixedLenFeature((1,), "float32") for key in rows}


@pytest.mark.parametrize("engine", ["onnx", "torchscript"])
def test_features_that_are_called_as_answers_or_arguments_are_answered(model, tmp_path, engine):
    estimator, rows = model
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(spec_of(rows))
    path = estimator.export_saved_model(tmp_path, receiver_fn, formats=engine)
    served = torchest.export.load(path, engine)
    named = {each["feature"]: each["name"] for each in served.description["inputs"]}
    assert named["logits"] == "feature_feature_logits"  # there is a feature_logits
    assert named["classes"] == "feature_classes"
    assert named["self"] == "self"
    assert named["examples"] == "examples"
    answers = served.signatures["predict"](**{named[key]: value for key, value in rows.items()})
    (expected,) = estimator.predict(lambda: iter([rows]), yield_single_examples=False)
    np.testing.assert_allclose(answers["logits"], expected["logits"], atol=1e-5)
    assert answers["classes"].tolist() == expected["classes"].tolist()


def test_onnxruntime_takes_the_names_that_signatures_json_states(model, tmp_path):
    estimator, rows = model
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(spec_of(rows))
    path = estimator.export_saved_model(tmp_path, receiver_fn)
    named = {each.key: each.name for each in torchest.export.load(path).inputs}
    session = onnxruntime.InferenceSession(f"{path}/model.onnx")
    feeds = {named[key]: value[:, None] for key, value in rows.items()}
    assert {each.name for each in session.get_inputs()} == set(feeds)
    (logits,) = session.run(["logits"], feeds)
    (expected,) = estimator.predict(lambda: iter([rows]), yield_single_examples=False)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-5)


def test_serialized_examples_are_told_from_a_feature_of_their_name(model, tmp_path):
    estimator, rows = model
    receiver_fn = torchest.export.build_parsing_serving_input_receiver_fn(spec_of(rows))
    served = torchest.export.load(estimator.export_saved_model(tmp_path, receiver_fn))
    named = {each.key: each.name for each in served.inputs}
    assert (named["examples"], named["inputs"]) == ("feature_examples", "feature_inputs")
    records = [
        serialized(**{key: [float(value[row])] for key, value in rows.items()}) for row in range(3)
    ]
    by_record = served.signatures["predict"](examples=records)
    by_name = served.signatures["predict"](**{named[key]: value for key, value in rows.items()})
    classified = served.signatures["classification"](inputs=records)
    (expected,) = estimator.predict(lambda: iter([rows]), yield_single_examples=False)
    for logits in (by_record["logits"], by_name["logits"]):
        np.testing.assert_allclose(logits, expected["logits"], atol=1e-5)
    np.testing.assert_allclose(classified["scores"], expected["probabilities"], atol=1e-5)


def test_a_feature_without_a_name_is_answered(tmp_path):
    def model_fn(features, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
        output = net(features[""])
        return torchest.EstimatorSpec(
            mode, loss=output.sum(), train_op=lambda: None, predictions=output
        )

    rows = {"": np.array([[1.0], [2.0]], np.float32)}
    model = torchest.Estimator(model_fn, tmp_path / "model").train(lambda: rows, steps=1)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
        {"": fc.FixedLenFeature((1,), "float32")}
    )
    served = torchest.export.load(model.export_saved_model(tmp_path / "exports", receiver_fn))
    assert [each.name for each in served.inputs] == ["feature_"]
    answer = served.signatures["serving_default"](feature_=rows[""])["output"]
    (expected,) = model.predict(lambda: iter([rows]), yield_single_examples=False)
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_a_name_that_a_receiver_gives_is_kept(model, tmp_path):
    estimator, rows = model
    specs = spec_of(rows)
    receiver = torchest.export.ServingInputReceiver(
        specs, {f"my_{key}": spec for key, spec in specs.items()}
    )
    served = torchest.export.load(estimator.export_saved_model(tmp_path, lambda: receiver))
    answers = served.signatures["predict"](**{f"my_{key}": value for key, value in rows.items()})
    (expected,) = estimator.predict(lambda: iter([rows]), yield_single_examples=False)
    np.testing.assert_allclose(answers["logits"], expected["logits"], atol=1e-5)
