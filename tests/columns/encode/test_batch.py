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
from torchest.columns.encode.stacked import RowOrderColumn, StackedColumn, StackedDenseColumn
from torchest.columns.features import Features
from torchest.errors import MissingFeatureError

KEYS = ("a", "b", "c")
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


CATEGORICAL = {
    "hashed": columns.categorical_column_with_hash_bucket("key", 10),
    "hashed integers": columns.categorical_column_with_hash_bucket("key", 7, torch.int64),
    "words": columns.categorical_column_with_vocabulary_list(
        "key", ["x", "yy", "17", "-5", "grün"]
    ),
    "words with default": columns.categorical_column_with_vocabulary_list(
        "key", ["x", "3"], default_value=1
    ),
    "words with buckets": columns.categorical_column_with_vocabulary_list(
        "key", ["x", "a longer word"], num_oov_buckets=3
    ),
    "integers": columns.categorical_column_with_vocabulary_list("key", [17, 3, -5]),
    "integers with buckets": columns.categorical_column_with_vocabulary_list(
        "key", [3, 17], num_oov_buckets=4
    ),
    "identity": columns.categorical_column_with_identity("key", 18),
    "identity with default": columns.categorical_column_with_identity("key", 5, default_value=2),
    "buckets": columns.bucketized_column(columns.numeric_column("key"), [-5, 0.5, 3, 17]),
    "buckets with default": columns.bucketized_column(
        columns.numeric_column("key", default_value=3.0), [0.1, 3]
    ),
}
CATEGORICAL |= {
    f"cross of {name}": columns.crossed_column([column, "key"], 50)
    for name, column in CATEGORICAL.items()
    if not name.startswith("hashed")
}
CATEGORICAL["cross of keys"] = columns.crossed_column(["key", "other"], 50, hash_key=5)
TEXTS = st.lists(
    st.sampled_from(["x", "yy", "17", "-5", "3", "grün", "a longer word", "z" * 90, ""]), min_size=1
)
NUMBERS = st.lists(st.sampled_from([0, 1, 3, 4, 17, 99, -1, -5]), min_size=1)
FLOATS = st.lists(st.sampled_from([0, 0.5, 3, 17, 1e30, np.nan, np.inf, -5, 0.1]), min_size=1)
OF_TEXT = {
    **FORMS,
    "large": lambda values: pa.array(values, pa.large_binary()),
    "slice": lambda values: pa.array(["?", None, *values, "!"], pa.string())[2:-1],
    "nulls in a slice": lambda values: pa.array(["?", *(x or None for x in values)])[1:],
    "dictionary with nulls": lambda values: pa.array(
        ["?", *(x or None for x in values)], pa.string()
    ).dictionary_encode()[1:],
    "steps": lambda values: np.array([[x.encode(), b"?"] for x in values])[:, 0],
    "category": lambda values: pd.Series(values, dtype="category"),
    "lists": lambda values: [[x, "yy"] for x in values],
}
TYPES = (
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint64",
    "float32",
    "float64",
    "bool",
    "float16",
)
OF_NUMBERS = {
    **{
        f"numpy {dtype}": lambda values, dtype=dtype: np.array(values).astype(dtype)
        for dtype in TYPES
    },
    "tensor": torch.tensor,
    "column": lambda values: np.array([values, values]).T[:, :1],
    "big-endian": lambda values: np.array(values, ">i4"),
    "Arrow with nulls": lambda values: pa.array([None, 5, *values], pa.int32())[1:],
    "Arrow floats": lambda values: pa.array([None, 5.0, *map(float, values)], pa.float32())[1:],
    "pandas": lambda values: pd.Series([None, *values], dtype="Int64"),
    "list": list,
    "nested list": lambda values: [[value] for value in values],
    "masked": lambda values: np.ma.masked_equal(np.array(values), 3),
}
OF_FLOATS = {
    "numpy float32": lambda values: np.array(values, np.float32),
    "numpy float64": np.array,
    "tensor": lambda values: torch.tensor(values, dtype=torch.float64),
    "Arrow": lambda values: pa.array(values, pa.float64(), from_pandas=True),
    "Arrow float32": lambda values: pa.array(values, pa.float32(), from_pandas=True),
    "steps": lambda values: np.array([values, values])[0, ::-1],
    "list": list,
}


def arrays():
    """Arrays of every kind, with as many rows."""
    kinds = [
        (kind, values)
        for values, of in ((TEXTS, OF_TEXT), (NUMBERS, OF_NUMBERS), (FLOATS, OF_FLOATS))
        for kind in of.values()
    ]
    return st.sampled_from(kinds).flatmap(lambda pair: pair[1].map(pair[0]))


def outcome(encode):
    """The encoding, or the sentence of an error."""
    try:
        return encode()
    except (TypeError, ValueError) as error:
        return str(error)


