from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from torchest.columns.categorical import (
    categorical_column_with_identity,
    categorical_column_with_vocabulary_list,
)
from torchest.columns.features import Features
from torchest.columns.ids import Ids
from torchest.columns.numeric import numeric_column
from torchest.columns.weighted import WeightedCategoricalColumn, weighted_categorical_column

WORDS = categorical_column_with_vocabulary_list("word", ["a", "b", "c"])
COLUMN = weighted_categorical_column(WORDS, "count")


def by_row(words: Any, counts: Any) -> list[list[tuple[int, float]]]:
    ids = Features({"word": words, "count": counts}).encoded(COLUMN)
    assert isinstance(ids, Ids)
    assert ids.weights is not None
    assert ids.weights.dtype == torch.float32
    if ids.offsets is None:
        pairs = zip(ids.values.tolist(), ids.weights.tolist(), strict=True)
        return [[(id, weight)] if id >= 0 else [] for id, weight in pairs]
    return [
        list(zip(part.values.tolist(), part.weights.tolist(), strict=True))
        for part in (ids.rows(row, row + 1) for row in range(ids.batch_size))
    ]


@pytest.mark.parametrize(
    "counts",
    [
        [2, 0, 5],
        np.array([2, 0, 5], np.uint8),
        torch.tensor([2.0, 0.0, 5.0]),
        pa.array([2.0, 0, 5]),
        pd.Series([[2], [0], [5]]),
    ],
)
def test_one_word_a_row(counts: Any) -> None:
    words: Any = [["b"], ["a"], ["a"]] if isinstance(counts, pd.Series) else ["b", "a", "a"]
    assert by_row(words, counts) == [[(1, 2.0)], [(0, 0.0)], [(0, 5.0)]]


WANT = [[(0, 0.5), (1, -2.0)], [(2, 0.0)], []]


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (
            [["a", "b", ""], ["", "c", ""], ["", "", ""]],
            [[0.5, -2.0, 0.0], [9.0, 0.0, 9.0], [0.0, 0.0, 0.0]],
        ),
        ([["a", "b"], ["c"], []], [[0.5, -2.0], [0.0], []]),
        (pa.array([["a", "b"], ["c"], None]), pa.array([[0.5, -2.0], [0.0], None])),
        ([["a", "other", "b"], ["c", None], []], [[0.5, 7.0, -2.0], [0.0, None], []]),
    ],
)
def test_several_words_a_row_in_every_form(words: Any, counts: Any) -> None:
    assert by_row(words, counts) == WANT


def test_a_missing_word_needs_no_weight() -> None:
    assert by_row(["a", None], [2.0, np.nan]) == [[(0, 2.0)], []]


def test_names_and_fields() -> None:
    assert COLUMN.name == "word_weighted_by_count"
    assert COLUMN.feature_keys == ("word", "count")
    assert COLUMN.num_buckets == 3
    assert WeightedCategoricalColumn(WORDS, "count", torch.float32) == COLUMN


@pytest.mark.parametrize(
    ("words", "counts", "message"),
    [
        (
            [["a", "b"], ["c"]],
            [[1.0], [2.0, 3.0]],
            "Column 'word_weighted_by_count': feature 'count' must have one weight for each value of "
            "'word', row by row, but has 3 weights for 3 values; row 0 has 1 and 2.",
        ),
        (
            [["a", "b"], ["c"]],
            [1.0, 2.0],
            "Column 'word_weighted_by_count': feature 'count' must have one weight for each value of "
            "'word', row by row, but has 2 weights for 3 values; row 0 has 1 and 2.",
        ),
        (
            ["a", "b", "c"],
            [1.0, np.nan, np.nan],
            "Column 'word_weighted_by_count': feature 'count' has no weight (NaN or null) for 2 of the "
            "ids of a batch: fill them in, for example with 1.",
        ),
        (
            ["a"],
            ["x"],
            "'count' holds text such as 'x', but must hold numbers; convert it, or use it through a "
            "categorical column.",
        ),
    ],
)
def test_weights_that_do_not_suit(words: Any, counts: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}$"):
        by_row(words, counts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (numeric_column("x"), "w"),
            "categorical_column is 'x' (NumericColumn): give a categorical column, such as one made by "
            "categorical_column_with_vocabulary_list.",
        ),
        (
            ("x", "w"),
            "categorical_column is 'x': give a categorical column, such as one made by "
            "categorical_column_with_vocabulary_list.",
        ),
        (
            (COLUMN, "w"),
            "categorical_column is 'word_weighted_by_count', which has weights already: give the column "
            "without them.",
        ),
        ((WORDS, 3), "weight_feature_key=3 must be a string. Give the key of a feature."),
        (
            (WORDS, "w", "string"),
            "dtype of column 'word_weighted_by_w' is 'string': give a dtype of floats or integers, such "
            "as torch.float32.",
        ),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        weighted_categorical_column(*arguments)


def test_the_ids_alone_are_encoded_without_weights() -> None:
    features = Features({"i": [1, 2], "w": [0.5, 2.0]})
    column = categorical_column_with_identity("i", 3)
    assert features.encoded(column).weights is None
    assert features.encoded(weighted_categorical_column(column, "w")).weights is not None
