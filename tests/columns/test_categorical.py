from __future__ import annotations

import datetime
import decimal
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest.columns.categorical import (
    HashedCategoricalColumn,
    VocabularyListCategoricalColumn,
    categorical_column_with_hash_bucket,
    categorical_column_with_identity,
    categorical_column_with_vocabulary_list,
)
from torchest.columns.features import Features
from torchest.columns.ids import Ids

if TYPE_CHECKING:
    from torchest.columns.base import CategoricalColumn

HASHED = categorical_column_with_hash_bucket("v", 1_000_003)
HASHED_INTEGERS = categorical_column_with_hash_bucket("v", 1_000_003, torch.int64)
LISTED = categorical_column_with_vocabulary_list("v", ["a", "bb", "3"], num_oov_buckets=2)
LISTED_INTEGERS = categorical_column_with_vocabulary_list("v", [7, 3, -5])
SPARSE_IS_BETA = pytest.mark.filterwarnings("ignore:Sparse")
WORDS = ["a", "", "bb", "zz", "日本", None]


def exactly(message: str) -> str:
    return f"^{re.escape(message)}$"


def encode(column: CategoricalColumn, value: Any) -> Ids:
    ids = Features({"v": value}).encoded(column)
    assert isinstance(ids, Ids)
    assert ids.values.dtype == torch.int64
    return ids


def one_each(column: CategoricalColumn, value: Any) -> list[int]:
    ids = encode(column, value)
    assert ids.offsets is None
    return ids.values.tolist()


def by_row(column: CategoricalColumn, value: Any) -> list[list[int]]:
    ids = encode(column, value)
    if ids.offsets is None:
        return [[id] if id >= 0 else [] for id in ids.values.tolist()]
    assert ids.offsets.dtype == torch.int64
    return [ids.rows(row, row + 1).values.tolist() for row in range(ids.batch_size)]


def test_hash_buckets_are_tensorflows() -> None:
    # categorical_column_with_hash_bucket('v', 1000003) in TensorFlow 2.15.1
    assert one_each(HASHED, ["a", "b", "c", "", "x"]) == [291400, 113437, 533136, -1, 598337]
    got = one_each(HASHED_INTEGERS, [3, 5, -7, -1, 0, -(2**62)])
    assert got == [739675, 264118, 985360, -1, 537292, 178785]


def test_integers_are_hashed_as_their_decimal_text() -> None:
    texts = ["3", "5", "-7", "", "0", "9007199254740993"]
    integers = [3, 5, -7, -1, 0, 2**53 + 1]
    assert one_each(HASHED, integers) == one_each(HASHED, texts)
    assert one_each(HASHED_INTEGERS, integers) == one_each(HASHED, texts)


def test_fingerprints_with_the_top_bit_set_have_positive_ids() -> None:
    # Fingerprint64 of these is 11160318154034397263 + ..., above 2^63 for about half of them
    ids = one_each(categorical_column_with_hash_bucket("v", 2**62), [str(i) for i in range(100)])
    assert min(ids) >= 0


