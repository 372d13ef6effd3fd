"""`model.fingerprints.onnx` takes the fingerprints of text that is hashed, made by numpy or in JavaScript."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import torchest
from torchest import columns as fc
from torchest.columns.encode.strings import Text

HERE = Path(__file__).parents[1]
SERVING = HERE.parent / "examples" / "serving"
sys.path.insert(0, str(SERVING))
from fingerprints import fingerprints  # noqa: E402

NODE = shutil.which("node")
NODE_PACKAGES = HERE.parent / ".venv-runtimes" / "node"
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")
needs_onnxruntime_node = pytest.mark.skipif(
    NODE is None or not (NODE_PACKAGES / "node_modules" / "onnxruntime-node").exists(),
    reason="onnxruntime-node is not installed; `make runtimes` installs it",
)

TOWNS = ["Köln", "x", "", "w" * 70, "日本語", "never seen", "x" * 33, "é"]
FEATURES = {
    "town": np.array(TOWNS, object),
    "street": np.array(TOWNS[::-1], object),
    "kind": np.array(["a", "b", "", "c"] * 2, object),
    "number": np.array([3, -1, 2**53 + 1, 0, 7, -5, 8, 9]),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An estimator, and its export in both forms."""
    town = fc.categorical_column_with_vocabulary_list("town", ["x", "Köln"], num_oov_buckets=5)
    used = [
        town,
        fc.categorical_column_with_hash_bucket("street", 100),
        fc.categorical_column_with_vocabulary_list("kind", ["a", "b"]),
        fc.categorical_column_with_hash_bucket("number", 50, torch.int64),
        fc.crossed_column(["street", "number"], 100),
        fc.crossed_column([town, "kind"], 100),
    ]
    model = torchest.LinearClassifier(used, model_dir=str(tmp_path_factory.mktemp("model")))
    model.train(lambda: (FEATURES, np.arange(8) % 2), steps=20)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
        {key: value[:2] for key, value in FEATURES.items()}
    )
    formats = ("onnx", "onnx-fingerprints")
    path = model.export_saved_model(tmp_path_factory.mktemp("base"), receiver_fn, formats=formats)
    return model, path


def logits(model, count=8):
    features = {key: value[:count] for key, value in FEATURES.items()}
    return next(model.predict(lambda: [features], yield_single_examples=False))["logits"]


def test_the_file_takes_fingerprints_of_what_it_hashes_and_text_that_it_looks_up(exported):
    _, path = exported
    described = json.loads(Path(path, "signatures.json").read_text(encoding="utf-8"))
    taken = {"number", "street/fingerprint", "town", "town/fingerprint", "kind", "kind/fingerprint"}
    assert set(described["onnx-fingerprints"]["inputs"]) == taken
    assert described["files"]["model.fingerprints.onnx"] == "onnx-fingerprints"
    model = onnxruntime.InferenceSession(Path(path, "model.fingerprints.onnx"))
    types = {each.name: each.type for each in model.get_inputs()}
    assert types["street/fingerprint"] == "tensor(int64)"
    assert types["kind"] == "tensor(string)"


@pytest.mark.parametrize("rows", [0, 1, 8])
def test_a_caller_with_numpy_and_onnxruntime_gets_the_answers_of_python(exported, rows):
    model, path = exported
    file = onnxruntime.InferenceSession(Path(path, "model.fingerprints.onnx"))
    feeds = {}
    for name in (each.name for each in file.get_inputs()):
        key, hashed, _ = name.partition("/fingerprint")
        values = FEATURES[key][:rows]
        feeds[name] = fingerprints(values.tolist()) if hashed else values
    (actual,) = file.run(["logits"], feeds)
    np.testing.assert_allclose(actual, logits(model, rows), rtol=1e-5, atol=1e-6)


def test_load_hashes_text_itself(exported):
    model, path = exported
    served = torchest.export.load(path, engine="onnx-fingerprints")
    actual = served.signatures["predict"](**FEATURES)
    np.testing.assert_allclose(actual["logits"], logits(model), rtol=1e-5, atol=1e-6)
    assert (
        actual["logits"].tolist()
        == torchest.export.load(path).signatures["predict"](**FEATURES)["logits"].tolist()
    )


def test_an_onnxruntime_that_is_too_old_is_told_where_there_is_no_other_file(
    exported, tmp_path, monkeypatch
):
    model, _ = exported
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(FEATURES)
    path = model.export_saved_model(tmp_path, receiver_fn, formats=("onnx-fingerprints",))
    monkeypatch.setattr("onnxruntime.__version__", "1.19.2")
    message = r"model\.fingerprints\.onnx' needs onnxruntime >= 1\.20, this is 1\.19\.2"
    with pytest.raises(ValueError, match=message):
        torchest.export.load(path)


def export_of(tmp_path, features, *feature_columns):
    """The path of a file of fingerprints, and the estimator."""
    model = torchest.LinearClassifier(feature_columns, model_dir=str(tmp_path / "model"))
    model.train(lambda: (features, [0, 1]), steps=2)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(features)
    path = model.export_saved_model(
        tmp_path / "exports", receiver_fn, formats=("onnx-fingerprints",)
    )
    return path, model


