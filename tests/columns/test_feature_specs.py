"""FixedLenFeature and VarLenFeature: what they take, and what they refuse."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature, dtype_name


@pytest.mark.parametrize(
    ("written", "dtype"),
    [
        (torch.float32, torch.float32),
        ("float32", torch.float32),
        (np.int64, torch.int64),
        (np.dtype("int64"), torch.int64),
        (str, str),
        ("string", str),
        (bytes, bytes),
    ],
)
def test_dtype_may_be_written_in_many_ways(written, dtype):
    assert VarLenFeature(written).dtype == dtype
    assert FixedLenFeature((), written).dtype == dtype


def test_specs_are_compared_and_hashed_by_content():
    listed = FixedLenFeature([2], "float32", [1, 2])
    array = FixedLenFeature(np.array([2]), torch.float32, np.array([1.0, 2.0]))

    assert listed == array
    assert hash(listed) == hash(array)
    assert listed != FixedLenFeature([2], "float32", [1, 3])
    assert VarLenFeature(str) != VarLenFeature(bytes)


@pytest.mark.parametrize(("shape", "size"), [((), 1), (3, 3), ([2, 3], 6), (torch.Size([4]), 4)])
def test_size_is_the_product_of_the_shape(shape, size):
    assert FixedLenFeature(shape, torch.float32).size == size


def test_dtypes_are_shown_as_they_are_written():
    shown = [dtype_name(dtype) for dtype in (torch.float32, str)]
    assert shown == ["torch.float32", "str"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((), None), TypeError, "dtype is None: give torch.float32, torch.int64, str or bytes."),
        (((), "flaot32"), TypeError, "dtype is 'flaot32': give torch.float32"),
        (((None, 2), torch.float32), TypeError, "shape is (None, 2): give integers; for any"),
        (((2.0,), torch.float32), TypeError, "shape is (2.0,): give integers"),
        (((0,), torch.float32), ValueError, "shape is (0,): give dimensions of at least 1."),
        (((-1,), torch.float32), ValueError, "shape is (-1,): give dimensions of at least 1."),
        (
            ((2,), torch.float32, [1.0]),
            ValueError,
            "default_value is [1.0], of shape (1,): give one",
        ),
        (((2,), torch.float32, [1.0, [2.0]]), ValueError, "default_value is [1.0, [2.0]]"),
        (((), torch.int64, 1.5), ValueError, "default_value is 1.5: give values of the dtype"),
        (((), torch.float32, "a"), ValueError, "default_value is 'a': give values of the dtype"),
        (((), str, 1), ValueError, "default_value is 1: give values of the dtype str."),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        FixedLenFeature(*arguments)
