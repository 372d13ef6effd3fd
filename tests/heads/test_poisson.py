"""PoissonRegressionHead, against what TensorFlow computes."""

from __future__ import annotations

import pytest
import torch
from reference_arrays import params, read
from reference_heads import assert_as_tensorflow

from torchest.heads import PoissonRegressionHead

CASES = [
    case
    for case in read("heads_regression_multi")["cases"]
    if case["head"] == "PoissonRegressionHead"
]


@pytest.mark.parametrize("case", params(CASES))
def test_loss_metrics_and_predictions_as_tensorflow(case):
    assert_as_tensorflow(case)


def test_the_loss_is_least_where_the_expected_count_is_the_count():
    log_rates = torch.linspace(0.0, 3.0, 301, dtype=torch.float64)
    head = PoissonRegressionHead()
    losses = [head.loss([5.0], log_rate.reshape(1, 1)).item() for log_rate in log_rates]
    assert log_rates[losses.index(min(losses))].exp().item() == pytest.approx(5.0, rel=0.01)


def test_negative_labels():
    with pytest.raises(ValueError, match=r"counts of at least 0; found -2 in 1 of 3 labels"):
        PoissonRegressionHead().loss([1, -2, 0], torch.zeros(3, 1))
