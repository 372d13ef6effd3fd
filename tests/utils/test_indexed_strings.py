"""Strings by their place in a list."""

from __future__ import annotations

import numpy as np
import torch

from torchest.utils.indexed_strings import IndexedStrings


def test_strings_are_looked_up_in_the_shape_of_the_indices():
    strings = IndexedStrings(torch.tensor([[2, 0], [1, 1]]), (b"a", b"bb", b"\xff"))
    actual = strings.numpy()
    assert actual.dtype == object
    assert actual.tolist() == [[b"\xff", b"a"], [b"bb", b"bb"]]
    assert strings.shape == actual.shape == (2, 2)
    assert len(strings) == 2


def test_no_strings():
    actual = IndexedStrings(torch.zeros(0, 1, dtype=torch.int64), (b"a",)).numpy()
    assert actual.shape == (0, 1)
    assert actual.dtype == np.dtype(object)
