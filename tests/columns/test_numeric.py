from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchest.columns.features import Features
from torchest.columns.numeric import NumericColumn, numeric_column

AGE = numeric_column("age")


def encode(column: NumericColumn, value: Any) -> Tensor:
    encoded = Features({"age": value}).encoded(column)
    assert isinstance(encoded, Tensor)
    assert encoded.dtype == torch.float32
    return encoded


@pytest.mark.parametrize(
    "value",
    [
        [22, 38],
        [22.0, 38.0],
        [[22], [38]],
        np.array([22, 38], np.uint16),
        np.array([22, 38], ">f8"),
        np.array([22, 38], np.float16),
        torch.tensor([22, 38], dtype=torch.int8),
        torch.tensor([[22.0], [38.0]], dtype=torch.float64),
        pd.Series([22, 38]),
        pd.Series([22, 38], dtype="Int64"),
        pd.Series([22, 38], dtype="category"),
        pd.Series([22.0, 38.0], dtype="float32[pyarrow]"),
        pa.array([22, 38]),
        pa.chunked_array([[22.0], [38.0]]),
        pa.array([[22], [38]]),
    ],
)
def test_numbers_of_every_kind(value: Any) -> None:
    assert encode(AGE, value).tolist() == [[22.0], [38.0]]


def test_booleans_are_zero_and_one() -> None:
    assert encode(AGE, np.array([True, False])).tolist() == [[1.0], [0.0]]
    assert encode(AGE, pd.Series([True, False], dtype="boolean")).tolist() == [[1.0], [0.0]]


def test_infinities_are_numbers() -> None:
    assert encode(AGE, [np.inf, -np.inf]).tolist() == [[np.inf], [-np.inf]]


def test_a_matrix_is_one_row_of_numbers_for_each_example() -> None:
    column = numeric_column("age", shape=(2, 3))
    assert column.width == 6
    want = torch.arange(12.0).reshape(2, 6)
    assert torch.equal(encode(column, torch.arange(12).reshape(2, 2, 3)), want)
    assert torch.equal(encode(column, torch.arange(12).reshape(2, 6)), want)
    lists = pd.Series([list(range(6)), list(range(6, 12))])
    assert torch.equal(encode(column, lists), want)


def test_no_rows() -> None:
    assert encode(AGE, np.empty(0)).shape == (0, 1)
    assert encode(numeric_column("age", shape=3), np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize(
    "value",
    [
        [1.0, None, 3.0],
        [1.0, np.nan, 3.0],
        np.array([1.0, np.nan, 3.0]),
        torch.tensor([1.0, torch.nan, 3.0]),
        pd.Series([1, None, 3]),
        pd.Series([1, pd.NA, 3], dtype="Int64"),
        pa.array([1, None, 3]),
    ],
)
def test_a_missing_number_is_an_error_or_the_default(value: Any) -> None:
    with pytest.raises(
        ValueError,
        match=r"^Column 'age' has no number \(NaN or null\) in 1 of 3 rows of a batch, first in row 1: "
        r"fill them in, or give numeric_column\('age', default_value=\.\.\.\)\.$",
    ):
        encode(AGE, value)
    filled = encode(numeric_column("age", default_value=28), value)
    assert filled.tolist() == [[1.0], [28.0], [3.0]]


def test_each_place_of_a_row_has_its_own_default() -> None:
    column = numeric_column("age", shape=2, default_value=[10, 20])
    got = encode(column, np.array([[np.nan, 1.0], [2.0, np.nan], [np.nan, np.nan]]))
    assert got.tolist() == [[10.0, 1.0], [2.0, 20.0], [10.0, 20.0]]


def test_the_normalizer_gets_floats_in_the_columns_shape_after_the_default() -> None:
    seen: list[Tensor] = []

    def normalize(x: Tensor) -> Tensor:
        seen.append(x.clone())
        return (x - 1) / 2

    column = numeric_column("age", default_value=5, normalizer_fn=normalize)
    assert encode(column, [1, None, 2]).tolist() == [[0.0], [2.0], [0.5]]
    assert seen[0].tolist() == [[1.0], [5.0], [2.0]]
    assert seen[0].dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, np.int64, "int64", float])
def test_a_column_of_wide_numbers_normalizes_them_exactly(dtype: Any) -> None:
    column = numeric_column("age", dtype=dtype, normalizer_fn=lambda x: x - 2**53)
    assert encode(column, np.array([2**53 + 2, 2**53 - 1])).tolist() == [[2.0], [-1.0]]


