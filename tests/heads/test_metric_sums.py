"""The metrics of a head in one pass are those that are made one by one, and add up like them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import torchest
from torchest.columns.features import Features
from torchest.heads.arguments import merged
from torchest.heads.planned_loss import planned_loss
from torchest.heads.single import Scored

LOGITS = st.one_of(st.floats(-50, 50, width=32), st.sampled_from([0.0, math.inf, -math.inf]))
WEIGHTS = st.sampled_from([0.0, 1.0, 2.5])
HEADS = {
    "binary": (torchest.BinaryClassHead(name="a"), st.sampled_from([0.0, 1.0, 0.25])),
    "classes": (torchest.MultiClassHead(3), st.integers(0, 2)),
    "numbers": (torchest.RegressionHead(2, name="b"), st.floats(-9, 9, width=32)),
    "counts": (torchest.PoissonRegressionHead(), st.integers(0, 9)),
    "shares": (torchest.LogisticRegressionHead(), st.floats(0, 1, width=32)),
}


def column(draw, strategy, rows, width, dtype):
    numbers = draw(st.lists(strategy, min_size=rows * width, max_size=rows * width))
    return torch.tensor(numbers, dtype=dtype).reshape(rows, width)


@st.composite
def batches(draw, name, dtype, is_weighted):
    head, labels = HEADS[name]
    rows = draw(st.integers(0, 12))
    logits = column(draw, LOGITS, rows, head.logits_dimension, dtype)
    width = head._label_dimension
    of_labels = column(draw, labels, rows, width, torch.int64 if name == "classes" else dtype)
    losses = column(draw, st.floats(0, 9, width=32), rows, head._losses_per_example, dtype)
    weights = column(draw, WEIGHTS, rows, draw(st.sampled_from([1, losses.shape[1]])), dtype)
    return Scored(of_labels, logits, losses, weights if is_weighted else None)


def computed(metrics):
    return {name: metric.compute().item() for name, metric in metrics.items()}


@pytest.mark.parametrize("name", HEADS)
@settings(deadline=None, max_examples=60)
@given(
    data=st.data(),
    is_weighted=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_one_pass_gives_what_single_metrics_give(name, data, is_weighted, dtype):
    head, _ = HEADS[name]
    one, other = (data.draw(batches(name, dtype, is_weighted)) for _ in range(2))

    sums = head._sums(one)
    expected = head._all_metrics(one, None)
    assert list(sums) == list(expected)
    assert computed(sums) == pytest.approx(computed(expected), abs=1e-6, nan_ok=True)
    both = merged(expected, head._all_metrics(other, None))
    added = sums.plus(head._sums(other))
    assert computed(added) == pytest.approx(computed(both), abs=1e-6, nan_ok=True)


def test_a_prediction_of_nan_is_seen():
    logits = torch.tensor([[0.3], [math.nan]])
    batch = Scored(torch.ones(2, 1), logits, torch.zeros(2, 1), None)
    head = torchest.BinaryClassHead()
    actual, expected = computed(head._sums(batch)), computed(head._all_metrics(batch, None))
    assert {name for name, value in actual.items() if math.isnan(value)} == {
        name for name, value in expected.items() if math.isnan(value)
    }
    assert math.isnan(actual["prediction/mean"])


@pytest.mark.parametrize("row", [[1.0, math.nan, 2.0], [math.nan, math.nan, 3.0], [2.0, 5.0, 5.0]])
def test_the_predicted_class_is_the_first_largest_or_nan(row):
    logits = torch.tensor([row])
    for label in range(3):
        batch = Scored(torch.tensor([[label]]), logits, torch.zeros(1, 1), None)
        is_correct = torchest.MultiClassHead(3)._sums(batch)["accuracy"].compute().item()
        assert is_correct == float(label == logits.argmax().item())


def test_losses_of_another_type_are_added():
    head = torchest.BinaryClassHead(loss_fn=lambda labels, logits: (logits - labels).double())
    loss, metrics = head._loss_and_metrics([1.0, 0.0], torch.zeros(2, 1), {}, None)
    assert loss.dtype == torch.float64
    assert metrics["average_loss"].compute() == -0.5


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size"])
@pytest.mark.parametrize("is_weighted", [True, False])
def test_compiled_losses_have_the_metrics_of_the_head(name, reduction, is_weighted):
    kinds = {"classes": {"n_classes": 3}, "numbers": {"label_dimension": 2}}
    options = {"weight_column": "w"} if is_weighted else {}
    head = type(HEADS[name][0])(**kinds.get(name, {}), loss_reduction=reduction, **options)
    random = torch.manual_seed(0)
    logits = torch.randn(6, head.logits_dimension, generator=random)
    labels = torch.randint(2, (6, head._label_dimension), generator=random)
    features = Features({"w": torch.rand(6, generator=random)})

    loss, sums = planned_loss(head).with_metrics(labels, logits.numpy(), features)
    expected, metrics = head._loss_and_metrics(labels, logits, features, None)
    assert loss == pytest.approx(expected.item(), rel=2e-6)
    assert list(sums) == list(metrics)
    assert computed(sums) == pytest.approx(computed(metrics), rel=2e-6)


@pytest.mark.parametrize(
    "labels", [torch.tensor([0, 2]), torch.tensor([0.0, math.nan]), torch.tensor([0]), [0, 1]]
)
def test_unusual_labels_are_left_to_the_head(labels):
    loss = planned_loss(torchest.BinaryClassHead())
    assert loss.with_metrics(labels, torch.zeros(2, 1).numpy(), Features({})) is None
