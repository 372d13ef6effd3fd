"""Specs of columns, classifiers and regressors are TensorFlow's: tests/reference/parse_example.py tells the format."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import pytest
import reference_arrays
import torch

from torchest import columns
from torchest.canned.parse_specs import classifier_parse_example_spec, regressor_parse_example_spec
from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature
from torchest.columns.parse_spec import make_parse_example_spec

if TYPE_CHECKING:
    from pathlib import Path

Case = dict[str, Any]

CASES = reference_arrays.read("parse_example")["specs"]
FUNCTIONS = {
    function.__name__: function
    for function in (
        make_parse_example_spec,
        classifier_parse_example_spec,
        regressor_parse_example_spec,
    )
}
NUMBER = columns.numeric_column("x")
TOWN = columns.categorical_column_with_hash_bucket("town", 10)


@pytest.mark.parametrize("case", reference_arrays.params(CASES))
def test_specs_are_tensorflows(case: Case, tmp_path: Path):
    words = tmp_path / "words.txt"
    words.write_text("a\nb\n")
    listed: list[Any] = []
    for described in case["columns"]:
        made = built(described, words)
        listed += made if isinstance(made, list) else [made]
    arguments = {key: built(value, words, key) for key, value in case["arguments"].items()}
    function = FUNCTIONS[case["function"]]
    if "refused" in case:
        with pytest.raises(ValueError, match=r"^(Column|label_key|weight_column) "):
            function(listed, **arguments)
        return
    actual = function(listed, **arguments)
    assert list(actual) == list(dict.fromkeys([*actual, *case["spec"]]))
    assert actual == {key: spec_of(described) for key, described in case["spec"].items()}


def built(value: Any, words: Path, argument: str = "") -> Any:
    if argument == "initializer":
        return None
    if argument == "vocabulary_file":
        return words
    if isinstance(value, dict):
        arguments = {key: built(inner, words, key) for key, inner in value["arguments"].items()}
        return getattr(columns, value["column"])(**arguments)
    return [built(inner, words) for inner in value] if isinstance(value, list) else value


def spec_of(described: Case) -> FixedLenFeature | VarLenFeature:
    """A spec from how the reference file writes it."""
    if described["kind"] == "VarLenFeature":
        return VarLenFeature(described["dtype"])
    default = described["default_value"]
    if described["dtype"] in ("string", "bytes") and default is not None:
        default = [base64.b64decode(text) for text in default]
    return FixedLenFeature(described["shape"], described["dtype"], default)


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (NUMBER, "feature_columns is 'x' (NumericColumn): give a list of feature columns."),
        (None, "feature_columns is None: give a list of feature columns."),
        ([NUMBER, "town"], "feature_columns has 'town': give feature columns only."),
        (
            [NUMBER, columns.categorical_column_with_identity("x", 5)],
            "Column 'x' reads the feature 'x' as VarLenFeature(dtype=torch.int64), but another column reads it as "
            "FixedLenFeature(shape=(1,), dtype=torch.float32, default_value=None): write it under two keys",
        ),
    ],
)
def test_wrong_columns_are_named(listed: Any, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_parse_example_spec(listed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label_key": "town"}, "label_key is 'town', which a feature column reads: take"),
        (
            {"label_key": "y", "weight_column": "y"},
            "weight_column is 'y', which is the label: give",
        ),
        (
            {"label_key": "y", "weight_column": "town"},
            "weight_column is 'town', which is a feature",
        ),
        ({"label_key": "y", "weight_column": 3}, "weight_column is 3: give the key of a feature"),
        (
            {"label_key": "y", "label_default": 0.5},
            "label_default is 0.5: give values of the dtype",
        ),
    ],
)
def test_wrong_labels_and_weights_are_named(arguments: Case, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        classifier_parse_example_spec([TOWN], **arguments)


def test_columns_may_come_from_any_iterable():
    specs = make_parse_example_spec(iter([NUMBER, TOWN]))

    assert specs == {"x": FixedLenFeature((1,), torch.float32), "town": VarLenFeature(str)}
