"""BaselineModel."""

from __future__ import annotations

import pytest
import torch

from torchest.models.baseline import BaselineModel


def test_logits_for_each_example():
    assert torch.equal(BaselineModel(2)({"x": [1.0, 2.0, 3.0]}), torch.zeros(3, 2))


def test_features_that_do_not_tell_the_number_of_examples():
    with pytest.raises(ValueError, match=r"features are empty: give at least one, which tells how"):
        BaselineModel()({})
