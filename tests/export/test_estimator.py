"""Exporting estimators: the guide's example, the directory, what is compared, and what goes wrong."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import uuid
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from serialized_examples import serialized

import torchest
from torchest import columns
from torchest.columns import FixedLenFeature
from torchest.export import package, torchscript
from torchest.export.directory import exports_in, new_directory
from torchest.exported.golden import verify

QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None, tf_random_seed=3)
BOTH = ("onnx", "torchscript")
ALL_SEVEN = [
    "all_class_ids", "all_classes", "class_ids", "classes", "logistic", "logits", "probabilities"
]  # fmt: skip
X = columns.numeric_column("x")


def linear(model_dir, feature_columns=(X,), **more):
    model = torchest.LinearClassifier(
        list(feature_columns), model_dir=str(model_dir), config=QUIET, **more
    )
    data = {"x": [1.0, 2.0, 3.0, 4.0]}, [1, 1, 0, 0]
    return model.train(lambda: data, steps=150)


def parsing(*feature_columns):
    spec = columns.make_parse_example_spec(feature_columns)
    return torchest.export.build_parsing_serving_input_receiver_fn(spec)


def raw(**features):
    return torchest.export.build_raw_serving_input_receiver_fn(features)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return linear(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("exports")
    return model.export_saved_model(path, parsing(X), formats=("onnx", "torchscript", "pt2"))


# ---- the example of the estimator guide


@pytest.mark.parametrize("engine", ["onnx", "torchscript", "pt2"])
def test_the_guides_example(exported, engine):
    predict = torchest.export.load(exported, engine).signatures["predict"]
    answers = [predict(examples=[serialized(x=[value])]) for value in (1.5, 3.5)]
    assert all(sorted(answer) == ALL_SEVEN for answer in answers)
    assert [answer["classes"].tolist() for answer in answers] == [[[b"1"]], [[b"0"]]]
    assert [answer["class_ids"].tolist() for answer in answers] == [[[1]], [[0]]]
    assert all(answer["all_classes"].tolist() == [[b"0", b"1"]] for answer in answers)
    for answer in answers:
        np.testing.assert_allclose(answer["probabilities"].sum(1), 1, atol=1e-6)


def test_the_default_signature_takes_inputs(exported):
    loaded = torchest.export.load(exported)
    answer = loaded.signatures["serving_default"](inputs=[serialized(x=[1.5]), serialized(x=[3.5])])
    assert answer["classes"].tolist() == [[b"0", b"1"]] * 2
    assert (answer["scores"][:, 1] > 0.5).tolist() == [True, False]


# ---- the directory


def test_what_the_directory_holds(model, exported, tmp_path):
    assert sorted(os.listdir(exported)) == [
        "columns.json", "golden.json", "model.onnx", "model.pt", "model.pt2", "model.safetensors",
        "signatures.json",
    ]  # fmt: skip
    onnx_only = model.export_saved_model(tmp_path, parsing(X), formats="onnx")
    assert sorted(os.listdir(onnx_only)) == [
        "golden.json", "model.onnx", "model.safetensors", "signatures.json"
    ]  # fmt: skip


def test_signatures_json_describes_inputs_outputs_columns_and_versions(exported):
    with open(os.path.join(exported, "signatures.json"), encoding="utf-8") as file:
        described = json.load(file)
    assert described["global_step"] == 150
    assert described["inputs"] == [
        {
            "name": "x", "feature": "x", "dtype": "float32", "shape": [None, 1], "lists": False,
            "missing": {"rule": "required"}, "used": True,
        }
    ]  # fmt: skip
    assert described["examples"] == "examples"
    assert {"name": "class_ids", "dtype": "int64", "shape": [None, 1]} in described["outputs"]
    assert {"torchest", "torch", "onnx", "onnxruntime", "python"} <= described["versions"].keys()
    import onnx

    model = onnx.load(os.path.join(exported, "model.onnx"))
    assert described["onnx"]["ir_version"] == model.ir_version
    operators = {each.domain or "ai.onnx": each.version for each in model.opset_import}
    assert operators == described["onnx"]["operators"]
    assert described["onnx"]["onnxruntime"] == "1.20"
    ((column),) = described["columns"]
    assert column["name"] == "x"
    assert len(column["sha256"]) == 64


@pytest.mark.parametrize("version", ["1.19.2", "0.5.0", "1.9.0+cpu"])
def test_an_older_onnxruntime_than_the_file_needs_is_named(exported, monkeypatch, version):
    monkeypatch.setattr("onnxruntime.__version__", version)
    message = rf"model\.onnx' needs onnxruntime >= 1\.20, this is {re.escape(version)}: pip install"
    with pytest.raises(ValueError, match=message):
        torchest.export.load(exported, engine="onnx")
    with pytest.raises(ValueError, match=message):
        verify(exported)


def test_golden_rows_have_the_answers_of_python(model, exported):
    with open(os.path.join(exported, "golden.json"), encoding="utf-8") as file:
        golden = json.load(file)
    x = np.array(golden["inputs"]["x"]["values"], np.float32)
    expected = [row["logits"][0] for row in model.predict(lambda: iter([{"x": x}]))]
    assert len(x) == golden["rows"] >= 8
    assert golden["outputs"]["logits"]["values"] == pytest.approx(expected)


def test_weights_are_those_of_the_checkpoint(model, exported):
    from safetensors.numpy import load_file

    weights = load_file(os.path.join(exported, "model.safetensors"))
    assert weights.keys() == {"linear.bias", "linear.x.weight"}
    assert weights["linear.bias"] == model.get_variable_value("linear.bias")


def test_vocabulary_files_and_extra_files_are_in_the_export(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("a\nb\n日本\n")
    word = columns.categorical_column_with_vocabulary_file("word", words, num_oov_buckets=1)
    model = torchest.LinearClassifier([word], model_dir=str(tmp_path / "model"), config=QUIET)
    model.train(lambda: ({"word": ["a", "日本"]}, [0, 1]), steps=3)
    extra = {"readme.txt": words, "more/of/it.txt": str(words)}
    path = model.export_saved_model(
        tmp_path / "base", parsing(word), assets_extra=extra, formats=BOTH
    )
    expected = list(model.predict(lambda: iter([{"word": ["日本", "x"]}])))
    words.unlink()
    for name in ("assets/words.txt", "assets.extra/readme.txt", "assets.extra/more/of/it.txt"):
        with open(os.path.join(path, name), encoding="utf-8") as file:
            assert file.read() == "a\nb\n日本\n"
    moved = tmp_path / "moved"
    os.rename(path, moved)
    for engine in BOTH:
        actual = torchest.export.load(moved, engine).signatures["predict"](word=["日本", "x"])
        np.testing.assert_allclose(actual["logits"], [row["logits"] for row in expected], atol=1e-6)


def test_a_normalizer_is_exported_with_its_column(tmp_path):
    def scaled(x):
        return (x - 2.5) / 1.1

    x = columns.numeric_column("x", normalizer_fn=scaled)
    model = linear(tmp_path / "model", [x, columns.bucketized_column(x, [-1.0, 0.5])])
    path = model.export_saved_model(
        tmp_path / "base", parsing(x), formats=("onnx", "torchscript", "pt2")
    )
    expected = [row["logits"] for row in model.predict(lambda: iter([{"x": [1.5, 3.5]}]))]
    for engine in ("onnx", "torchscript", "pt2"):
        actual = torchest.export.load(path, engine).signatures["predict"](x=[1.5, 3.5])
        np.testing.assert_allclose(actual["logits"], expected, atol=1e-5)


def test_a_normalizer_of_numbers_of_two_dimensions_is_exported_to_all_formats(tmp_path):
    x = columns.numeric_column("x", (2, 2), normalizer_fn=lambda x: x.transpose(1, 2) / 7)
    rows = {"x": np.arange(8, dtype=np.float32).reshape(2, 2, 2)}
    model = torchest.LinearClassifier([x], model_dir=str(tmp_path / "model"), config=QUIET)
    model.train(lambda: (rows, [1, 0]), steps=2)
    path = model.export_saved_model(
        tmp_path / "base", parsing(x), formats=("onnx", "torchscript", "pt2")
    )
    expected = [row["logits"] for row in model.predict(lambda: iter([rows]))]
    for engine in ("onnx", "torchscript", "pt2"):
        actual = torchest.export.load(path, engine).signatures["predict"](**rows)
        np.testing.assert_allclose(actual["logits"], expected, atol=1e-5)


WORD = columns.sequence_categorical_column_with_vocabulary_list("word", ["a", "b"])


def of_sequences(model_dir, *feature_columns):
    """A model of sequences of one or two steps, and their features."""
    model = torchest.experimental.RNNClassifier(
        feature_columns, units=[3], model_dir=str(model_dir)
    )
    rows = {
        "numbers": [[1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0]],
        "more": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0]],
        "word": [["a", "b"], ["b"]],
    }
    features = {key: rows[key] for column in feature_columns for key in column.feature_keys}
    return model.train(lambda: (features, [0, 1]), steps=1), features


@pytest.mark.parametrize("engine", ["onnx", "torchscript", "pt2"])
def test_steps_of_several_numbers_are_exported_beside_other_sequences(tmp_path, engine):
    read = (
        columns.sequence_numeric_column("numbers", shape=3, default_value=-1.0),
        columns.sequence_numeric_column("more", shape=(2, 2)),
        columns.embedding_column(WORD, 2),
    )
    model, features = of_sequences(tmp_path / "model", *read)
    path = model.export_saved_model(tmp_path / "e", parsing(*read), formats=(engine,))
    answers = torchest.export.load(path, engine).signatures["predict"](**features)
    expected = next(model.predict(lambda: [features], yield_single_examples=False))
    np.testing.assert_allclose(answers["logits"], expected["logits"], atol=1e-6)


@pytest.mark.parametrize("engine", ["torchscript", "pt2"])
def test_sequences_of_unequal_lengths_are_refused_as_in_python(tmp_path, engine):
    read = (columns.sequence_numeric_column("numbers", shape=3), columns.indicator_column(WORD))
    model, features = of_sequences(tmp_path / "model", *read)
    path = model.export_saved_model(tmp_path / "e", parsing(*read), formats=(engine,))
    predict = torchest.export.load(path, engine).signatures["predict"]
    predict(**features)
    features["word"] = [["a", "b"], ["b", "b", "a"]]
    with pytest.raises(
        ValueError,
        match="'numbers' and 'word' have sequences of differing lengths, 1 and 3 in row 1",
    ):
        predict(**features)


def test_an_older_checkpoint_can_be_exported(tmp_path, model):
    first = os.path.join(model.model_dir, "model.ckpt-0")
    path = model.export_saved_model(
        tmp_path, parsing(X), checkpoint_path=first, formats="torchscript"
    )
    answer = torchest.export.load(path, "torchscript").signatures["predict"](x=[1.5])
    assert answer["logits"] == 0  # a linear model starts at zero


def test_the_checkpoint_is_not_removed_while_it_is_exported(tmp_path, model, monkeypatch):
    held = []
    monkeypatch.setattr(
        torchest.export.exporting, "held", lambda path: held.append(path) or warnings.catch_warnings()
    )  # fmt: skip
    model.export_saved_model(tmp_path, parsing(X), formats="torchscript")
    assert held == [model.latest_checkpoint()]


def test_an_export_on_an_object_store(model):
    base = f"memory://{uuid.uuid4().hex}/exports"
    paths = [
        model.export_saved_model(
            base, parsing(X), formats="torchscript", assets_extra={"a/b.py": __file__}
        )
        for _ in range(2)
    ]
    assert exports_in(base) == paths
    actual = torchest.export.load(paths[0], "torchscript").signatures["predict"](x=[1.5, 3.5])
    assert actual["class_ids"].tolist() == [[1], [0]]


# ---- raw features


def test_features_may_have_other_names_for_clients(model, tmp_path):
    spec = FixedLenFeature((1,), torch.float32, 1.5)

    def receiver():
        return torchest.export.ServingInputReceiver({"x": spec}, {"amount": spec})

    path = model.export_saved_model(tmp_path, receiver, formats=BOTH)
    for engine in BOTH:
        predict = torchest.export.load(path, engine).signatures["predict"]
        assert predict(amount=[3.5])["class_ids"] == 0
        with pytest.raises(ValueError, match=r"There is no input 'x'\. .*'amount'"):
            predict(x=[3.5])
    import onnxruntime

    session = onnxruntime.InferenceSession(os.path.join(path, "model.onnx"))
    assert [each.name for each in session.get_inputs()] == ["amount"]


def test_a_model_fn_that_takes_a_single_tensor(tmp_path):
    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(2, 1))
        output = net(features)
        if mode == torchest.ModeKeys.PREDICT:
            return torchest.EstimatorSpec(mode, predictions=output)
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
        return torchest.EstimatorSpec(mode, loss=output.square().mean(), train_op=sgd)

    model = torchest.Estimator(model_fn, str(tmp_path / "model"), QUIET)
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    model.train(lambda: (rows, rows[:, 0]), steps=2)

    def receiver():
        return torchest.export.TensorServingInputReceiver(rows, {"rows": rows})

    path = model.export_saved_model(tmp_path / "base", receiver, formats=BOTH)
    expected = np.stack(list(model.predict(lambda: iter([rows]))))
    for engine in BOTH:
        actual = torchest.export.load(path, engine).signatures["serving_default"](rows=rows)
        np.testing.assert_allclose(actual["output"], expected, atol=1e-5)


def test_optional_features_are_filled_in_as_in_training(tmp_path):
    age = columns.numeric_column("age", default_value=30.0)
    tags = columns.categorical_column_with_hash_bucket("tags", 5)
    model = torchest.LinearClassifier([age, tags], model_dir=str(tmp_path / "model"), config=QUIET)
    model.train(lambda: ({"age": [1.0, 2.0], "tags": ["a", ""]}, [0, 1]), steps=5)
    path = model.export_saved_model(tmp_path / "base", parsing(age, tags), formats=BOTH)
    for engine in BOTH:
        predict = torchest.export.load(path, engine).signatures["predict"]
        whole = predict(age=[30.0, 30.0], tags=[[], []])["logits"]
        assert (predict(age=[30.0, 30.0])["logits"] == whole).all()
        assert (predict(tags=[[], []])["logits"] == whole).all()
        assert (predict([serialized(), serialized()])["logits"] == whole).all()


def test_a_required_feature_that_is_left_out_is_named(exported):
    predict = torchest.export.load(exported).signatures["predict"]
    with pytest.raises(ValueError, match="No input is given"):
        predict()
    with pytest.raises(ValueError, match="Feature 'x' is missing in 1 of 1 records"):
        predict([serialized()])


# ---- what is compared, and what is left behind


def test_a_file_that_answers_otherwise_is_found_and_nothing_is_left(model, tmp_path, monkeypatch):
    class Wrong(package.ENGINES["torchscript"]):
        def run(self, features, outputs):
            actual = super().run(features, outputs)
            return {**actual, "logits": actual["logits"] + 0.001}

    monkeypatch.setitem(package.ENGINES, "torchscript", Wrong)
    message = r"model.pt differs from Python for a batch of 1 rows: output 'logits' is"
    with pytest.raises(torchest.ExportError, match=message):
        model.export_saved_model(tmp_path, parsing(X), formats="torchscript")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_fails_is_told_of_in_a_sentence(model, tmp_path, monkeypatch):
    class Failing(package.ENGINES["onnx"]):
        def run(self, features, outputs):
            raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL\nof many lines")

    monkeypatch.setitem(package.ENGINES, "onnx", Failing)
    message = (
        r"model\.onnx fails for a batch of 0 rows \(\[ONNXRuntimeError\] : 1 : FAIL\)\. Nothing was"
    )
    with pytest.raises(torchest.ExportError, match=message):
        model.export_saved_model(tmp_path, parsing(X))
    assert list(tmp_path.iterdir()) == []


def of_function(model_dir, function):
    """A model that predicts a function of its feature `x`."""

    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
        answer = function(features["x"].reshape(-1, 1) + net.bias.detach() * 0)
        if mode == torchest.ModeKeys.PREDICT:
            return torchest.EstimatorSpec(mode, predictions={"answer": answer})
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
        return torchest.EstimatorSpec(mode, loss=net.bias.sum(), train_op=sgd)

    model = torchest.Estimator(model_fn, str(model_dir), QUIET)
    return model.train(lambda: ({"x": [1.0, 2.0]}, [0, 0]), steps=1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_numbers_that_numpy_lacks_are_predicted_as_float32(tmp_path, dtype):
    model = of_function(tmp_path, lambda x: x.to(dtype))
    answers = [each["answer"] for each in model.predict(lambda: [{"x": [1.5, -2.0]}])]
    np.testing.assert_array_equal(answers, np.array([[1.5], [-2.0]], np.float32), strict=True)


@pytest.mark.parametrize("engine", ["onnx", "torchscript", "pt2"])
def test_numbers_that_numpy_lacks_are_answered_as_float32(tmp_path, engine):
    model = of_function(tmp_path / "model", lambda x: x.to(torch.bfloat16))
    path = model.export_saved_model(tmp_path / "e", parsing(X), formats=(engine,))
    answers = torchest.export.load(path, engine).signatures["serving_default"](x=[1.5, -2.0])
    expected = np.array([[1.5], [-2.0]], np.float32)
    np.testing.assert_array_equal(answers["answer"], expected, strict=True)


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (lambda x: x.median(1).values, "aten.median"),
        (lambda x: torch.isin(x, torch.tensor([1.0, 2.0])), "aten.searchsorted"),
    ],
)
def test_what_onnx_has_no_operator_for_is_named(tmp_path, function, operator):
    model = of_function(tmp_path / "model", function)
    with pytest.raises(ValueError, match=f"ONNX has no operator for .*{operator}.* with formats="):
        model.export_saved_model(tmp_path / "e", parsing(X))
    path = model.export_saved_model(tmp_path / "e", parsing(X), formats=("torchscript",))
    torchest.export.load(path, "torchscript").signatures["serving_default"](x=[1.0])


def test_a_full_disk_leaves_nothing_behind(model, tmp_path, monkeypatch):
    def full(exported, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(package._WRITERS, "torchscript", full)
    with pytest.raises(OSError, match="No space left"):
        model.export_saved_model(tmp_path, parsing(X), formats="torchscript")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_removed_by_a_later_one(tmp_path):
    program = (
        "import os, signal, sys; from torchest.export.directory import new_directory\n"
        "with new_directory(sys.argv[1]): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=False)
    (left,) = tmp_path.iterdir()
    with new_directory(tmp_path) as made:
        assert left.exists()  # too young: who made it may not hold it yet
        for each in (left, made.path):
            os.utime(each, (0, 0))
        with new_directory(tmp_path):
            assert not left.exists()
            assert made.path.exists()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("signatures.json", "{", r"signatures\.json' is damaged"),
        ("signatures.json", '{"format_version": 99}', "has the format version 99, and this"),
        ("columns.json", "[]", r"columns\.json' is damaged \(it holds a list"),
        ("model.onnx", "", r"model\.onnx' is damaged"),
        ("model.pt", "", r"model\.pt' is damaged"),
    ],
)
def test_a_damaged_file_is_named(exported, tmp_path, name, change, message):
    damaged = tmp_path / "damaged"
    shutil.copytree(exported, damaged)
    (damaged / name).write_text(change)
    with pytest.raises(ValueError, match=message):
        torchest.export.load(damaged, "onnx" if name == "model.onnx" else "torchscript")


@pytest.mark.parametrize(
    ("operator", "opset", "ir_version"),
    [("Identity", 99, 8), ("Identity", 18, 99), ("OperatorOfTheFuture", 18, 8)],
)
def test_a_sound_model_that_onnxruntime_is_too_old_for_is_not_called_damaged(
    exported, tmp_path, operator, opset, ir_version
):
    newer = tmp_path / "newer"
    shutil.copytree(exported, newer)
    ends = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "ab"]
    node = onnx.helper.make_node(operator, ["a"], ["b"])
    graph = onnx.helper.make_graph([node], "graph", ends[:1], ends[1:])
    opsets = [onnx.helper.make_opsetid("", opset)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
    (newer / "model.onnx").write_bytes(model.SerializeToString())
    message = rf"model\.onnx' has what onnxruntime {re.escape(onnxruntime.__version__)}, .*newer"
    with pytest.raises(ValueError, match=message):
        torchest.export.load(newer, "onnx")
    with pytest.raises(ValueError, match=message):
        verify(newer)


def test_a_column_that_cannot_be_exported_is_named_and_nothing_is_left(tmp_path):
    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
        length = torch.tensor([[float(len(str(word)))] for word in features["word"]])
        output = net(length)
        if mode == torchest.ModeKeys.PREDICT:
            return torchest.EstimatorSpec(mode, predictions={"y": output})
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
        return torchest.EstimatorSpec(mode, loss=output.mean(), train_op=sgd)

    model = torchest.Estimator(model_fn, str(tmp_path / "model"), QUIET)
    model.train(lambda: ({"word": ["a", "b"]}, [0, 1]), steps=1)
    message = (
        "model_fn reads the feature 'word' itself, which is text.*give it to a categorical column"
    )
    with pytest.raises(ValueError, match=message):
        model.export_saved_model(tmp_path / "base", raw(word=FixedLenFeature((), str)))
    assert exports_in(tmp_path / "base") == []


def test_an_export_draws_no_random_numbers_of_the_caller(tmp_path):
    town = columns.categorical_column_with_hash_bucket("town", 9)
    model = torchest.DNNClassifier(
        [3], [columns.embedding_column(town, 2)], model_dir=str(tmp_path / "model"), config=QUIET
    )
    model.train(lambda: ({"town": ["a", "b"]}, [0, 1]), steps=1)
    before = torch.get_rng_state()
    model.export_saved_model(tmp_path / "base", parsing(town))
    assert torch.equal(torch.get_rng_state(), before)


def test_two_exports_in_a_second_have_names_of_their_own(model, tmp_path):
    paths = [
        model.export_saved_model(tmp_path, parsing(X), formats="torchscript") for _ in range(2)
    ]
    assert exports_in(tmp_path) == paths
    assert len(set(paths)) == 2
    assert all(os.path.basename(path).isdigit() for path in paths)


# ---- TorchScript's deprecation


def test_torchscript_is_called_deprecated_once_in_our_words(model, tmp_path, caplog):
    torchscript.tell_of_deprecation.cache_clear()
    caplog.set_level(logging.WARNING, "torchest")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            path = model.export_saved_model(tmp_path, parsing(X), formats="torchscript")
        torchest.export.load(path, "torchscript").signatures["predict"](x=[1.0])
    told = [record.message for record in caplog.records if "deprecated" in record.message]
    assert len(told) == 1
    assert told[0].startswith("model.pt is TorchScript, which PyTorch has deprecated")


def test_neither_importing_nor_onnx_alone_speaks_of_torchscript(model, tmp_path, caplog):
    torchscript.tell_of_deprecation.cache_clear()
    model.export_saved_model(tmp_path, parsing(X), formats="onnx")
    assert "deprecated" not in caplog.text
    command = "import torchest; torchest.export.load; torchest.Estimator"
    subprocess.run([sys.executable, "-W", "error", "-c", command], check=True)


# ---- training and evaluation


def test_all_modes_are_described_in_one_directory(model, tmp_path):
    supervised = torchest.experimental.build_raw_supervised_input_receiver_fn(
        {"x": FixedLenFeature((1,), torch.float32)}, FixedLenFeature((1,), torch.int64)
    )
    modes = torchest.ModeKeys
    path = model.experimental_export_all_saved_models(
        tmp_path, {modes.PREDICT: parsing(X), modes.EVAL: supervised, modes.TRAIN: supervised}
    )
    described = torchest.export.load(path).description
    for mode in ("train", "eval"):
        assert [each["name"] for each in described[mode]["inputs"]] == ["x", "label"]
    assert [each["name"] for each in described["train"]["outputs"]][:1] == ["loss"]
    of_eval = {each["name"]: each for each in described["eval"]["outputs"]}
    assert of_eval["loss"]["shape"] == []
    assert of_eval["predictions/logits"]["shape"] == [None, 1]
    assert {"metrics/auc/value", "metrics/auc/update_op"} <= of_eval.keys()


def test_a_description_of_evaluation_alone_is_no_model(model, tmp_path):
    supervised = torchest.experimental.build_raw_supervised_input_receiver_fn(
        {"x": FixedLenFeature((1,), torch.float32)}, torch.tensor([0, 1])
    )
    path = model.export_saved_model(tmp_path, supervised, experimental_mode="eval")
    assert os.listdir(path) == ["signatures.json"]
    with pytest.raises(ValueError, match="only the description of a model"):
        torchest.export.load(path)


# ---- wrong use


WRONG = {
    "no checkpoint": (
        lambda model, base: torchest.LinearClassifier(
            [X], model_dir=str(base / "new")
        ).export_saved_model(base / "b", parsing(X)),
        r"has no checkpoint to export: call train first",
    ),
    "no function": (
        lambda model, base: model.export_saved_model(base / "b", {"x": 1}),
        "serving_input_receiver_fn is .*give a function",
    ),
    "a function of something else": (
        lambda model, base: model.export_saved_model(base / "b", lambda: {"x": X}),
        "returned a dict, not a ServingInputReceiver",
    ),
    "unknown format": (
        lambda model, base: model.export_saved_model(base / "b", parsing(X), formats=["onx"]),
        r"formats has 'onx'\. Did you mean 'onnx'",
    ),
    "no format": (
        lambda model, base: model.export_saved_model(base / "b", parsing(X), formats=[]),
        r"formats is \[\]: give at least one",
    ),
    "unknown mode": (
        lambda model, base: model.export_saved_model(
            base / "b", parsing(X), experimental_mode="predict"
        ),
        "The mode 'predict' cannot be exported.*'infer'",
    ),
    "no modes": (
        lambda model, base: model.experimental_export_all_saved_models(base / "b", {}),
        r"input_receiver_fn_map is \{\}",
    ),
    "serving receiver for training": (
        lambda model, base: model.export_saved_model(
            base / "b", parsing(X), experimental_mode="train"
        ),
        "for 'train' returned a ServingInputReceiver, not a SupervisedInputReceiver",
    ),
    "missing feature": (
        lambda model, base: model.export_saved_model(
            base / "b", raw(age=FixedLenFeature((), torch.float32))
        ),
        "reads the feature 'x', which is not there.*'age'",
    ),
    "extra file without a path": (
        lambda model, base: model.export_saved_model(
            base / "b", parsing(X), assets_extra={"x": None}
        ),
        "assets_extra has 'x': None; give a name in assets.extra and the path",
    ),
    "extra file outside": (
        lambda model, base: model.export_saved_model(
            base / "b", parsing(X), assets_extra={"../x": __file__}
        ),
        r"assets_extra has the name '\.\./x': give a name inside",
    ),
    "extra file missing": (
        lambda model, base: model.export_saved_model(
            base / "b", parsing(X), assets_extra={"x": str(base / "no.txt")}
        ),
        r"assets_extra\['x'\] is .*no\.txt', which is not a file",
    ),
    "extra files as a list": (
        lambda model, base: model.export_saved_model(base / "b", parsing(X), assets_extra=["x"]),
        r"assets_extra=\['x'\] must be a dict",
    ),
    "checkpoint that is none": (
        lambda model, base: model.export_saved_model(
            base / "b", parsing(X), checkpoint_path=str(base)
        ),
        "is not a checkpoint",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use(case, model, tmp_path):
    use, message = WRONG[case]
    with pytest.raises((ValueError, TypeError), match=message):
        use(model, tmp_path)
    assert exports_in(tmp_path / "b") == []


WRONG_LOADS = {
    "no export": (
        lambda path: torchest.export.load(os.path.dirname(path)),
        "is not an exported model: it has no signatures.json",
    ),
    "unknown engine": (
        lambda path: torchest.export.load(path, "torchscrip"),
        "engine is 'torchscrip'. Did you mean 'torchscript'",
    ),
    "text for numbers": (
        lambda path: ask(path, x=["a"]),
        "Input 'x' has text, but takes numbers of dtype torch.float32",
    ),
    "wrong width": (
        lambda path: ask(path, x=[[1.0, 2.0]]),
        r"Input 'x' has shape \[1, 2\], but takes \['batch', 1\]",
    ),
    "unknown input": (lambda path: ask(path, y=[1.0]), "There is no input 'y'.*'x'"),
    "examples and features": (
        lambda path: ask(path, examples=[serialized(x=[1.0])], x=[1.0]),
        "got 'examples' and 'x': give examples or features",
    ),
    "no record": (
        lambda path: ask(path, examples=[b"\xff"]),
        "Record 0 of the batch is not a serialized tf.Example",
    ),
    "numbers for examples": (
        lambda path: ask(path, examples=[1]),
        "^examples does not hold bytes",
    ),
    "an array of numbers for examples": (
        lambda path: ask(path, examples=np.array([1.0])),
        "^examples holds values of type float64: give the bytes",
    ),
    "an array of short bytes for examples": (
        lambda path: ask(path, examples=np.array([b"a"])),
        "^examples is a numpy array of fixed-width bytes",
    ),
    "numbers for the examples that are called inputs": (
        lambda path: torchest.export.load(path).signatures["serving_default"](inputs=[1]),
        "^inputs does not hold bytes",
    ),
}


def ask(path, **given):
    return torchest.export.load(path).signatures["predict"](**given)


@pytest.mark.parametrize("case", WRONG_LOADS)
def test_wrong_use_of_what_was_exported(case, exported):
    use, message = WRONG_LOADS[case]
    with pytest.raises((ValueError, TypeError), match=message):
        use(exported)


def test_several_inputs_need_names(tmp_path):
    y = columns.numeric_column("y")
    model = torchest.LinearClassifier([X, y], model_dir=str(tmp_path / "model"), config=QUIET)
    model.train(lambda: ({"x": [1.0], "y": [2.0]}, [1]), steps=1)
    specs = {key: FixedLenFeature((), torch.float32) for key in ("x", "y")}
    path = model.export_saved_model(tmp_path / "base", raw(**specs), formats="torchscript")
    with pytest.raises(TypeError, match=r"takes x, y: give inputs by name, such as x=\[\.\.\.\]"):
        torchest.export.load(path, "torchscript").signatures["predict"]([1.0])
    with pytest.raises(ValueError, match="Input 'y' is missing, and has no default"):
        torchest.export.load(path, "torchscript").signatures["predict"](x=[1.0])


def test_engines_that_are_not_there(model, tmp_path):
    path = model.export_saved_model(tmp_path, parsing(X), formats="torchscript")
    with pytest.raises(ValueError, match=r"has no model\.onnx: export with formats="):
        torchest.export.load(path, "onnx")
    assert torchest.export.load(path, "torchscript").engine == "torchscript"


@pytest.mark.parametrize("which", ["torchscript", "pt2"])
def test_only_onnx_answers_without_being_asked_for(model, tmp_path, which):
    path = model.export_saved_model(tmp_path, parsing(X), formats=which)
    message = rf"has no model\.onnx, the default engine.*Give engine='{which}' if you trust who"
    with pytest.raises(ValueError, match=message):
        torchest.export.load(path)


def test_without_onnxruntime_no_other_engine_answers(exported, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = "which is not installed: pip install onnxruntime, or give engine='torchscript'"
    with pytest.raises(ModuleNotFoundError, match=message):
        torchest.export.load(exported)