def test_features_may_be_called_as_fingerprints_are(tmp_path):
    features = {
        "age/fingerprint": np.array([3.0, 4.0], np.float32),
        "town/fingerprint": np.array(["Köln", "x"], object),
    }
    age = fc.numeric_column("age/fingerprint")
    town = fc.categorical_column_with_hash_bucket("town/fingerprint", 50)
    path, model = export_of(tmp_path, features, age, town)
    answers = torchest.export.load(path).signatures["predict"](**features)
    (expected,) = model.predict(lambda: [features], yield_single_examples=False)
    np.testing.assert_allclose(answers["logits"], expected["logits"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "column"),
    [
        (np.array([3.0, 4.0], np.float32), fc.numeric_column),
        (np.array([3, 4]), lambda key: fc.categorical_column_with_identity(key, 9)),
        (
            np.array(["a", "b"], object),
            lambda key: fc.categorical_column_with_vocabulary_list(key, ["a", "b"]),
        ),
        (np.array(["a", "b"], object), lambda key: fc.categorical_column_with_hash_bucket(key, 9)),
    ],
    ids=["numbers", "ids", "words", "hashed words"],
)
def test_a_feature_called_as_the_fingerprints_of_another_is_told_of(tmp_path, values, column):
    features = {"town": np.array(["Köln", "x"], object), "town/fingerprint": values}
    town = fc.categorical_column_with_hash_bucket("town", 50)
    message = "whose input for the feature 'town' is called 'town/fingerprint', which is also the name of another"
    with pytest.raises(ValueError, match=message):
        export_of(tmp_path, features, town, column("town/fingerprint"))
    assert not list((tmp_path / "exports").glob("*/signatures.json"))


def tensorflows_fingerprints():
    """TensorFlow's fingerprint of each text among its reference strings."""
    rows = json.loads((HERE / "reference" / "fingerprint.json").read_text(encoding="utf-8"))["rows"]
    expected = {}
    for encoded, fingerprint, _ in rows:
        try:
            expected[base64.b64decode(encoded).decode()] = fingerprint
        except UnicodeDecodeError:
            continue
    assert len(expected) > 100
    return expected


def in_node(program, value):
    """What a program in JavaScript, which has `fingerprints` and the `value`, makes its `answer`."""
    source = f"""
        import {{ readFileSync }} from "node:fs";
        import {{ createRequire }} from "node:module";
        import {{ fingerprints }} from {json.dumps((SERVING / "fingerprints.mjs").as_uri())};
        const value = JSON.parse(readFileSync(0, "utf8"));
        let answer;
        {program}
        console.log(JSON.stringify(answer, (_, each) => (typeof each === "bigint" ? String(each) : each)));
    """
    done = subprocess.run(
        [NODE, "--input-type=module", "--eval", source],
        check=False,
        input=json.dumps(value),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fingerprints_in_node(words):
    return [int(each) for each in in_node("answer = [...fingerprints(value)];", words)]


def test_fingerprints_with_numpy_are_those_of_tensorflow():
    expected = tensorflows_fingerprints()
    assert fingerprints(list(expected)).view(np.uint64).tolist() == list(expected.values())


def test_fingerprints_of_the_package_pyfarmhash_are_those_of_tensorflow():
    farmhash = pytest.importorskip("farmhash", reason="pyfarmhash has no wheel here")
    expected = tensorflows_fingerprints()
    assert [farmhash.fingerprint64(text) for text in expected] == list(expected.values())


@pytest.mark.parametrize("alphabet", ["abc", "aß", "日", "a😀é"])
def test_fingerprints_with_numpy_of_every_class_of_lengths(alphabet):
    words = [(alphabet * 200)[:length] for length in range(200)]
    expected = Text.of_words(words).fingerprints().view(np.int64).tolist()
    assert fingerprints(words).tolist() == expected
    assert [fingerprints([word])[0] for word in words[::9]] == expected[::9]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=90), max_size=20))
def test_fingerprints_with_numpy_of_any_text(words):
    assert (
        fingerprints(words).tolist() == Text.of_words(words).fingerprints().view(np.int64).tolist()
    )


@needs_node
def test_fingerprints_in_javascript_are_those_of_tensorflow():
    expected = tensorflows_fingerprints()
    in_javascript = np.array(fingerprints_in_node(list(expected)))
    assert in_javascript.view(np.uint64).tolist() == list(expected.values())


@needs_node
def test_fingerprints_in_javascript_of_every_class_of_lengths():
    alphabets = ["abc", "aß", "日", "a😀é", "\0", "\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff"]
    words = [(alphabet * 200)[:length] for alphabet in alphabets for length in range(200)]
    expected = Text.of_words(words).fingerprints().view(np.int64).tolist()
    assert fingerprints_in_node(words) == expected
    assert fingerprints_in_node([]) == []


@needs_node
@pytest.mark.parametrize(
    ("value", "message"), [(["a", 3], "strings[1] is to be a string, not 3"), ([None], "not null")]
)
def test_fingerprints_in_javascript_refuse_what_is_no_string(value, message):
    program = "try { fingerprints(value); } catch (error) { answer = String(error); }"
    assert message in in_node(program, value)


@needs_onnxruntime_node
def test_a_caller_in_node_gets_the_answers_of_python(exported):
    model, path = exported
    program = """
        const { InferenceSession, Tensor } = createRequire(value.packages)("onnxruntime-node");
        const session = await InferenceSession.create(value.model);
        const feeds = {};
        for (const name of session.inputNames) {
          const [key, hashed] = name.split("/");
          const column = value.features[key];
          if (hashed) feeds[name] = new Tensor("int64", fingerprints(column), [column.length]);
          else if (key === "number") feeds[name] = new Tensor("int64", column.map(BigInt), [column.length]);
          else feeds[name] = new Tensor("string", column, [column.length]);
        }
        answer = [...(await session.run(feeds)).logits.data];
    """
    features = {key: column.tolist() for key, column in FEATURES.items()}
    features["number"] = [str(each) for each in features["number"]]
    value = {
        "packages": f"{NODE_PACKAGES}/",
        "model": str(Path(path, "model.fingerprints.onnx")),
        "features": features,
    }
    answers = in_node(program, value)
    np.testing.assert_allclose(answers, logits(model).ravel(), rtol=1e-5, atol=1e-6)
