"""What clients send, in the form that a model takes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from torchest.columns import FixedLenFeature, VarLenFeature
from torchest.export.inputs import Input, conform_all, feed

AGE = Input("age", "age", FixedLenFeature((1,), torch.float32, 30.0))
IDS = Input("ids", "ids", FixedLenFeature((), torch.int64))
PAIR = Input("pair", "pair", FixedLenFeature((2,), str))
TAGS = Input("tags", "tags", VarLenFeature(str))
NUMBERS = Input("numbers", "numbers", VarLenFeature(torch.int64))
WEIGHTS = Input("weights", "weights", VarLenFeature(torch.float32))


@pytest.mark.parametrize(
    "given",
    [
        [1, 2],
        [[1.0], [2.0]],
        np.array([1, 2], np.float64),
        torch.tensor([[1], [2]]),
        pa.array([1, 2]),
    ],
)
def test_numbers_have_the_shape_and_dtype_of_the_input(given):
    assert feed(AGE.conform(given)).tolist() == [[1.0], [2.0]]
    assert feed(AGE.conform(given)).dtype == np.float32


def test_missing_numbers_of_a_column_are_the_default():
    assert AGE.conform(pa.array([1.0, None])).tolist() == [[1.0], [30.0]]


def test_nothing_but_missing_numbers_is_the_default():
    assert AGE.conform([None, None]).tolist() == [[30.0], [30.0]]


def test_missing_values_of_lists_are_those_of_padding():
    large = 2**53 + 1
    given = pa.array([[large, None], None, [None]])
    for each in (given, [[large, None], None, [None]]):
        actual = feed(NUMBERS.conform(each))
        assert actual.dtype == np.int64
        assert actual.tolist() == [[large, -1], [-1, -1], [-1, -1]]
    assert feed(NUMBERS.conform([None])).tolist() == [[-1]]
    weights = feed(WEIGHTS.conform(pa.array([[1.0, None]])))
    np.testing.assert_array_equal(weights, np.array([[1.0, np.nan]], np.float32))


def test_large_ids_do_not_pass_through_floats():
    large = 2**53 + 1
    for given in ([large], np.array([large]), pa.array([large])):
        assert feed(IDS.conform(given)).tolist() == [large]
    assert feed(NUMBERS.conform([[large], []])).tolist() == [[large], [-1]]


@pytest.mark.parametrize(
    "given",
    [
        [["a", "日本"], ["", "d"]],
        np.array([["a", "日本"], ["", "d"]]),
        np.array([["a", "日本"], ["", "d"]], object),
        [[b"a", "日本".encode()], [b"", b"d"]],
        pa.array([["a", "日本"], [None, "d"]], pa.list_(pa.string(), 2)),
        pa.array([["a", "日本"], ["", "d"]]),
    ],
)
def test_text_of_every_kind(given):
    actual = feed(PAIR.conform(given))
    assert actual.tolist() == [["a", "日本"], ["", "d"]]
    assert actual.dtype == object


@pytest.mark.parametrize(
    "given", [[["a"], [], ["b", "c"]], pa.array([["a"], None, ["b", "c"]], pa.list_(pa.string()))]
)
def test_lists_are_filled_up(given):
    assert feed(TAGS.conform(given)).tolist() == [["a", ""], ["", ""], ["b", "c"]]


def test_single_values_are_lists_of_one():
    assert feed(TAGS.conform(["a", "b"])).tolist() == [["a"], ["b"]]
    assert feed(NUMBERS.conform([3, 4])).tolist() == [[3], [4]]
    assert np.isnan(feed(WEIGHTS.conform([[1.0], [0.5, 2.0]]))[0, 1])


def test_lists_without_any_value_are_of_every_kind():
    for each in (TAGS, NUMBERS, WEIGHTS):
        assert feed(each.conform([[], []])).shape == (2, 0)


def test_no_rows():
    for each in (AGE, IDS, PAIR, TAGS, NUMBERS):
        assert len(feed(each.conform([]))) == 0


@pytest.mark.parametrize(
    ("each", "given", "error", "message"),
    [
        (AGE, ["a"], TypeError, "'age' has text, but takes numbers of dtype torch.float32"),
        (TAGS, [1], TypeError, "'tags' has numbers, but takes text"),
        (IDS, [1.5], TypeError, "'ids' has values of dtype torch.float32, but takes torch.int64"),
        (NUMBERS, [[1.5]], TypeError, "'numbers' has floating values, but takes int64"),
        (AGE, [[1.0, 2.0]], ValueError, r"'age' has shape \[1, 2\], but takes \['batch', 1\]"),
        (PAIR, [["a", "b", "c"]], ValueError, r"'pair' has 3 strings in a row, but takes 2"),
        (PAIR, ["a", "b"], ValueError, r"'pair' has shape \[2\], but takes \['batch', 2\]"),
        (PAIR, [[b"\xff", b"a"]], ValueError, "'pair' has bytes that are not UTF-8 text"),
    ],
)
def test_wrong_values(each, given, error, message):
    with pytest.raises(error, match=message):
        each.conform(given)


def test_what_is_left_out_is_filled_in():
    actual = conform_all([AGE, TAGS, IDS], {"ids": [7, 8]})
    assert actual["age"].tolist() == [[30.0], [30.0]]
    assert actual["tags"].to_pylist() == [[], []]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "No input is given"),
        ({"age": [1.0]}, "Input 'ids' is missing, and has no default"),
        ({"idss": [1]}, r"There is no input 'idss'\. Did you mean 'ids'"),
        ({"ids": [1, 2], "age": [1.0]}, "'ids' has 2 rows and 'age' has 1"),
    ],
)
def test_wrong_inputs(given, message):
    with pytest.raises(ValueError, match=message):
        conform_all([AGE, IDS], given)


@pytest.mark.parametrize("each", [AGE, IDS, PAIR, TAGS, NUMBERS, WEIGHTS])
def test_an_input_comes_back_from_json(each):
    assert Input.of_json(each.to_json()) == each
