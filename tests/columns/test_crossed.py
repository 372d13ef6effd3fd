from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest.columns.bucketized import bucketized_column
from torchest.columns.categorical import (
    categorical_column_with_hash_bucket,
    categorical_column_with_identity,
    categorical_column_with_vocabulary_list,
)
from torchest.columns.crossed import CrossedColumn, crossed_column
from torchest.columns.encode.strings import Text
from torchest.columns.features import Features
from torchest.columns.indicator import indicator_column
from torchest.columns.numeric import numeric_column
from torchest.columns.sequence import sequence_categorical_column_with_identity
from torchest.columns.weighted import weighted_categorical_column

MASK = (1 << 64) - 1
BUCKETS = 1_000_003
VOCABULARY = categorical_column_with_vocabulary_list("v", ["p", "q"])


def by_row(column: CrossedColumn, **features: Any) -> list[list[int]]:
    ids = Features(features).encoded(column)
    if ids.offsets is None:
        return [[id] if id >= 0 else [] for id in ids.values.tolist()]
    return [ids.rows(row, row + 1).values.tolist() for row in range(ids.batch_size)]


def ids(keys: list[Any], hash_key: int | None = None, **features: Any) -> list[list[int]]:
    return by_row(crossed_column(keys, BUCKETS, hash_key), **features)


# The numbers below are TensorFlow 2.15.1's.


def test_strings_and_integers() -> None:
    assert ids(["a", "b"], a=["x", "", "y"], b=[1, -1, 2]) == [[331080], [150657], [718196]]
    assert ids(["a", "b"], a=["x", "", "y"], b=np.array([True, False, True])) == [
        [331080],
        [644345],
        [283658],
    ]


def test_integers_count_as_they_are_and_not_as_text() -> None:
    assert ids(["a", "b"], a=[1, 2], b=[2, 1]) == [[967215], [469786]]
    assert ids(["a", "b"], a=["1", "2"], b=["2", "1"]) != [[967215], [469786]]


def test_the_hash_key() -> None:
    assert ids(["a", "b"], 0, a=[1, 2], b=[2, 1]) == [[967215], [469786]]
    assert ids(["a", "b"], 7, a=[1, 2], b=[2, 1]) == [[954518], [926864]]


def test_every_combination_of_several_values() -> None:
    got = ids(
        ["a", "b", "d"],
        a=np.array([["x", "y"], ["z", ""]]),
        b=np.array([[1, 2], [3, -1]]),
        d=["m", "n"],
    )
    assert got == [[32970, 750900, 820776, 816751], [454737, 27220, 803940, 6225]]
    got = ids(["a", "b"], a=np.array([["x", "", "y"]]), b=np.array([[1, -1]]))
    assert got == [[331080, 486159, 668748, 150657, 283658, 713545]]


def test_lists_of_one_length_are_lists() -> None:
    ragged = ids(["b", "a"], a=[[1, 2], [3]], b=["x", "y"])
    for make in (list, tuple, np.array, torch.tensor):
        assert ids(["b", "a"], a=[make([1, 2])], b=["x"]) == ragged[:1]
        assert ids(["b", "a"], a=[make([1, 2]), make([3])], b=["x", "y"]) == ragged
    assert ids(["b", "a"], a=np.array([[1, 2]]), b=["x"]) != ragged[:1]


def test_an_unknown_value_is_crossed_and_a_missing_one_is_not() -> None:
    got = ids([VOCABULARY, "b"], v=["p", "zz", ""], b=[1, -1, 2])
    assert got == [[200369], [944803], []]


def test_bucketized_numbers() -> None:
    column = bucketized_column(numeric_column("n", shape=2), [0.0, 1.0])
    got = ids([column, "b"], n=[[0.0, 0.5], [1.0, -1.0]], b=[1, 2])
    assert got == [[632874, 966703], [227554, 585122]]


def test_a_key_without_a_value_has_no_id() -> None:
    got = ids(["a", "b"], a=[["x"], []], b=np.array([[1, -1], [2, 3]]))
    assert got == [[331080, 486159], []]


# Further forms.


