"""Columns that are encoded together: with the ids and numbers that they have one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest import columns
from torchest.columns.encode.batch import hashed_with_own_key, numbers_of_all, rows_of_hashed
from torchest.columns.encode.stacked import RowOrderColumn, StackedColumn, StackedDenseColumn
from torchest.columns.features import Features
from torchest.errors import MissingFeatureError

KEYS = ("a", "b", "c")
FIRSTS = np.zeros(3, np.int64)
FORMS = {
    "numpy S": lambda words: np.array([word.encode() for word in words], "S"),
    "numpy U": lambda words: np.array(words, "U"),
    "Arrow": lambda words: pa.array(words, pa.string()),
    "Arrow with nulls": lambda words: pa.array([word or None for word in words], pa.string()),
    "pandas": lambda words: pd.Series(words, dtype="str"),
    "dictionary": lambda words: pa.array(words, pa.string()).dictionary_encode(),
    "matrix": lambda words: np.array([[word.encode()] for word in words], "S"),
    "list": list,
}
words = st.lists(st.sampled_from(["", "x", "yy", "a longer word", "grün"]), min_size=3, max_size=3)


def hashed(buckets=(10, 10, 7)):
    return tuple(
        columns.categorical_column_with_hash_bucket(key, size)
        for key, size in zip(KEYS, buckets, strict=True)
    )


@settings(deadline=None, max_examples=60)
@given(data=st.data(), buckets=st.sampled_from([(10, 10, 10), (10, 7, 10)]))
def test_hashed_columns_have_the_ids_that_they_have_one_by_one(data, buckets):
    raw = {key: FORMS[data.draw(st.sampled_from(sorted(FORMS)))](data.draw(words)) for key in KEYS}
    made = hashed(buckets)
    joint = StackedColumn(made, (0, 100, 200))
    actual = Features(raw).encoded(joint)
    assert actual.places == (0, 1, 2)
    for place, column in enumerate(made):
        ids = Features(raw).encoded(column).values
        assert torch.equal(actual.rows[:, place], ids.clamp_min(0) + 100 * place)
        there = (
            torch.ones(3, dtype=torch.bool) if actual.present is None else actual.present[:, place]
        )
        assert torch.equal(there, ids >= 0)


def test_arrays_of_one_kind_are_hashed_at_once():
    raw = {key: FORMS["numpy S"](["x", "", "yy"]) for key in KEYS}
    made = hashed()
    assert [actual.numbers for actual in rows_of_hashed(made, FIRSTS, Features(raw))] == [[0, 1, 2]]
    raw["c"] = FORMS["Arrow"](["x", "", "yy"])
    assert [actual.numbers for actual in rows_of_hashed(made, FIRSTS, Features(raw))] == [[0, 1]]


def test_strings_that_other_columns_hash_too_are_hashed_with_them():
    crossed = columns.crossed_column(["a", "b"], 100)
    assert list(hashed_with_own_key([*hashed(), crossed])) == [2]


def test_columns_with_lists_or_weights_are_left_out():
    made = hashed()
    weighted = columns.weighted_categorical_column(made[1], "w")
    raw = {"a": ["x", "y"], "b": ["x", "y"], "w": [0.5, 2.0], "c": [["x", "y"], ["z"]]}
    actual = Features(raw).encoded(StackedColumn((made[0], weighted, made[2]), (0, 10, 20)))
    assert actual.places == (0,)
    assert actual.rows.shape == (2, 1)


def test_no_rows():
    raw = {key: np.empty(0, "S1") for key in KEYS}
    features = Features(raw)
    joint = StackedColumn(hashed(), (0, 10, 20))
    assert features.encoded(joint).rows.shape == (0, 3)
    assert features.encoded(RowOrderColumn(joint, 27)).rows.shape == (0,)


def test_the_order_of_rows_sums_what_comes_several_times():
    raw = {"a": ["x", "x", "yy"], "b": ["x", "yy", "x"], "c": ["", "x", "x"]}
    features = Features(raw)
    joint = StackedColumn(hashed(), (0, 10, 20))
    rows = features.encoded(joint).rows.reshape(-1)
    order = features.encoded(RowOrderColumn(joint, 27))
    values = torch.arange(9, dtype=torch.float64).unsqueeze(1)
    expected = torch.zeros(27, 1, dtype=torch.float64).index_add(0, rows, values)
    assert order.rows.tolist() == sorted(set(rows.tolist()))
    assert torch.equal(order.sums(values), expected[order.rows])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool", "float16"])
def test_numbers_are_those_of_each_column(dtype):
    raw = {key: np.array([0, 1, 200 + place]).astype(dtype) for place, key in enumerate(KEYS)}
    made = tuple(columns.numeric_column(key) for key in KEYS)
    together = Features(raw).encoded(StackedDenseColumn(made))
    one_by_one = torch.cat([Features(raw).encoded(column) for column in made], 1)
    assert numbers_of_all(made, Features(raw)) is not None
    assert torch.equal(together, one_by_one)


def test_numbers_that_are_missing_or_changed_are_left_to_their_columns():
    raw = {"a": np.array([1.0, np.nan]), "b": np.array([2.0, 4.0])}
    filled = columns.numeric_column("a", default_value=7.0)
    halved = columns.numeric_column("b", normalizer_fn=lambda x: x / 2)
    plain = columns.numeric_column("b")
    assert Features(raw).encoded(StackedDenseColumn((filled, plain))).tolist() == [[1, 2], [7, 4]]
    assert Features(raw).encoded(StackedDenseColumn((plain, halved))).tolist() == [[2, 1], [4, 2]]
    with pytest.raises(ValueError, match="Column 'a' has no number"):
        Features(raw).encoded(StackedDenseColumn((columns.numeric_column("a"), plain)))


def test_numbers_beyond_float32_are_infinite():
    raw = {"a": np.array([1e300]), "b": np.array([-1e300])}
    made = tuple(columns.numeric_column(key) for key in ("a", "b"))
    assert Features(raw).encoded(StackedDenseColumn(made)).tolist() == [[np.inf, -np.inf]]


@pytest.mark.parametrize("joint", [StackedColumn(hashed(), (0, 10, 20))])
def test_errors_name_the_column(joint):
    with pytest.raises(MissingFeatureError, match="Column 'c' reads the feature 'c'"):
        Features({"a": ["x"], "b": ["x"]}).encoded(joint)
    with pytest.raises(ValueError, match="Feature 'b' has 2 rows"):
        Features({"a": ["x"], "b": ["x", "y"], "c": ["x"]}).encoded(joint)


def test_what_the_user_set_is_encoded_anew_and_not_ahead():
    joint = StackedColumn(hashed(), (0, 10, 20))
    features = Features({key: ["x", "x"] for key in KEYS})
    before = features.encoded(joint).rows
    features["b"] = ["yy", "x"]
    after = features.encoded(joint).rows
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.equal(before[:, 1], after[:, 1])
    usage = features.usage
    assert {column.name for column in usage.columns if column.members == (column,)} == {"a", "c"}


def test_a_feature_that_was_exchanged_must_have_as_many_rows_as_the_others():
    features = Features({"a": np.array([b"u"] * 2), "b": np.array([b"v"] * 2)})
    assert (len(features["a"]), len(features["b"])) == (2, 2)
    features["a"] = np.array([b"u"] * 1000)
    with pytest.raises(ValueError, match="has 1000 rows, but feature 'b' of the same batch has 2"):
        features.encoded(StackedColumn(hashed()[:2], (0, 10)))
