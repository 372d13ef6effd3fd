"""parse_example answers as TensorFlow's does: tests/reference/parse_example.py tells the format."""

from __future__ import annotations

import base64
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import reference_arrays
import torch

from tests.columns.test_parse_spec import spec_of
from torchest import columns
from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature
from torchest.columns.features import Features
from torchest.columns.parse_spec import make_parse_example_spec
from torchest.inputs import example_parsing as module
from torchest.inputs.example_parsing import parse_example, parse_single_example
from torchest.inputs.structure import stack

Case = dict[str, Any]

REFERENCE = reference_arrays.read("parse_example")
CASES = {case["name"]: case for case in REFERENCE["parsed"]}


def records_of(case: Case) -> list[bytes]:
    return [base64.b64decode(text) for text in case["records"]]


def specs_of(case: Case) -> dict[str, Any]:
    return {key: spec_of(described) for key, described in case["spec"].items()}


EXAMPLES = records_of(next(file for file in REFERENCE["files"] if file["name"] == "examples"))
N_SPEC = {"n": FixedLenFeature((), torch.int64)}


@pytest.mark.parametrize("case", reference_arrays.params(REFERENCE["parsed"]))
def test_examples_are_parsed_as_by_tensorflow(case: Case):
    records, specs = records_of(case), specs_of(case)
    if "refused" in case:
        with pytest.raises((ValueError, TypeError), match=r"'x'|Record \d"):
            parse_example(records, specs)
        return
    actual = parse_example(records, specs)
    assert list(actual) == list(specs)
    for key, spec in specs.items():
        check(actual[key], spec, case["features"][key])


def check(actual: Any, spec: Any, expected: list[Any]) -> None:
    if spec.dtype in (str, bytes):
        assert isinstance(actual, pa.Array)
        assert as_bytes(actual.to_pylist()) == decoded(expected)
    elif isinstance(spec, VarLenFeature):
        assert actual.to_pylist() == expected
        assert (
            actual.type.value_type
            == {torch.float32: pa.float32(), torch.int64: pa.int64()}[spec.dtype]
        )
    else:
        assert torch.equal(actual, torch.tensor(expected, dtype=spec.dtype))
        assert actual.shape == (len(expected), *spec.shape)


def as_bytes(nested: Any) -> Any:
    if isinstance(nested, list):
        return [as_bytes(inner) for inner in nested]
    return nested.encode() if isinstance(nested, str) else nested


def decoded(nested: Any) -> Any:
    return (
        [decoded(inner) for inner in nested]
        if isinstance(nested, list)
        else base64.b64decode(nested)
    )


def test_text_is_text_and_bytes_are_bytes():
    case = CASES["string"]
    as_text = parse_example(records_of(case), {"x": FixedLenFeature((), str)})["x"]
    assert as_text.to_pylist() == ["a", "", "né"]

    case = CASES["string: any bytes"]
    as_bytes = parse_example(records_of(case), {"x": VarLenFeature(bytes)})["x"]
    assert as_bytes.to_pylist() == [[bytes(range(256)) + b"x" * 44], [b"\xff\x00"]]


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        lambda records: np.array(records, dtype=object),
        lambda records: pa.array(records, pa.binary()),
        lambda records: pa.array([b"before", *records], pa.large_binary()).slice(1),
        lambda records: pa.chunked_array([pa.array(records[:3]), pa.array(records[3:])]),
        pd.Series,
    ],
)
def test_records_come_in_any_form_of_bytes(form: Any):
    actual = parse_example(form(EXAMPLES), N_SPEC)

    assert actual["n"].tolist() == list(range(20))