def test_missing_values_of_a_feature_are_the_empty_string_or_minus_one() -> None:
    want = ids(["a", "b"], a=["x", "", "y"], b=[1, 2, -1])
    assert ids(["a", "b"], a=["x", None, "y"], b=pd.Series([1, 2, None])) == want
    words = pd.Series(["x", None, "y"], dtype="category")
    assert ids(["a", "b"], a=words, b=[1, 2, None]) == want


@pytest.mark.parametrize(
    "words",
    [
        np.array([b"x", b"yy", b""]),
        pd.Series(["x", "yy", None], dtype=object),
        pd.Series(["x", "yy", ""], dtype="category"),
        pa.array(["x", "yy", None], pa.large_string()),
        pa.array(["x", "yy", ""]).dictionary_encode(),
        np.array([["x"], ["yy"], [""]]),
    ],
)
def test_text_has_the_same_ids_in_every_form(words: Any) -> None:
    assert ids(["a", "b"], a=words, b=[1, 2, 3]) == ids(["a", "b"], a=["x", "yy", ""], b=[1, 2, 3])


def test_a_cross_of_a_cross_is_one_of_all_its_keys() -> None:
    inner = crossed_column(["a", "b"], 10, hash_key=5)
    features: dict[str, Any] = {"a": ["x", "y"], "b": [1, 2], "c": ["u", "v"]}
    assert ids([inner, "c"], **features) == ids(["a", "b", "c"], **features)
    assert crossed_column([inner, "c"], 7).name == "a_X_b_X_c"


def fold(first: int, second: int) -> int:
    def mix(x: int) -> int:
        return x & MASK ^ (x & MASK) >> 47

    multiplier = 0xC6A4A7935BD1E995
    folded = first ^ multiplier ^ mix(second * multiplier) * multiplier & MASK
    return mix(mix(folded * multiplier) * multiplier)


def combination(values: tuple[str | int, ...]) -> int:
    folded = 0xDECAFCAFFE
    for value in values:
        part = Text.of_words([value]).fingerprints()[0] if isinstance(value, str) else value
        folded = fold(folded, int(part) & MASK)
    return folded % BUCKETS


rows = st.lists(
    st.tuples(
        st.lists(st.text(max_size=4), max_size=3),
        st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
        st.lists(st.sampled_from(["p", "q"]), max_size=2),
    ),
    min_size=1,
    max_size=5,
)


@given(rows)
def test_lists_have_the_ids_of_all_their_combinations(
    rows: list[tuple[list[str], list[int], list[str]]],
) -> None:
    features = {
        "a": pa.array([row[0] for row in rows], pa.list_(pa.string())),
        "b": pa.array([row[1] for row in rows], pa.list_(pa.int64())),
        "v": pa.array([row[2] for row in rows], pa.list_(pa.string())),
    }
    places = {"p": 0, "q": 1}
    want = [
        [combination(values) for values in itertools.product(a, b, [places[word] for word in v])]
        for a, b, v in rows
    ]
    assert ids(["a", "b", VOCABULARY], **features) == want


