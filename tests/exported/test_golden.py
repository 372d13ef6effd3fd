"""Arrays as JSON, and what counts as a difference."""

from __future__ import annotations

import json

import numpy as np
import pytest

from torchest.exported.golden import array_of_json, array_to_json, difference, verify


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, np.nan], [np.inf, -np.inf]], np.float32),
        np.array([0.1, 1e300]),
        np.array([2**53 + 1, -1]),
        np.zeros((0, 3), np.int32),
        np.array([["a", "日本"], ["", "\n"]], object),
        np.array([True, False]),
    ],
)
def test_an_array_comes_back(array):
    actual = array_of_json(json.loads(json.dumps(array_to_json(array), allow_nan=False)))
    assert actual.dtype == array.dtype
    assert actual.shape == array.shape
    np.testing.assert_array_equal(actual, array)


def test_bytes_are_written_as_text():
    assert array_to_json(np.array([b"a"], object))["values"] == ["a"]


@pytest.mark.parametrize(
    ("expected", "actual", "words"),
    [
        (np.float32([1.0]), np.float32([1.000001]), None),
        (np.float32([np.nan]), np.float32([np.nan]), None),
        (np.float32([1.0]), np.float32([1.0001]), "instead of np.float32(1.0) in row 0"),
        (np.float32([1.0]), np.float64([1.0]), "has dtype float64 instead of float32"),
        (np.array([1, 2]), np.array([1, 3]), "in row 1"),
        (np.array([1]), np.array([[1]]), r"has shape [1, 1] instead of [1]"),
        (np.array([b"a"], object), np.array(["a"], object), None),
        (np.array([b"a"], object), np.array(["b"], object), "is 'b' instead of b'a' in row 0"),
    ],
)
def test_differences(expected, actual, words):
    differs = difference(expected, actual)
    assert differs is words is None or words in differs


def test_what_cannot_be_verified(tmp_path):
    with pytest.raises(ValueError, match=r"is not an exported model: it has no signatures\.json"):
        verify(tmp_path)
    (tmp_path / "signatures.json").write_text("{}")
    (tmp_path / "golden.json").write_text("{}")
    with pytest.raises(ValueError, match=r"has no model\.onnx: export it with formats="):
        verify(tmp_path)
