from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest.columns.bucketized import BucketizedColumn, bucketized_column
from torchest.columns.categorical import categorical_column_with_identity
from torchest.columns.features import Features
from torchest.columns.numeric import numeric_column

X = numeric_column("x")


def encode(column: BucketizedColumn, value: Any) -> Any:
    return Features({"x": value}).encoded(column)


def test_a_number_on_a_boundary_is_above_it() -> None:
    # bucketized_column(numeric_column('x'), [0., 1., 2.5]) in TensorFlow 2.15.1
    column = bucketized_column(X, [0.0, 1.0, 2.5])
    got = encode(column, [-1.0, 0.0, 0.5, 1.0, 2.5, 3.0, np.inf, -np.inf])
    assert got.values.tolist() == [0, 1, 1, 2, 3, 3, 3, 0]
    assert got.offsets is None
    assert column.num_buckets == 4


def test_boundaries_are_compared_in_float32() -> None:
    got = encode(bucketized_column(X, [0.1, 16777217]), [0.1, 0.0999, 16777216, 16777218])
    assert got.values.tolist() == [1, 0, 2, 2]
    wide = bucketized_column(numeric_column("x", dtype=torch.float64), [0.1])
    assert encode(wide, np.array([0.1, 0.1 - 1e-12])).values.tolist() == [1, 1]


def test_each_place_of_a_vector_has_buckets_of_its_own() -> None:
    column = bucketized_column(numeric_column("x", shape=2), [0, 1])
    got = encode(column, [[-1.0, 0.0], [1.0, 0.5]])
    assert got.values.tolist() == [0, 4, 2, 4]
    assert got.offsets.tolist() == [0, 2, 4]
    assert column.num_buckets == 6


def test_the_sources_default_and_normalizer_come_first() -> None:
    source = numeric_column("x", default_value=0.1, normalizer_fn=lambda x: x * 10)
    assert encode(bucketized_column(source, [5.0]), [0.1, 0.6, None]).values.tolist() == [0, 1, 0]


def test_a_missing_number_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^Column 'x' has no number \(NaN or null\) in 1 of 2"):
        encode(bucketized_column(X, [5.0]), [0.1, None])


@given(
    st.lists(st.integers(-50, 50), min_size=1, unique=True).map(sorted),
    st.lists(st.integers(-60, 60), min_size=1, max_size=20),
)
def test_the_bucket_is_the_number_of_boundaries_that_are_not_above(
    boundaries: list[int], numbers: list[int]
) -> None:
    got = encode(bucketized_column(X, boundaries), numbers).values.tolist()
    assert got == [sum(boundary <= number for boundary in boundaries) for number in numbers]


def test_the_name_and_the_fields() -> None:
    column = bucketized_column(X, (1, 2.5))
    assert column.name == "x_bucketized"
    assert column.feature_keys == ("x",)
    assert column == BucketizedColumn(source_column=X, boundaries=(1, 2.5))
    assert bucketized_column(X, np.array([1.0, 2.5])) == column


@pytest.mark.parametrize(
    ("source", "boundaries", "message"),
    [
        ("x", [1], "source_column is 'x': give a column made by numeric_column."),
        (
            numeric_column("x", (2, 2)),
            [1],
            "source_column 'x' has the shape (2, 2): give a column of one number a row, or of a vector.",
        ),
        (X, [], "boundaries of the bucketized column of 'x' are empty: give at least one number."),
        (X, 1, "boundaries of the bucketized column of 'x' are 1: give a list of numbers."),
        (X, "12", "boundaries of the bucketized column of 'x' are '12': give a list of numbers."),
        (X, ["a"], "boundaries of the bucketized column of 'x' have 'a': give numbers."),
        (X, [np.nan], "boundaries of the bucketized column of 'x' have nan: give numbers."),
        (
            X,
            [2, 1],
            "boundaries of the bucketized column of 'x' have 2 before 1: each must be above the one before.",
        ),
        (
            X,
            [1, 1.0],
            "boundaries of the bucketized column of 'x' have 1 before 1.0: each must be above the one "
            "before.",
        ),
    ],
)
def test_wrong_arguments(source: Any, boundaries: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bucketized_column(source, boundaries)


def test_a_categorical_source() -> None:
    with pytest.raises(ValueError, match=r"give a column made by numeric_column\.$"):
        bucketized_column(categorical_column_with_identity("x", 3), [1])  # type: ignore[arg-type]
