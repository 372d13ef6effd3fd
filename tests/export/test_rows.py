"""Rows that an export tries a model on."""

from __future__ import annotations

import torch

from torchest import columns
from torchest.columns import FixedLenFeature, VarLenFeature
from torchest.export.rows import golden_rows, neutral_rows

SPECS = {
    "age": FixedLenFeature((2,), torch.float32),
    "word": VarLenFeature(str),
    "day": FixedLenFeature((), torch.int64),
    "weight": VarLenFeature(torch.float32),
}


def test_neutral_rows_suit_every_column():
    rows = neutral_rows(SPECS, 3)
    assert rows["age"].tolist() == [[0.0, 0.0]] * 3
    assert rows["word"].to_pylist() == [["a"]] * 3
    assert rows["day"].tolist() == [0, 0, 0]
    assert all(len(neutral_rows({"x": spec}, 0)["x"]) == 0 for spec in SPECS.values())


def test_golden_rows_have_known_and_unknown_words_boundaries_and_ids_in_range():
    word = columns.categorical_column_with_vocabulary_list("word", ["x", "y"])
    day = columns.categorical_column_with_identity("day", 7)
    age = columns.bucketized_column(columns.numeric_column("age", shape=2), [18.0, 65.0])
    rows = golden_rows(SPECS, [columns.weighted_categorical_column(word, "weight"), day, age], 12)
    words = [each for row in rows["word"].to_pylist() for each in row]
    assert {"x", "y", "unseen"} <= set(words)
    assert set(rows["day"].tolist()) == {0, 3, 6}
    ages = set(rows["age"].reshape(-1).tolist())
    assert {18.0, 65.0} <= ages
    assert any(18.0 < age < 18.01 for age in ages)
    lengths = [len(row) for row in rows["word"].to_pylist()]
    assert lengths == [len(row) for row in rows["weight"].to_pylist()]
    assert set(lengths) == {1, 2, 3}


def test_ids_suit_the_narrowest_column_of_a_feature():
    narrow = columns.categorical_column_with_identity("day", 3)
    wide = columns.categorical_column_with_identity("day", 1000)
    hashed = columns.categorical_column_with_hash_bucket("day", 10, dtype=torch.int64)
    rows = golden_rows(SPECS, [wide, narrow, hashed], 12)
    assert set(rows["day"].tolist()) == {0, 1, 2}


def test_lists_end_with_a_known_value_so_that_sequences_of_all_columns_are_equally_long():
    word = columns.sequence_categorical_column_with_vocabulary_list("word", ["x", "y"])
    rows = golden_rows(SPECS, [word], 12)
    assert {row[-1] for row in rows["word"].to_pylist()} == {"x"}


def test_steps_of_several_numbers_are_as_many_as_those_of_other_columns():
    pairs = columns.sequence_numeric_column("weight", shape=2)
    rows = golden_rows(SPECS, [pairs], 12)
    numbers = [len(row) for row in rows["weight"].to_pylist()]
    assert [-(-number // 2) for number in numbers] == [len(row) for row in rows["word"].to_pylist()]
    assert {number % 2 for number in numbers} == {0, 1}  # the last step may have fewer numbers


def test_rows_are_always_the_same():
    word = columns.categorical_column_with_hash_bucket("word", 10)
    one, other = (golden_rows(SPECS, [word], 12) for _ in range(2))
    assert one["word"].equals(other["word"])
    assert torch.equal(one["age"], other["age"])


def test_a_feature_of_integers_that_a_column_takes_as_text_has_its_integers():
    specs = {"day": FixedLenFeature((), torch.int64)}
    hashed = columns.categorical_column_with_hash_bucket("day", 10)
    listed = columns.categorical_column_with_vocabulary_list("day", ["1", "x", "22"])
    assert set(golden_rows(specs, [hashed], 12)["day"].tolist()) == {17}
    assert set(golden_rows(specs, [listed], 12)["day"].tolist()) == {1, 22}


def test_integers_fit_into_the_dtype_of_their_feature():
    column = columns.categorical_column_with_hash_bucket("day", 10, dtype=torch.int64)
    for dtype in (torch.int32, torch.uint8):
        rows = golden_rows({"day": FixedLenFeature((), dtype)}, [column], 12)
        assert set(rows["day"].tolist()) == {0, 17}


def test_words_that_are_no_utf8_are_left_out():
    column = columns.categorical_column_with_vocabulary_list("word", [b"\xff", b"a"])
    words = golden_rows(SPECS, [column], 12)["word"].to_pylist()
    assert {"a", "unseen"} <= {each for row in words for each in row}