FORMS = {
    "object": pd.Series(WORDS, dtype=object),
    "str": pd.Series(WORDS, dtype="str"),
    "string": pd.Series(WORDS, dtype="string"),
    "string[pyarrow]": pd.Series(WORDS, dtype="string[pyarrow]"),
    "category": pd.Series(WORDS, dtype="category"),
    "category, reordered and with unused ones": pd.Series(
        pd.Categorical(WORDS, categories=["zz", "never", "日本", "bb", "", "a"], ordered=True)
    ),
    "numpy object": np.array(WORDS, object),
    "numpy object of bytes": np.array([None if w is None else w.encode() for w in WORDS], object),
    "numpy U": np.array([w or "" for w in WORDS]),
    "numpy S": np.array([(w or "").encode() for w in WORDS]),
    "numpy U, 2-D": np.array([[w or ""] for w in WORDS]),
    "list": WORDS,
    "list of bytes": [None if w is None else w.encode() for w in WORDS],
    "list with NaN": [float("nan") if w is None else w for w in WORDS],
    "arrow string": pa.array(WORDS),
    "arrow large_string": pa.array(WORDS, pa.large_string()),
    "arrow string_view": pa.array(WORDS, pa.string_view()),
    "arrow binary": pa.array([None if w is None else w.encode() for w in WORDS]),
    "arrow chunks": pa.chunked_array([WORDS[:2], WORDS[2:]]),
    "arrow dictionary": pa.array(WORDS).dictionary_encode(),
    "arrow slice": pa.array(["x", *WORDS, "y"]).slice(1, 6),
    "lists": [[w] if w else [] for w in WORDS],
    "arrow lists": pa.array([None if w is None else [w] for w in WORDS]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("column", [HASHED, LISTED], ids=["hashed", "listed"])
def test_text_has_the_same_ids_in_every_form(column: CategoricalColumn, form: str) -> None:
    want = {
        HASHED: [[291400], [], [371709], [457488], [912016], []],
        LISTED: [[0], [], [1], [3], [4], []],
    }[column]
    assert by_row(column, FORMS[form]) == want


INTEGERS = {
    "list": [3, -1, 7],
    "list with None": [3, None, 7],
    "list with NaN": [3, float("nan"), 7],
    "numpy int8": np.array([3, -1, 7], np.int8),
    "numpy float64 with NaN": np.array([3, np.nan, 7]),
    "pandas float64 with NaN": pd.Series([3, None, 7]),
    "pandas Int64 with NA": pd.Series([3, pd.NA, 7], dtype="Int64"),
    "pandas int64[pyarrow] with NA": pd.Series([3, pd.NA, 7], dtype="int64[pyarrow]"),
    "pandas category": pd.Series([3, None, 7], dtype="category"),
    "pandas object": pd.Series([3, None, 7], dtype=object),
    "tensor": torch.tensor([3, -1, 7], dtype=torch.int32),
    "tensor, 2-D": torch.tensor([[3], [-1], [7]]),
    "arrow": pa.array([3, None, 7], pa.uint8()),
}


@pytest.mark.parametrize("form", INTEGERS)
def test_integers_have_the_same_ids_in_every_form(form: str) -> None:
    assert by_row(LISTED, INTEGERS[form]) == [[2], [], by_row(LISTED, ["7"])[0]]
    assert by_row(LISTED_INTEGERS, INTEGERS[form]) == [[1], [], [0]]
    assert by_row(HASHED_INTEGERS, INTEGERS[form]) == by_row(HASHED, ["3", "", "7"])


RAGGED = [["a", "bb"], [], ["zz"], ["a", "a", "3"]]
PADDED = [["a", "bb", ""], ["", "", ""], ["", "zz", ""], ["a", "a", "3"]]


@pytest.mark.parametrize(
    "value",
    [
        RAGGED,
        pd.Series(RAGGED),
        pd.Series([["a", "bb"], None, ["zz"], ["a", "a", "3"]]),
        pa.array(RAGGED),
        pa.array(RAGGED, pa.large_list(pa.large_string())),
        pa.array([["x"], *RAGGED]).slice(1),
        pa.chunked_array([RAGGED[:1], RAGGED[1:]]),
        pa.array(RAGGED, pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        pa.array([["a", None, "bb"], [None], ["zz"], ["a", "a", "3"]]),
        PADDED,
        np.array(PADDED),
        np.array(PADDED, "S"),
        np.array(PADDED, object),
        pa.array(PADDED, pa.list_(pa.string(), 3)),
    ],
)
def test_several_strings_in_a_row_have_the_same_ids_in_every_form(value: Any) -> None:
    assert by_row(LISTED, value) == [[0, 1], [], [3], [0, 0, 2]]


def nested(rows: list[list[int]]) -> torch.Tensor:
    return torch.nested.nested_tensor(
        [torch.tensor(row, dtype=torch.int64) for row in rows], layout=torch.jagged
    )


@pytest.mark.parametrize(
    "value",
    [
        [[7, 3], [], [3]],
        np.array([[7, 3], [-1, -1], [-1, 3]]),
        torch.tensor([[7, 3], [-1, -1], [3, -1]]),
        pa.array([[7, 3], [], [3]]),
        pa.array([[7, 3], None, [3, None]]),
    ],
)
def test_several_integers_in_a_row_have_the_same_ids_in_every_form(value: Any) -> None:
    assert by_row(LISTED_INTEGERS, value) == [[0, 1], [], [1]]


@SPARSE_IS_BETA
def test_several_integers_in_a_row_of_a_sparse_or_nested_tensor() -> None:
    dense = torch.tensor([[7, 3], [0, 0], [0, 3]])
    unordered = torch.sparse_coo_tensor([[2, 0, 0], [0, 1, 0]], [3, 3, 7], (3, 2))
    for value in (dense.to_sparse(), unordered, dense.to_sparse_csr(), dense.to_sparse_csc()):
        assert by_row(LISTED_INTEGERS, value) == [[0, 1], [], [1]]
    assert by_row(LISTED_INTEGERS, nested([[7, 3], [], [3]])) == [[0, 1], [], [1]]


@pytest.mark.parametrize("column", [HASHED, LISTED, HASHED_INTEGERS, LISTED_INTEGERS])
@pytest.mark.parametrize(
    "value",
    [[None, None], np.array([np.nan, np.nan]), pd.Series([None, None]), pa.nulls(2), [[], []]],
)
def test_nothing_but_missing_values(column: CategoricalColumn, value: Any) -> None:
    assert by_row(column, value) == [[], []]


@pytest.mark.parametrize("column", [HASHED, LISTED])
@pytest.mark.parametrize(
    "value", [pa.array([], pa.string()), np.array([], "S3"), [], np.empty((0, 2), int)]
)
def test_no_rows(column: CategoricalColumn, value: Any) -> None:
    assert encode(column, value).batch_size == 0


def test_bytes_that_are_no_utf8_are_taken_as_they_are() -> None:
    odd = b"\xff\xfe\x00\x01"
    column = categorical_column_with_vocabulary_list("v", [odd, "a"])
    assert one_each(column, [odd, b"a", b"\xff"]) == [0, 1, -1]
    assert one_each(HASHED, [odd]) == one_each(HASHED, np.array([odd]))


def test_unknown_values_have_no_id_or_the_default() -> None:
    plain = categorical_column_with_vocabulary_list("v", ["p", "q"])
    default = categorical_column_with_vocabulary_list("v", ["p", "q"], default_value=1)
    assert one_each(plain, ["p", "", "zz", "q"]) == [0, -1, -1, 1]
    assert one_each(default, ["p", "", "zz", "q"]) == [0, -1, 1, 1]
    assert by_row(plain, [["zz", "q"], ["zz"]]) == [[1], []]


def test_a_missing_value_has_no_id_even_if_the_vocabulary_has_it() -> None:
    assert one_each(categorical_column_with_vocabulary_list("v", ["p", ""]), ["", "p"]) == [-1, 0]
    assert one_each(categorical_column_with_vocabulary_list("v", [-1, 4]), [4, -1]) == [1, -1]


def test_the_number_of_buckets_and_the_fields() -> None:
    assert HASHED.num_buckets == 1_000_003
    assert LISTED.num_buckets == 5
    assert HashedCategoricalColumn("v", 7, "string") == categorical_column_with_hash_bucket("v", 7)
    assert (
        VocabularyListCategoricalColumn(
            key="v",
            vocabulary_list=(7, 3, -5),
            dtype=torch.int64,
            default_value=-1,
            num_oov_buckets=0,
        )
        == LISTED_INTEGERS
    )
    assert (LISTED.name, LISTED.feature_keys) == ("v", ("v",))


@pytest.mark.parametrize("dtype", ["string", str, bytes, np.str_, np.dtype("S3"), "str"])
def test_ways_to_say_string(dtype: Any) -> None:
    assert categorical_column_with_hash_bucket("v", 7, dtype).dtype == "string"


@pytest.mark.parametrize("dtype", [torch.int64, np.int64, "int64", int, np.dtype("int64")])
def test_ways_to_say_int64(dtype: Any) -> None:
    assert categorical_column_with_hash_bucket("v", 7, dtype).dtype == torch.int64


@pytest.mark.parametrize(
    "words",
    [np.array(["a", "b"]), pd.Series(["a", "b"]), pd.Index(["a", "b"]), ("a", "b"), iter("ab")],
)
def test_vocabularies_in_other_containers(words: Any) -> None:
    column = categorical_column_with_vocabulary_list("v", words)
    assert column.vocabulary_list == ("a", "b")
    assert column.dtype == "string"
    assert categorical_column_with_vocabulary_list("v", np.array([4, 5])).vocabulary_list == (4, 5)


words_or_missing = st.lists(
    st.one_of(st.none(), st.text(max_size=12), st.sampled_from(["a", "bb", "3"])),
    min_size=1,
    max_size=12,
)


@given(words_or_missing, st.data())
def test_the_ids_of_a_row_do_not_depend_on_the_others(
    words: list[str | None], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(words))))
    cut = data.draw(st.integers(0, len(words)))
    for column in (HASHED, LISTED):
        whole = one_each(column, words)
        assert one_each(column, [words[i] for i in order]) == [whole[i] for i in order]
        parts = [pa.array(part, pa.string()) for part in (words[:cut], words[cut:])]
        assert [id for part in parts for id in one_each(column, part)] == whole


@given(st.lists(words_or_missing, min_size=1, max_size=6))
def test_lists_have_the_ids_that_their_values_have_alone(rows: list[list[str | None]]) -> None:
    for column in (HASHED, LISTED):
        want = [
            [id for id in one_each(column, pa.array(row, pa.string())) if id >= 0] for row in rows
        ]
        assert by_row(column, pa.array(rows, pa.list_(pa.string()))) == want


@given(words_or_missing)
def test_the_input_is_not_changed(words: list[str | None]) -> None:
    strings = pa.array(words, pa.string())
    array = np.array([(word or "").encode() for word in words])
    before = array.copy()
    for column in (HASHED, LISTED):
        one_each(column, strings)
        one_each(column, array)
    assert strings.to_pylist() == words
    np.testing.assert_array_equal(array, before)


def test_integers_are_not_changed() -> None:
    given = np.array([[3, -1], [7, 7]])
    for column in (HASHED, LISTED, LISTED_INTEGERS):
        encode(column, given)
    assert given.tolist() == [[3, -1], [7, 7]]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            LISTED,
            torch.tensor([1.0]),
            "Column 'v' needs integers or text, but its feature is a tensor of float32: convert it to "
            "text or integers first, or use numeric_column for a quantity.",
        ),
        (
            HASHED,
            np.array([1.0, 0.5]),
            "Column 'v' got the float 0.5: ids and keys are integers or text. Use numeric_column, or "
            "bucketized_column over it, for a quantity.",
        ),
        (
            HASHED,
            np.array([1.0, np.inf]),
            "Column 'v' got the float inf: ids and keys are integers or text. Use numeric_column, or "
            "bucketized_column over it, for a quantity.",
        ),
        (
            HASHED,
            [True, False],
            "Column 'v' needs text or integers, but its feature holds values of type bool such "
            "as True: convert it to text or integers first, or use numeric_column for a quantity.",
        ),
        (
            HASHED_INTEGERS,
            ["a"],
            "Column 'v' needs integers, but its feature holds values of type string such as 'a': "
            "convert it to integers first, or use a column of strings.",
        ),
        (
            LISTED_INTEGERS,
            np.array([b"7"]),
            "Column 'v' needs integers, but its feature holds values of type bytes8 such as b'7': "
            "convert it to integers first, or use a column of strings.",
        ),
        (
            HASHED,
            [datetime.date(2020, 1, 1)],
            "Column 'v' needs text or integers, but its feature holds dates such as '2020-01-01': give a number, "
            "such as the days since a date, (dates - start).dt.days, or the month, dates.dt.month; or text for a "
            "categorical column, dates.dt.strftime('%Y-%m-%d').",
        ),
        (
            HASHED,
            [decimal.Decimal("1.5")],
            "Column 'v' got the float 1.5: ids and keys are integers or text. Use numeric_column, or "
            "bucketized_column over it, for a quantity.",
        ),
        (
            HASHED,
            np.zeros((2, 3, 4), int),
            "Column 'v' got a feature of 3 dimensions: give one value for each row [batch], or several "
            "[batch, n].",
        ),
        (
            HASHED,
            pa.array([[["a"]]]),
            "Column 'v' got a feature of 3 dimensions: give one value for each row [batch], or several "
            "[batch, n].",
        ),
        (
            HASHED,
            np.array([2**63], np.uint64),
            "Column 'v' got 9223372036854775808, which is beyond the range of int64: give it as text.",
        ),
        (
            HASHED,
            "a",
            "'v' is the single value 'a' (rank 0), but one value per row is needed; for a batch of one "
            "row give ['a'].",
        ),
    ],
)
def test_features_that_do_not_suit(column: CategoricalColumn, value: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=exactly(message)):
        encode(column, value)


