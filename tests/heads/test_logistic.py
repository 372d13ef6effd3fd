"""LogisticRegressionHead, against what TensorFlow computes."""

from __future__ import annotations

import pytest
import torch
from reference_arrays import params, read
from reference_heads import assert_as_tensorflow

from torchest.heads import BinaryClassHead, LogisticRegressionHead

CASES = [
    case
    for case in read("heads_regression_multi")["cases"]
    if case["head"] == "LogisticRegressionHead"
]


@pytest.mark.parametrize("case", params(CASES))
def test_loss_metrics_and_predictions_as_tensorflow(case):
    assert_as_tensorflow(case)


def test_the_loss_is_that_of_two_classes():
    labels, logits = [0.0, 0.25, 1.0], torch.tensor([[0.5], [-1.0], [2.0]])
    expected = BinaryClassHead().loss(labels, logits)
    assert torch.equal(LogisticRegressionHead().loss(labels, logits), expected)


@pytest.mark.parametrize("label", [-0.5, 1.5])
def test_labels_that_are_no_probabilities(label):
    with pytest.raises(ValueError, match=rf"found {label} in 1 of 2 labels"):
        LogisticRegressionHead().loss([0.5, label], torch.zeros(2, 1))