def test_a_normalizer_that_works_in_place_leaves_the_input_alone() -> None:
    given = np.array([1.0, 2.0], np.float32)
    column = numeric_column("age", normalizer_fn=lambda x: x.mul_(10))
    assert encode(column, given).tolist() == [[10.0], [20.0]]
    assert given.tolist() == [1.0, 2.0]


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=10), st.data())
def test_the_encoding_of_a_row_does_not_depend_on_the_others(
    values: list[float], data: st.DataObject
) -> None:
    array = np.array(values, np.float32)
    before = array.copy()
    order = np.array(data.draw(st.permutations(range(len(values)))))
    column = numeric_column("age", normalizer_fn=torch.atan)
    whole = encode(column, array)
    assert torch.equal(encode(column, array[order]), whole[torch.from_numpy(order)])
    cut = data.draw(st.integers(0, len(values)))
    parts = torch.cat([encode(column, array[:cut]), encode(column, array[cut:])])
    assert torch.equal(parts, whole)
    np.testing.assert_array_equal(array, before)


def test_fields_are_those_of_tensorflow() -> None:
    column = numeric_column("age", shape=[2], default_value=1.5)
    assert column == NumericColumn("age", (2,), (1.5, 1.5), torch.float32, None)
    assert numeric_column("age", (2, 1), [[1], [2]]).default_value == ((1,), (2,))
    assert column.name == "age"
    assert column.feature_keys == ("age",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            torch.zeros(2, 3),
            "Column 'age' expects its feature in the shape [batch] or [batch, 1], but got [2, 3]: make "
            "the column with numeric_column('age', shape=(3,)), or reshape the feature.",
        ),
        (["a"], "'age' holds text such as 'a', but must hold numbers"),
        (
            np.array(["2020-01-01"], "M8[D]"),
            "'age' holds dates such as '2020-01-01', but must hold numbers",
        ),
        ([[1, 2], [3]], "'age' holds lists of 1 to 2 values"),
        (3.0, "'age' is the single value 3.0 (rank 0)"),
        (torch.eye(2).to_sparse(), "Column 'age' needs a dense tensor, not a sparse or nested one"),
    ],
)
def test_features_that_do_not_suit(value: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)):
        encode(AGE, value)


def test_the_shapes_that_a_wide_column_takes() -> None:
    with pytest.raises(
        ValueError,
        match=r"expects its feature in the shape \[batch, 2, 3\] or \[batch, 6\], but got \[4, 3\]",
    ):
        encode(numeric_column("age", shape=(2, 3)), torch.zeros(4, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": 3}, "key=3 must be a string. Give the key of a feature."),
        ({"shape": 0}, "shape of column 'age' is 0: give dimensions of at least 1."),
        ({"shape": (2, -1)}, "shape of column 'age' is (2, -1): give dimensions of at least 1."),
        (
            {"shape": 2.0},
            "shape of column 'age' is 2.0: give an integer or a tuple of integers.",
        ),
        ({"shape": "2"}, "shape of column 'age' is '2': give an integer or a tuple of integers."),
        (
            {"shape": 2, "default_value": [1, 2, 3]},
            "default_value of column 'age' has the shape (3,) and the column (2,): give one number or an "
            "array of the column's shape.",
        ),
        (
            {"default_value": "a"},
            "default_value of column 'age' is 'a': give a number, as the dtype is float32.",
        ),
        (
            {"default_value": 1.5, "dtype": torch.int32},
            "default_value of column 'age' is 1.5: give an integer, as the dtype is int32.",
        ),
        (
            {"dtype": torch.bool},
            "dtype of column 'age' is torch.bool: give a dtype of floats or integers, such as "
            "torch.float32.",
        ),
        (
            {"dtype": "string"},
            "dtype of column 'age' is 'string': give a dtype of floats or integers, such as "
            "torch.float32.",
        ),
        (
            {"normalizer_fn": 3},
            "normalizer_fn of column 'age' is 3: give a function of a tensor, such as "
            "lambda x: (x - 30) / 10.",
        ),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}$"):
        numeric_column(**{"key": "age", **arguments})


def test_normalizers_that_return_something_else() -> None:
    with pytest.raises(
        ValueError,
        match=r"^normalizer_fn of column 'age' made \[2, 2\] of \[2, 1\]: it must keep the shape\.$",
    ):
        encode(numeric_column("age", normalizer_fn=lambda x: torch.cat([x, x], 1)), [1, 2])
    with pytest.raises(TypeError, match="normalizer_fn of column 'age' returned a list"):
        encode(numeric_column("age", normalizer_fn=lambda x: x.tolist()), [1, 2])


def test_infinities_of_both_signs_are_numbers() -> None:
    given = [float("inf"), -float("inf"), 1.0]
    assert numeric_column("age").encode(Features({"age": given})).flatten().tolist() == given
