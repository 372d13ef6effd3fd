"""RegressionHead, against what TensorFlow computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference_arrays import params, read
from reference_heads import assert_as_tensorflow

from torchest.columns.numeric import numeric_column
from torchest.heads import RegressionHead

CASES = [
    case for case in read("heads_regression_multi")["cases"] if case["head"] == "RegressionHead"
]
LOGITS = torch.tensor([[1.0], [3.0]])


@pytest.mark.parametrize("case", params(CASES))
def test_loss_metrics_and_predictions_as_tensorflow(case):
    assert_as_tensorflow(case)


def test_the_loss_is_of_logits_and_the_predictions_are_linked():
    head = RegressionHead(inverse_link_fn=torch.exp)
    assert head.loss([2.0, 5.0], LOGITS).item() == pytest.approx((1 + 4) / 2)
    assert torch.equal(head.predictions(LOGITS)["predictions"], LOGITS.exp())
    actual = head.update_metrics(head.metrics(), {}, LOGITS, [2.0, 5.0])
    assert actual["prediction/mean"].compute().item() == pytest.approx(LOGITS.exp().mean().item())


def test_weights_from_a_numeric_column():
    column = numeric_column("w", normalizer_fn=lambda w: w * 2)
    head = RegressionHead(weight_column=column, loss_reduction="sum")
    loss = head.loss([2.0, 5.0], LOGITS, {"w": np.array([1.0, 0.5])})
    assert loss.item() == pytest.approx(2 * 1 + 1 * 4)


def test_no_rows_lose_zero():
    logits = torch.zeros(0, 2, requires_grad=True)
    head = RegressionHead(2)
    loss = head.loss(torch.zeros(0, 2), logits)
    loss.backward()
    assert loss.item() == 0
    nothing = head.update_metrics(head.metrics(), {}, logits, torch.zeros(0, 2))
    assert all(metric.compute().item() == 0 for metric in nothing.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label_dimension": 0}, r"label_dimension=0 must be a whole number of at least 1"),
        ({"label_dimension": 1.5}, r"label_dimension=1.5 must be a whole number"),
        ({"inverse_link_fn": "exp"}, r"inverse_link_fn='exp' must be a function of logits"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RegressionHead(**arguments)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2), r"labels have shape \[2\].*must be \[2, 2\]\.$"),
        (torch.zeros(2, 1), r"labels have shape \[2, 1\].*must be \[2, 2\]\.$"),
        (["a", "b"], r"labels are strings such as 'a', and RegressionHead"),
    ],
)
def test_wrong_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        RegressionHead(2).loss(labels, torch.zeros(2, 2))


def test_a_loss_fn_must_give_a_loss_per_label():
    head = RegressionHead(2, loss_fn=lambda labels, logits: logits.mean(1, keepdim=True))
    with pytest.raises(ValueError, match=r"shape \[2, 1\]; it must return .* of shape \[2, 2\]"):
        head.loss(torch.zeros(2, 2), torch.zeros(2, 2))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_logits_of_half_precision_are_taken_as_float32(half):
    head, logits = RegressionHead(), torch.zeros(1, 1, dtype=half)
    loss = head.loss(
        torch.tensor([1001.0]), logits
    )  # bfloat16 has no 1001, float16 no square of it
    assert loss.dtype == torch.float32
    assert loss.item() == 1001.0**2
    predicted = head.predictions(logits)["predictions"]
    assert predicted.dtype == torch.float32
    actual = head.update_metrics(head.metrics(), {}, logits, torch.tensor([1001.0]))
    assert actual["label/mean"].compute().item() == 1001