def settled(column):
    """The column, after a value of its vocabulary was seen."""
    for each in (column, *getattr(column, "leaves", ())):
        if hasattr(each, "words"):
            Features({"key": list(each.words()[:1])}).encoded(each)
    return column


@settings(deadline=None, max_examples=400)
@given(array=arrays(), names=st.lists(st.sampled_from(sorted(CATEGORICAL)), min_size=1, max_size=3))
@pytest.mark.filterwarnings(
    "ignore:invalid value encountered in cast", "ignore:overflow encountered"
)
def test_columns_have_the_ids_that_they_have_one_by_one(array, names):
    chosen = tuple(settled(CATEGORICAL[name]) for name in names)
    raw = {"key": array, "other": ["x"] * len(array)}
    firsts = tuple(range(0, 100 * len(names), 100))
    actual = outcome(lambda: Features(raw).encoded(StackedColumn(chosen, firsts)))
    alone = [outcome(lambda column=column: Features(raw).encoded(column)) for column in chosen]
    errors = [each for each in alone if isinstance(each, str)]
    if errors:
        assert actual == errors[0]
        return
    single = [place for place, ids in enumerate(alone) if ids.offsets is None]
    assert actual.places == tuple(single)
    for number, place in enumerate(single):
        ids = alone[place].values
        assert torch.equal(actual.rows[:, number], ids.clamp_min(0) + 100 * place)
        there = torch.ones(len(ids)) > 0 if actual.present is None else actual.present[:, number]
        assert torch.equal(there, ids >= 0)


@pytest.mark.parametrize("name", sorted(CATEGORICAL))
def test_columns_of_torchest_are_encoded_by_the_loop(name, monkeypatch):
    column = settled(CATEGORICAL[name])
    array = np.array([b"x", b"3"]) if "words" in name else np.array([3, 4])
    monkeypatch.setattr(type(column), "look_up", None)
    features = Features({"key": array, "other": array})
    assert features.encoded(StackedColumn((column,), (0,))).rows.shape == (2, 1)


def test_a_class_of_a_user_encodes_itself():
    class Shifted(type(CATEGORICAL["identity"])):
        def look_up(self, features):
            return super().look_up(features).map(lambda ids: ids + 1)

    joint = StackedColumn((Shifted("key", 18, None), CATEGORICAL["identity"]), (0, 0))
    assert Features({"key": [3, 4]}).encoded(joint).rows.tolist() == [[4, 3], [5, 4]]


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


@settings(deadline=None, max_examples=200)
@given(values=st.lists(NUMBERS | FLOATS, min_size=1, max_size=3), data=st.data())
@pytest.mark.filterwarnings(
    "ignore:invalid value encountered in cast", "ignore:overflow encountered"
)
def test_numbers_are_those_of_each_column(values, data):
    shortest = min(map(len, values))
    raw, made = {}, []
    for key, each in zip(KEYS, values, strict=False):
        of = OF_FLOATS if any(isinstance(value, float) for value in each) else OF_NUMBERS
        raw[key] = of[data.draw(st.sampled_from(sorted(set(of) & set(OF_FLOATS))))](each[:shortest])
        default = data.draw(st.sampled_from([None, 7.0]))
        made.append(columns.numeric_column(key, default_value=default))
    together = outcome(lambda: Features(raw).encoded(StackedDenseColumn(tuple(made))))
    alone = [outcome(lambda column=column: Features(raw).encoded(column)) for column in made]
    errors = [each for each in alone if isinstance(each, str)]
    if errors:
        assert together == errors[0]
    else:
        assert torch.equal(together, torch.cat(alone, 1))


@settings(deadline=None, max_examples=50)
@given(
    rows=st.integers(1, 150),
    width=st.integers(1, 20),
    default=st.sampled_from([None, 7.0]),
    missing=st.booleans(),
)
def test_many_numbers_are_those_of_each_column(rows, width, default, missing):
    values = np.arange(rows * width, dtype=np.float32).reshape(rows, width)
    if missing:
        values[-1, -1] = np.nan
    raw = {f"n{place}": values[:, place].copy() for place in range(width)}
    made = tuple(columns.numeric_column(key, default_value=default) for key in raw)
    actual = outcome(lambda: Features(raw).encoded(StackedDenseColumn(made)))
    if missing and default is None:
        assert "has no number (NaN or null) in 1 of" in actual
    else:
        assert actual.tolist() == np.nan_to_num(values, nan=default or 0).tolist()


@pytest.mark.parametrize("dtype", [*TYPES, "uint16", "uint32"])
def test_numbers_of_every_type(dtype):
    raw = {key: np.array([0, -1, 200 + place]).astype(dtype) for place, key in enumerate(KEYS)}
    made = tuple(columns.numeric_column(key) for key in KEYS)
    expected = torch.tensor(np.stack([*raw.values()], 1).astype(np.float32))
    assert torch.equal(Features(raw).encoded(StackedDenseColumn(made)), expected)


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