@given(
    st.lists(
        st.tuples(st.text(max_size=4), st.integers(-5, 5), st.sampled_from(["p", "", "other"])),
        min_size=1,
        max_size=8,
    ),
    st.data(),
)
def test_the_ids_of_a_row_do_not_depend_on_the_others(
    rows: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    def encode(rows: list[tuple[str, int, str]]) -> list[list[int]]:
        a, b, v = zip(*rows, strict=True)
        return ids(["a", VOCABULARY, "b"], a=list(a), b=list(b), v=list(v))

    order = data.draw(st.permutations(range(len(rows))))
    whole = encode(rows)
    assert encode([rows[i] for i in order]) == [whole[i] for i in order]
    assert [encode([row])[0] for row in rows] == whole


def test_the_input_is_not_changed() -> None:
    numbers = np.array([[3, -1], [7, 7]])
    words = np.array([b"x", b""])
    ids(["a", "b"], a=words, b=numbers)
    assert numbers.tolist() == [[3, -1], [7, 7]]
    assert words.tolist() == [b"x", b""]


def test_no_rows() -> None:
    empty = Features({"a": pa.array([], pa.string()), "b": np.empty((0, 2), int)})
    assert empty.encoded(crossed_column(["a", "b"], 5)).batch_size == 0


def test_a_dictionary_is_hashed_once() -> None:
    column = crossed_column(["a", "b"], BUCKETS)
    words = pa.array(["x", "y", None, "x"]).dictionary_encode()
    first = by_row(column, a=words, b=[1, 2, 3, 4])
    assert len(column._dictionaries._kept) == 1
    assert by_row(column, a=words.slice(1, 2), b=[2, 3]) == first[1:3]
    assert len(column._dictionaries._kept) == 1


def test_names_and_fields() -> None:
    bucketized = bucketized_column(numeric_column("n"), [0])
    column = crossed_column([bucketized, "zz", VOCABULARY], 10)
    assert column.name == "n_bucketized_X_v_X_zz"
    assert column.feature_keys == ("n", "zz", "v")
    assert column == CrossedColumn((bucketized, "zz", VOCABULARY), 10, None)
    assert column != crossed_column(["zz", bucketized, VOCABULARY], 10)
    assert crossed_column(("b", "a"), 10).name == "a_X_b"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            torch.tensor([1.0, 2.0]),
            "Key 'b' of column 'a_X_b' needs integers or text, but its feature is a tensor of float32: "
            "convert it to text or integers first, or use numeric_column for a quantity.",
        ),
        (
            np.array([0.5, 1.0]),
            "Key 'b' of column 'a_X_b' got the float 0.5: ids and keys are integers or text. Use "
            "numeric_column, or bucketized_column over it, for a quantity.",
        ),
        (
            np.array(["2020-01-01", "2020-01-02"], "M8[D]"),
            "Key 'b' of column 'a_X_b' needs integers, but its feature holds dates such as '2020-01-01': "
            "give a number, such as the days since a date, (dates - start).dt.days, or the month, "
            "dates.dt.month; or text for a categorical column, dates.dt.strftime('%Y-%m-%d').",
        ),
    ],
)
def test_features_that_do_not_suit(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ids(["a", "b"], a=["x", "y"], b=value)


X = numeric_column("x")
IDENTITY = categorical_column_with_identity("i", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a"], 3), "keys is ['a']: give two keys or more to cross."),
        (("ab", 3), "keys is 'ab': give a list of two or more keys."),
        (
            (["a", "b"], 0),
            "Column 'a_X_b': hash_bucket_size=0 must be a whole number of at least 1.",
        ),
        (
            (["a", "b"], 2.5),
            "Column 'a_X_b': hash_bucket_size=2.5 must be a whole number of at least 1.",
        ),
        ((["a", "b"], 3, "x"), "Column 'a_X_b': hash_key='x' must be a whole number."),
        (
            (["a", X], 3),
            "keys has 'x' (NumericColumn): give keys of features, or categorical columns; for a number "
            "make a bucketized_column.",
        ),
        (
            (["a", 3], 3),
            "keys has 3: give keys of features, or categorical columns; for a number make a "
            "bucketized_column.",
        ),
        (
            (["a", indicator_column(IDENTITY)], 3),
            "keys has 'i_indicator' (IndicatorColumn): give keys of features, or categorical columns; for "
            "a number make a bucketized_column.",
        ),
        (
            (["a", categorical_column_with_hash_bucket("town", 9)], 3),
            "keys has 'town', a hash bucket column: hashing twice makes more collisions, so give the key "
            "'town' itself.",
        ),
        (
            (["a", weighted_categorical_column(IDENTITY, "w")], 3),
            "keys has 'i_weighted_by_w' (WeightedCategoricalColumn), which cannot be crossed: give the "
            "column 'i' of its values.",
        ),
        (
            (["a", sequence_categorical_column_with_identity("i", 3)], 3),
            "keys has 'i' (SequenceCategoricalColumn), which cannot be crossed: give the column 'i' of its "
            "values.",
        ),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        crossed_column(*arguments)