def test_booleans_are_integers_to_a_column_of_integers() -> None:
    column = categorical_column_with_vocabulary_list("v", [1, 0])
    assert one_each(column, [True, False]) == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"hash_bucket_size": 0},
            "Column 'v': hash_bucket_size=0 must be a whole number of at least 1.",
        ),
        (
            {"hash_bucket_size": 1.5},
            "Column 'v': hash_bucket_size=1.5 must be a whole number of at least 1.",
        ),
        (
            {"hash_bucket_size": None},
            "Column 'v': hash_bucket_size=None must be a whole number of at least 1.",
        ),
        (
            {"hash_bucket_size": 3, "dtype": torch.float32},
            "dtype of column 'v' is torch.float32: give 'string' or an integer dtype such as torch.int64.",
        ),
        (
            {"hash_bucket_size": 3, "dtype": bool},
            "dtype of column 'v' is <class 'bool'>: give 'string' or an integer dtype such as torch.int64.",
        ),
        (
            {"hash_bucket_size": 3, "key": ["v"]},
            "key=['v'] must be a string. Give the key of a feature.",
        ),
    ],
)
def test_wrong_arguments_of_a_hash_bucket_column(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=exactly(message)):
        categorical_column_with_hash_bucket(**{"key": "v", **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"vocabulary_list": []},
            "vocabulary_list of column 'v' is empty: give at least one value.",
        ),
        (
            {"vocabulary_list": "abc"},
            "vocabulary_list of column 'v' is 'abc': give a list of strings or of integers.",
        ),
        (
            {"vocabulary_list": ["a", b"a"]},
            "vocabulary_list of column 'v' has b'a' twice: each value has one id, so leave one of them out.",
        ),
        (
            {"vocabulary_list": [1, "a"]},
            "vocabulary_list of column 'v' holds 1 and 'a': give only strings, or only integers.",
        ),
        (
            {"vocabulary_list": [1.5, 2.5]},
            "vocabulary_list of column 'v' holds 1.5: give strings or integers.",
        ),
        (
            {"vocabulary_list": [True, False]},
            "vocabulary_list of column 'v' holds True: give strings or integers.",
        ),
        (
            {"vocabulary_list": ["a"], "dtype": torch.int64},
            "dtype of column 'v' is torch.int64, but vocabulary_list holds strings such as 'a': make "
            "them agree.",
        ),
        (
            {"vocabulary_list": [1], "dtype": "string"},
            "dtype of column 'v' is 'string', but vocabulary_list holds integers such as 1: make them "
            "agree.",
        ),
        (
            {"vocabulary_list": ["a", "b"], "default_value": 2},
            "default_value of column 'v' is 2: give an id below 2, the size of the vocabulary, or -1 for "
            "none.",
        ),
        (
            {"vocabulary_list": ["a", "b"], "default_value": -2},
            "Column 'v': default_value=-2 must be a whole number of at least -1.",
        ),
        (
            {"vocabulary_list": ["a", "b"], "num_oov_buckets": -1},
            "Column 'v': num_oov_buckets=-1 must be a whole number of at least 0.",
        ),
        (
            {"vocabulary_list": ["a", "b"], "num_oov_buckets": 1, "default_value": 0},
            "Column 'v' has both num_oov_buckets=1 and default_value=0: give one of them, as both say what "
            "unknown values become.",
        ),
    ],
)
def test_wrong_arguments_of_a_vocabulary_column(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=exactly(message)):
        categorical_column_with_vocabulary_list(**{"key": "v", **arguments})


