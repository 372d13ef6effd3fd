"""What a batch tells of its features before they are exported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from torchest.columns.features import Features
from torchest.columns.raw_features import RawFeature

LISTS = [[1], [2, 3]]
CASES: dict[str, tuple[Any, RawFeature]] = {
    "strings": (["a", "b"], RawFeature("x", "string")),
    "byte strings": (np.array([b"a", b"b"]), RawFeature("x", "string")),
    "category": (pd.Series(["a", "b"], dtype="category"), RawFeature("x", "string")),
    "a matrix of strings": (np.array([["a", "b"]], object), RawFeature("x", "string", (2,))),
    "lists of strings": ([["a"], ["b", "c"]], RawFeature("x", "string", (None,), True)),
    "Arrow lists of strings": (pa.array([["a"], []]), RawFeature("x", "string", (None,), True)),
    "integers": ([1, 2], RawFeature("x", torch.int64)),
    "integers of 32 bits": (np.array([1, 2], np.int32), RawFeature("x", torch.int32)),
    "integers with a missing one": (pa.array([1, None]), RawFeature("x", torch.int64)),
    "lists of integers": (LISTS, RawFeature("x", torch.int64, (None,), True)),
    "floats": (np.array([1.0, 2.0]), RawFeature("x", torch.float64)),
    "booleans": ([True, False], RawFeature("x", torch.bool)),
    "a matrix of numbers": (torch.zeros(2, 3), RawFeature("x", torch.float32, (3,))),
    "a column": (np.zeros((2, 1), np.float32), RawFeature("x", torch.float32, (1,))),
    "nothing but missing values": ([None, None], RawFeature("x", torch.float32)),
}


@pytest.mark.parametrize("name", CASES)
def test_dtype_and_shape(name):
    value, expected = CASES[name]
    assert RawFeature.of(Features({"x": value}), "x") == expected


def test_a_column_of_one_value_is_single_and_lists_are_not():
    assert RawFeature("x", torch.int64).is_single
    assert RawFeature("x", torch.int64, (1,)).is_single
    assert not RawFeature("x", torch.int64, (2,)).is_single
    assert not RawFeature("x", torch.int64, (None,), True).is_single


def test_a_feature_that_is_not_there():
    with pytest.raises(ValueError, match="There is no feature 'y'"):
        RawFeature.of(Features({"x": [1]}), "y")
