"""Text through a model_fn into an export: keys of examples, names of classes, and what cannot be had."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from serialized_examples import serialized

import torchest
from torchest import columns
from torchest.columns import FixedLenFeature, VarLenFeature
from torchest.export import ClassificationOutput, PredictOutput, indexed_strings
from torchest.exported.golden import verify

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "text_outputs.json").read_text())
ENGINES = ("onnx", "torchscript", "pt2", "onnx-fingerprints")
SPEC = {
    "x": FixedLenFeature((), "float32"),
    "key": FixedLenFeature((), str),
    "pair": FixedLenFeature((2,), str),
    "tags": VarLenFeature(str),
}
QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)


def trained(tmp_path, answers, features=None):
    """A model whose predictions and export outputs a function makes of its features."""

    def model_fn(features, labels, mode):
        scale = torchest.get_or_create("scale", lambda: torch.nn.Linear(1, 1))
        if mode == torchest.ModeKeys.PREDICT:
            return torchest.EstimatorSpec(mode, **answers(features))
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(scale.parameters(), lr=0.1))
        return torchest.EstimatorSpec(mode, loss=scale.weight.sum(), train_op=sgd)

    model = torchest.Estimator(model_fn, tmp_path / "model", QUIET)
    rows = features or {**REFERENCE["inputs"], "x": np.float32(REFERENCE["inputs"]["x"])}
    return model.train(lambda: (rows, [0] * len(rows["x"])), steps=1), rows


def everything(features):
    x = features["x"].reshape(-1, 1)
    logits = torch.cat([x, -x], 1)
    predictions = {
        "key": features["key"],
        "pair": features["pair"],
        "tags": features["tags"],
        "best": indexed_strings(logits.argmax(1), ["no", "yes"]),
        "logits": logits,
    }
    names = indexed_strings(torch.arange(2).expand(x.shape[0], 2), ["no", "yes"])
    outputs = {
        "serving_default": PredictOutput(predictions),
        "named": ClassificationOutput(logits, names),
        "pairs": ClassificationOutput(classes=features["pair"]),
    }
    return {"predictions": predictions, "export_outputs": outputs}


def raw(spec):
    return torchest.export.build_raw_serving_input_receiver_fn(spec)


def plain(value):
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    base = tmp_path_factory.mktemp("text")
    model, rows = trained(base, everything)
    receiver_fn = torchest.export.build_parsing_serving_input_receiver_fn(SPEC)
    return model, rows, model.export_saved_model(base / "exports", receiver_fn, formats=ENGINES)


def test_predictions_are_tensorflows(exported):
    model, rows, _ = exported
    for actual, wanted in zip(model.predict(lambda: [rows]), REFERENCE["predictions"], strict=True):
        assert {name: plain(np.asarray(value).tolist()) for name, value in actual.items()} == wanted


@pytest.mark.parametrize("engine", ENGINES)
def test_signatures_answer_as_tensorflows_do(exported, engine):
    _, rows, path = exported
    model = torchest.export.load(path, engine)
    records = [
        serialized(
            x=[float(x)],
            key=[key.encode()],
            pair=[word.encode() for word in pair],
            tags=[word.encode() for word in tags],
        )
        for x, key, pair, tags in zip(*rows.values(), strict=True)
    ]
    for name, wanted in REFERENCE["signatures"].items():
        for answer in (
            model.signatures[name](records),
            model.signatures[name](**rows),  # inputs have the names of outputs here
        ):
            actual = {key: plain(value.tolist()) for key, value in answer.items()}
            assert actual == wanted
            assert all(
                isinstance(each, bytes)
                for value in answer.values()
                if value.dtype == object
                for each in value.flat
            )


def test_the_golden_rows_and_signatures_json_have_the_text(exported):
    *_, path = exported
    assert verify(path) == []
    described = {
        each["name"]: each for each in json.loads(Path(path, "signatures.json").read_text())["outputs"]
    }  # fmt: skip
    assert described["key"] == {
        "name": "key", "dtype": "string", "shape": [None], "feature": "key"
    }  # fmt: skip
    assert described["tags"]["shape"] == [None, None]
    assert described["classes"]["strings"] == ["no", "yes"]
    inputs = {each.key: each.name for each in torchest.export.load(path).inputs}
    assert inputs == {
        "x": "x", "key": "feature_key", "pair": "feature_pair", "tags": "feature_tags"
    }  # fmt: skip


def test_an_input_that_is_renamed_is_given_by_one_of_its_names(exported):
    _, rows, path = exported
    predict = torchest.export.load(path).signatures["serving_default"]
    with pytest.raises(ValueError, match="Input 'feature_key' is given twice, as 'key' too"):
        predict(**rows, feature_key=["a", "b"])
    with pytest.raises(ValueError, match="There is no input 'kee'"):
        predict(kee=["a", "b"], x=[1.0, 2.0])


def test_a_number_is_a_key_too_and_stays_in_rows_that_are_refused(tmp_path):
    group = columns.categorical_column_with_identity("group", 3)

    def answers(features):
        layer = torchest.get_or_create(
            "layer", lambda: columns.DenseFeatures([columns.indicator_column(group)])
        )
        names = indexed_strings(features["group"].clamp(0, 2), ["a", "b", "c"])
        return {
            "predictions": {
                "id": features["id"],
                "key": features["key"],
                "sum": layer(features).sum(1),
                "name": names,
            }
        }

    rows = {
        "id": np.array([2**53 + 1, 8]),
        "key": ["a", "b"],
        "group": np.array([0, 2]),
        "x": np.zeros(2),
    }
    model, _ = trained(tmp_path, answers, rows)
    spec = {
        "id": FixedLenFeature((), "int64"),
        "key": FixedLenFeature((), str),
        "group": FixedLenFeature((), "int64"),
    }
    for engine in ENGINES:
        path = model.export_saved_model(tmp_path / "exports", raw(spec), formats=engine)
        predict = torchest.export.load(path, engine).signatures["serving_default"]
        answer = predict(id=rows["id"], key=["a", "b"], group=[0, 2])
        assert answer["id"].tolist() == [2**53 + 1, 8]
        assert answer["key"].tolist() == [b"a", b"b"]
        assert answer["name"].tolist() == [b"a", b"c"]
        if engine == "onnx":
            answer = predict(id=rows["id"], key=["a", "b"], group=[0, 3])
            assert answer["id"].tolist() == [2**53 + 1, 8]
            assert answer["key"].tolist() == [b"a", b"b"]
            assert answer["name"].tolist() == [b"a", b""]
            np.testing.assert_equal(answer["sum"], np.array([1, np.nan], np.float32))


def test_a_single_feature_that_is_text_is_given_back(tmp_path):
    def answers(features):
        return {"predictions": {"key": features["key"], "one": torch.ones(features.batch_size)}}

    model, _ = trained(tmp_path, answers)
    path = model.export_saved_model(tmp_path / "exports", raw({"key": SPEC["key"]}), formats=ENGINES)  # fmt: skip
    for engine in ENGINES:
        answer = torchest.export.load(path, engine).signatures["serving_default"](key=["a", "b"])
        assert answer["key"].tolist() == [b"a", b"b"]
        assert answer["one"].tolist() == [1, 1]


def test_a_model_that_answers_with_text_alone_has_no_pt2(tmp_path):
    model, _ = trained(tmp_path, lambda features: {"predictions": features["key"]})
    receiver_fn = raw({"key": SPEC["key"]})
    for engine in ("onnx", "torchscript", "onnx-fingerprints"):
        path = model.export_saved_model(tmp_path / "exports", receiver_fn, formats=engine)
        predict = torchest.export.load(path, engine).signatures["serving_default"]
        assert predict(key=["a", "b"])["output"].tolist() == [b"a", b"b"]
    with pytest.raises(
        ValueError, match=r"text of its features alone, .* leave 'pt2' out of formats"
    ):
        model.export_saved_model(tmp_path / "exports", receiver_fn, formats=("onnx", "pt2"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda features: pc.utf8_upper(features["key"]),
            "model_fn reads the feature 'key' itself, which is text and can only be given back as it is",
        ),
        (
            lambda features: torch.tensor([float(len(each.as_py())) for each in features["key"]]),
            "model_fn reads the feature 'key' itself, .*: give it to a categorical column",
        ),
        (
            lambda features: np.repeat(np.array(["a"], object), features["x"].shape[0]),
            r"The answer 'y' is text that model_fn makes.*indexed_strings\(indices, vocabulary\)",
        ),
        (
            lambda features: features["x"].numpy(),
            "The answer 'y' is a ndarray, which an exported model cannot make: compute it with",
        ),
        (lambda features: features["x"].sum(), "The answer 'y' is a single value, but must have one row"),
        (lambda features: torch.tensor(3), "The answer 'y' is a single value"),
        (
            lambda features: indexed_strings(torch.tensor(0), ["a"]),
            "The answer 'y' is a single value",
        ),
        (
            lambda features: features["x"].sum(0, keepdim=True),
            r"The answer 'y' has the shape \[1\], but must have one row per example",
        ),
        (
            lambda features: features["x"].repeat(2),
            r"The answer 'y' has the shape \[None\], but must have one row per example",
        ),
    ],
    ids=[
        "computed text", "a number of text", "constant text", "a numpy array", "a mean", "a constant",
        "a scalar string", "one row", "twice the rows",
    ],
)  # fmt: skip
def test_what_an_export_cannot_answer_is_said_in_a_sentence(tmp_path, answer, message):
    def answers(features):
        return {"predictions": {"x": features["x"], "y": answer(features)}}

    model, _ = trained(tmp_path, answers)
    for formats in ENGINES:
        with pytest.raises(ValueError, match=message):
            model.export_saved_model(tmp_path / "exports", raw(SPEC), formats=formats)
    assert not list((tmp_path / "exports").glob("*/signatures.json"))


def test_a_scalar_export_output_is_named_as_its_signature_has_it(tmp_path):
    def answers(features):
        mean = {"mean": features["x"].mean()}
        outputs = {"serving_default": PredictOutput(features["x"]), "all": PredictOutput(mean)}
        return {"predictions": features["x"], "export_outputs": outputs}

    model, rows = trained(tmp_path, answers)
    assert len(list(model.predict(lambda: [rows]))) == 2
    with pytest.raises(ValueError, match="The answer 'mean' is a single value"):
        model.export_saved_model(tmp_path / "exports", raw(SPEC))


def test_text_is_described_for_an_evaluation(tmp_path):
    def model_fn(features, labels, mode):
        return torchest.EstimatorSpec(mode, {"key": features["key"]}, features["x"].sum())

    model, _ = trained(tmp_path, everything)
    model = torchest.Estimator(model_fn, tmp_path / "model", QUIET)
    features = {"x": FixedLenFeature((), "float32"), "key": FixedLenFeature((), str)}
    supervised = torchest.experimental.build_raw_supervised_input_receiver_fn(
        features, {"y": FixedLenFeature((), "int64")}
    )
    path = model.experimental_export_all_saved_models(tmp_path / "exports", {"eval": supervised})
    described = json.loads(Path(path, "signatures.json").read_text())["eval"]["outputs"]
    assert {"name": "predictions/key", "dtype": "string", "shape": [None]} in described


@pytest.mark.parametrize(
    ("indices", "vocabulary", "message"),
    [
        ([0, 1], ["a", "b"], r"indices=\[0, 1\] must be a tensor of integers"),
        (torch.tensor([0.0]), ["a"], r"indices=tensor\(\[0\.\]\) must be a tensor of integers"),
        (torch.tensor([0]), "a", "vocabulary='a' must be a list of strings"),
        (torch.tensor([0]), ["a", 1], r"vocabulary=\['a', 1\] must be a list of strings"),
    ],
)
def test_wrong_strings_of_a_list(indices, vocabulary, message):
    with pytest.raises(TypeError, match=f"indexed_strings: {message}"):
        indexed_strings(indices, vocabulary)


def test_strings_of_a_list_are_text_or_bytes():
    actual = indexed_strings(torch.tensor([[1], [0]], dtype=torch.int32), ["ä", b"\xff"])
    assert actual.numpy().tolist() == [[b"\xff"], ["ä".encode()]]


@pytest.mark.parametrize(
    ("signature", "given", "message"),
    [
        ("serving_default", "inputs", r"no input 'inputs' of signature 'serving_default': write examples="),
        ("named", "examples", r"no input 'examples' of signature 'named': write inputs="),
        ("serving_default", "example", r"no input 'example' .*: write examples=\[\.\.\.\] for serialized"),
    ],
)  # fmt: skip
def test_examples_under_another_name_are_told_theirs(exported, signature, given, message):
    model = torchest.export.load(exported[2])
    with pytest.raises(ValueError, match=message):
        model.signatures[signature](**{given: [serialized(x=[1.0])]})