IDENTITY = categorical_column_with_identity("v", 4)


def test_ids_that_are_given() -> None:
    assert one_each(IDENTITY, [0, 3, 2]) == [0, 3, 2]
    assert by_row(IDENTITY, [[0, 3], [], [2]]) == [[0, 3], [], [2]]
    assert by_row(IDENTITY, pd.Series([3, None, 0])) == [[3], [], [0]]
    assert one_each(IDENTITY, np.array([True, False])) == [1, 0]


def test_ids_out_of_range_have_the_default() -> None:
    column = categorical_column_with_identity("v", 4, default_value=1)
    assert by_row(column, np.array([[0, 4, -2], [-1, 2**40, -1]])) == [[0, 1, 1], [1]]


@pytest.mark.parametrize(("wrong", "named"), [([0, 4, 9], 4), ([0, -2], -2), ([[0, 7], [1, 1]], 7)])
def test_ids_out_of_range_are_an_error(wrong: Any, named: int) -> None:
    message = (
        f"Column 'v' got the id {named}, which is not from 0 to 3: raise num_buckets, or give "
        "default_value, the id of values out of range."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        encode(IDENTITY, wrong)


def test_minus_one_is_warned_of_once_where_it_is_no_padding(
    caplog: pytest.LogCaptureFixture,
) -> None:
    column = categorical_column_with_identity("v", 4)
    by_row(column, [[0, -1], [1, 2]])
    by_row(column, [1, None])
    assert caplog.messages == []
    for _ in range(2):
        assert by_row(column, [1, -1]) == [[1], []]
    assert caplog.messages == [
        "Column 'v' got -1, which means missing and has no id; shift the values if it is one of them."
    ]


def test_ids_are_not_shared_with_the_input() -> None:
    given = torch.tensor([[0, 3], [2, 1]])
    encode(IDENTITY, given).values.add_(1)
    assert given.tolist() == [[0, 3], [2, 1]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_buckets": 0}, "Column 'v': num_buckets=0 must be a whole number of at least 1."),
        ({"num_buckets": 2.5}, "Column 'v': num_buckets=2.5 must be a whole number of at least 1."),
        (
            {"num_buckets": 3, "default_value": 3},
            "default_value of column 'v' is 3: give an id below num_buckets=3.",
        ),
        (
            {"num_buckets": 3, "default_value": -1},
            "Column 'v': default_value=-1 must be a whole number of at least 0.",
        ),
    ],
)
def test_wrong_arguments_of_an_identity_column(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=exactly(message)):
        categorical_column_with_identity(**{"key": "v", **arguments})


def test_values_and_offsets() -> None:
    offsets = np.array([0, 2, 2, 3])
    assert by_row(IDENTITY, (np.array([0, 3, 2]), offsets)) == [[0, 3], [], [2]]
    assert by_row(IDENTITY, (torch.tensor([0, 3, 2]), torch.from_numpy(offsets))) == [
        [0, 3],
        [],
        [2],
    ]
    assert by_row(LISTED, (np.array(["a", "zz", "bb"]), offsets)) == [[0, 3], [], [1]]
    assert by_row(LISTED, (pa.array(["a", "zz", "bb"]), offsets)) == [[0, 3], [], [1]]
