from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest.columns.bucketized import bucketized_column
from torchest.columns.categorical import (
    categorical_column_with_identity,
    categorical_column_with_vocabulary_list,
)
from torchest.columns.features import Features
from torchest.columns.ids import Ids
from torchest.columns.indicator import IndicatorColumn, as_dense, indicator_column, multi_hot
from torchest.columns.numeric import numeric_column
from torchest.columns.sequence import sequence_categorical_column_with_identity
from torchest.columns.weighted import weighted_categorical_column

IDENTITY = categorical_column_with_identity("i", 3)


def encode(column: IndicatorColumn, **features: Any) -> list[list[float]]:
    encoded = Features(features).encoded(column)
    assert encoded.dtype == torch.float32
    rows: list[list[float]] = encoded.tolist()
    return rows


def test_one_id_a_row() -> None:
    assert encode(indicator_column(IDENTITY), i=[2, -1, 0]) == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_ids_are_counted() -> None:
    assert encode(indicator_column(IDENTITY), i=[[2, 2, 0], [], [1]]) == [
        [1, 0, 2],
        [0, 0, 0],
        [0, 1, 0],
    ]


def test_unknown_words_have_no_place() -> None:
    words = categorical_column_with_vocabulary_list("v", ["a", "b"])
    assert encode(indicator_column(words), v=["b", "zz", None]) == [[0, 1], [0, 0], [0, 0]]


def test_weights_are_summed() -> None:
    # TensorFlow 2.15.1's DenseFeatures of the same column and batch
    weighted = weighted_categorical_column(IDENTITY, "w")
    got = encode(indicator_column(weighted), i=[[0, 1], [2, 2]], w=[[1.0, 2.0], [0.5, 0.25]])
    assert got == [[1.0, 2.0, 0.0], [0.0, 0.0, 0.75]]


def test_the_ids_are_shared_with_others_that_use_the_column() -> None:
    features = Features({"i": [1]})
    ids = features.encoded(IDENTITY)
    features.encoded(indicator_column(IDENTITY))
    assert features.encoded(IDENTITY) is ids


def test_a_bucketized_column_is_dense_by_its_indicator() -> None:
    bucketized = bucketized_column(numeric_column("x"), [0.0, 1.0])
    assert as_dense(bucketized) == IndicatorColumn(bucketized)
    assert Features({"x": [-1, 0.5]}).encoded(as_dense(bucketized)).tolist() == [
        [1, 0, 0],
        [0, 1, 0],
    ]
    numbers = numeric_column("x")
    assert as_dense(numbers) is numbers


@given(st.lists(st.lists(st.integers(0, 3), max_size=5), max_size=6))
def test_counts_of_ids(rows: list[list[int]]) -> None:
    offsets = torch.tensor([0, *map(len, rows)]).cumsum(0)
    ids = Ids(torch.tensor([id for row in rows for id in row], dtype=torch.int64), offsets)
    want = [[float(row.count(id)) for id in range(4)] for row in rows]
    assert multi_hot(ids, 4).tolist() == want


def test_the_name_and_the_width() -> None:
    column = indicator_column(IDENTITY)
    assert (column.name, column.feature_keys, column.width) == ("i_indicator", ("i",), 3)
    assert column == IndicatorColumn(categorical_column=IDENTITY)


def test_a_column_that_is_not_categorical() -> None:
    with pytest.raises(
        ValueError,
        match=r"^categorical_column is 'x' \(NumericColumn\): give a categorical column, such as one made by "
        r"categorical_column_with_vocabulary_list\.$",
    ):
        indicator_column(numeric_column("x"))  # type: ignore[arg-type]


def test_a_sequence_outside_of_sequence_features() -> None:
    column = indicator_column(sequence_categorical_column_with_identity("i", 3))
    with pytest.raises(
        ValueError,
        match=r"^Column 'i_indicator' is a sequence column: give it to SequenceFeatures, or make it of a "
        r"categorical column that is not a sequence column\.$",
    ):
        encode(column, i=[[1, 2]])
