"""Exported models answer as TensorFlow's SavedModels do that have the same weights.

How the cases are to be read is said in tests/reference/saved_models.py.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from reference_arrays import array, params, read

import torchest
from tests.canned.test_reference import estimator, our_variables
from torchest import columns
from torchest.checkpoint.directory import Checkpoint, Contents, write_checkpoint

FILE = read("saved_models")
CASES = FILE["cases"]
EXAMPLES = [bytes.fromhex(record) for record in FILE["examples"]]
AGE, LISTS = FILE["features"]["age"], ("town", "group")
FEATURES = {"age": AGE, **{key: FILE["features"][key] for key in LISTS}}
# of what TensorFlow calls "float32" and so on
DTYPES = {"float32": np.float32, "int64": np.int64, "int32": np.int32, "string": object}


def of_weights(case, model_dir, scratch):
    """The estimator of a case, with TensorFlow's weights."""
    rows = {key: value if key == "age" else _lists(value) for key, value in FEATURES.items()}
    estimator(case, scratch).train(lambda: (rows, labels(case)), steps=1)
    start = Checkpoint(scratch / "model.ckpt-1")
    ours = our_variables(case, case["variables"])
    model = start.model()
    assert ours.keys() == model.keys()
    model = {name: torch.tensor(value) for name, value in ours.items()}
    state = {key: value for key, value in start.state.items() if key != "training"}
    contents = Contents(model=model, optimizer=start.optimizer(), state=state)
    write_checkpoint(model_dir, 1, lambda: contents, keep=None)
    return estimator(case, model_dir)


def labels(case):
    known = FILE["labels"]
    if isinstance(case["label"], dict):
        return {head: np.array(known[key]) for head, key in case["label"].items()}
    return np.array(known[case["label"]])


def _lists(rows):
    import pyarrow as pa

    return pa.array(rows, pa.list_(pa.string()))


@functools.cache
def spec_of(name):
    case = next(case for case in CASES if case["name"] == name)
    made = estimator_columns(case)
    return columns.make_parse_example_spec(made)


def estimator_columns(case):
    from tests.canned.test_reference import made

    return made(case["arguments"]["feature_columns"])


@pytest.fixture(scope="module", params=params(CASES))
def exported(request, tmp_path_factory):
    case = request.param
    model = of_weights(case, tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("scratch"))
    receiver = torchest.export.build_parsing_serving_input_receiver_fn(spec_of(case["name"]))
    base, formats = tmp_path_factory.mktemp("export"), ("onnx", "torchscript")
    return case, model.export_saved_model(base, receiver, formats=formats)


@pytest.mark.parametrize("engine", ["onnx", "torchscript"])
def test_answers_are_those_of_a_saved_model(exported, engine):
    case, path = exported
    signatures = torchest.export.load(path, engine).signatures
    assert signatures.keys() == case["answers"].keys()
    for name, expected in case["answers"].items():
        given = case["parsing"][name]["inputs"]
        actual = signatures[name](**dict.fromkeys(given, EXAMPLES))
        assert actual.keys() == expected.keys(), name
        for key, described in expected.items():
            value = array(described)
            assert actual[key].dtype == value.dtype, (name, key)
            if value.dtype == object:
                np.testing.assert_array_equal(actual[key], value, f"{name} {key}")
            else:
                np.testing.assert_allclose(actual[key], value, 1e-5, 1e-5, err_msg=f"{name} {key}")


def test_features_by_their_names_are_answered_as_serialized_examples_are(exported):
    case, path = exported
    signature = torchest.export.load(path).signatures["predict"]
    named = {key: FEATURES[key] for key in spec_of(case["name"])}
    actual = signature(**named)
    for key, value in signature(EXAMPLES).items():
        np.testing.assert_array_equal(actual[key], value)


def test_signatures_are_those_of_a_saved_model(exported):
    case, path = exported
    model = torchest.export.load(path)
    outputs = {each["name"]: each for each in model.description["outputs"]}
    for name, expected in case["parsing"].items():
        described = model.description["signatures"][name]
        assert {"classify": "classification", "regress": "regression"}.get(
            expected["method"], expected["method"]
        ) == described["method"]
        assert model.signatures[name].inputs == list(expected["inputs"])
        for key, value in expected["outputs"].items():
            output = outputs[described["outputs"][key]]
            assert output["dtype"] == value["dtype"], key
            assert [-1 if size is None else size for size in output["shape"]] == value["shape"], key


def test_a_raw_export_has_the_signatures_of_a_saved_model_and_those_that_need_one_input(
    exported, tmp_path
):
    case, path = exported
    both = case["raw"].keys() & case["parsing"].keys()
    assert "predict" in both
    assert case["raw"].keys() <= torchest.export.load(path).signatures.keys()