@pytest.mark.parametrize("block", [1, 7, 20, 4096])
def test_blocks_do_not_show(block: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    specs = N_SPEC | {
        "x": FixedLenFeature((1,), torch.float32),
        "w": FixedLenFeature((1, 1), str),
        "z": VarLenFeature(bytes),
        "y": FixedLenFeature((2,), bytes, [b"p", b"q"]),
    }
    actual = parse_example(EXAMPLES, specs)

    assert actual["n"].tolist() == list(range(20))
    assert actual["x"].tolist() == [[number / 2] for number in range(20)]
    assert actual["w"].to_pylist() == [[["w" * number]] for number in range(20)]
    assert actual["z"].to_pylist() == [[]] * 20
    assert actual["y"].to_pylist() == [[b"p", b"q"]] * 20


@pytest.mark.parametrize("none", [[], pa.array([], pa.large_binary()), np.array([], object)])
def test_a_batch_without_records_has_features_without_rows(none: Any):
    specs = {
        "x": FixedLenFeature((2,), torch.float32),
        "w": FixedLenFeature((2,), str, "a"),
        "n": VarLenFeature(torch.int64),
        "t": VarLenFeature(str),
    }
    actual = parse_example(none, specs)

    assert actual["x"].shape == (0, 2)
    assert [len(actual[key]) for key in specs] == [0, 0, 0, 0]


def test_columns_take_what_is_parsed():
    town = columns.categorical_column_with_vocabulary_list("w", ["w", "ww", "www"])
    listed = [columns.numeric_column("x"), columns.indicator_column(town)]
    features = Features(parse_example(EXAMPLES[:4], make_parse_example_spec(listed)))

    actual = columns.DenseFeatures(listed)(features)

    # in the order of their names: w_indicator, x
    expected = [[0, 0, 0, 0], [1, 0, 0, 0.5], [0, 1, 0, 1], [0, 0, 1, 1.5]]
    assert actual.tolist() == expected


def test_changing_what_was_parsed_changes_nothing_else():
    records = pa.array(EXAMPLES, pa.large_binary())
    specs = {"n": FixedLenFeature((1,), torch.int64), "m": FixedLenFeature((1,), torch.int64, 5)}
    actual = parse_example(records, specs)

    actual["n"].fill_(-1)

    assert actual["m"].tolist() == [[5]] * 20
    assert parse_example(records, specs)["n"].flatten().tolist() == list(range(20))


FLOAT = {"x": FixedLenFeature((1,), torch.float32)}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("float: missing", "Feature 'x' is missing in 1 of 2 records, first in record 1 of the batch, but its"),
        ("float: too many", "Feature 'x' has 2 values in record 1 of the batch, but its spec has the shape (1,)"),
        ("float: too few", "Feature 'x' has 1 value in record 0 of the batch, but its spec has the shape (2,)"),
        ("float: ints", "Feature 'x' holds int64s in record 1 of the batch, but its spec has the dtype torch.float32"),
        ("string: ints", "Feature 'x' holds int64s in record 0 of the batch, but its spec has the dtype str"),
        ("int: floats", "Feature 'x' holds floats in record 0 of the batch"),
        ("float: bytes", "Feature 'x' holds bytes in record 0 of the batch"),
        ("float: double", "features['x'] has the dtype torch.float64: a tf.Example holds torch.float32, torch.int64"),
        ("int: 32 bits", "features['x'] has the dtype torch.int32: a tf.Example holds"),
        ("wire: cut off", "Record 1 of the batch is not a serialized tf.Example: a field in it is malformed"),
        ("wire: text", "Record 0 of the batch is not a serialized tf.Example"),
    ],
)  # fmt: skip
def test_what_does_not_fit_its_spec_is_named(name: str, message: str):
    case = CASES[name]
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        parse_example(records_of(case), specs_of(case))


def test_the_number_of_a_record_counts_from_the_start_of_the_batch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_BLOCK", 4)
    damaged = [*EXAMPLES[:9], EXAMPLES[9][:-1]]
    with pytest.raises(ValueError, match="Record 9 of the batch is not a serialized"):
        parse_example(damaged, N_SPEC)
    with pytest.raises(
        ValueError, match=r"missing in 1 of 3 records, first in record 6 of the batch"
    ):
        parse_example([*EXAMPLES[:6], b""], N_SPEC)


def test_text_that_is_not_utf8_is_named():
    records = [*records_of(CASES["string"]), *records_of(CASES["string: any bytes"])]
    with pytest.raises(
        ValueError,
        match=r"Feature 'x' holds b'.x00.* in record 3 .* not text in UTF-8: give its spec",
    ):
        parse_example(records, {"x": VarLenFeature(str)})


@pytest.mark.parametrize(
    ("records", "error", "message"),
    [
        (b"abc", ValueError, "'serialized' is the single value b'abc' (rank 0)"),
        ([1, 2], TypeError, "serialized does not hold bytes"),
        (np.array([1, 2]), TypeError, "serialized holds values of type int64: give the bytes"),
        (torch.ones(2), TypeError, "serialized holds values of type torch.float32"),
        (np.array([b"a", b"b"]), TypeError, "fixed-width bytes, which loses zeros"),
        ([EXAMPLES[0], None], ValueError, "Record 1 of serialized is missing (None): leave it out."),
    ],
)  # fmt: skip
def test_wrong_records_are_refused(records: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=re.escape(message)):
        parse_example(records, N_SPEC)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({}, "features={} must be a dict from key to FixedLenFeature or VarLenFeature"),
        ([NUMBER := FixedLenFeature((), torch.float32)], "features=[FixedLenFeature("),
        ({"x": torch.float32}, "features['x'] is torch.float32: give a FixedLenFeature or a"),
    ],
)
def test_wrong_specs_are_refused(features: Any, message: str):
    with pytest.raises(TypeError, match=re.escape(message)):
        parse_example(EXAMPLES, features)


@pytest.mark.parametrize(
    "case", reference_arrays.params([case for case in REFERENCE["parsed"] if "features" in case])
)
def test_records_parsed_one_by_one_make_the_same_batch(case: Case):
    records, specs = records_of(case), specs_of(case)
    parsed = [parse_single_example(record, specs) for record in records]
    if not parsed:
        return
    batch = stack(parsed)
    for key, spec in specs.items():
        check(batch[key], spec, case["features"][key])


def test_one_record_of_text_and_of_numbers():
    record = EXAMPLES[0]
    with pytest.raises(
        TypeError, match=r"serialized=.* must be the bytes of one tf\.Example; parse_example"
    ):
        parse_single_example([record], N_SPEC)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Record 0 of the batch is not a serialized tf\.Example"):
        parse_single_example(record[:-1], N_SPEC)
