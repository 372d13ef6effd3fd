"""Metrics of torchmetrics as values."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch

from torchest.keys import ModeKeys
from torchest.spec import EstimatorSpec

if TYPE_CHECKING:
    from torchest.metrics.torchmetrics import TorchMetric

LOSS = torch.tensor(0.5)


class Greatest:
    """Does what a metric of torchmetrics does, as far as torchest asks it to."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.value = torch.tensor(float("-inf"))

    def update(self, values: torch.Tensor) -> None:
        self.value = torch.maximum(self.value, values.max())

    def compute(self) -> torch.Tensor:
        return self.value

    def clone(self) -> Greatest:
        return copy.deepcopy(self)

    def merge_state(self, other: Greatest) -> None:
        self.value = torch.maximum(self.value, other.value)


def values_of_batches(metric, batches) -> list[TorchMetric]:
    actual = []
    for batch in batches:
        metric.update(*batch)
        spec = EstimatorSpec(ModeKeys.EVAL, loss=LOSS, eval_metric_ops={"metric": metric})
        actual.append(spec.eval_metric_ops["metric"])
    return actual


def test_the_state_of_a_batch_becomes_a_value():
    metric = Greatest()
    first, second = values_of_batches(metric, [(torch.tensor([3.0]),), (torch.tensor([1.0]),)])
    assert (first.compute().item(), second.compute().item()) == (3.0, 1.0)
    assert metric.value.item() == float("-inf")
    both = second.merge(first)
    assert both.compute().item() == 3.0
    assert (first.compute().item(), second.compute().item()) == (3.0, 1.0)


@pytest.mark.parametrize("name", ["BinaryAccuracy", "BinaryAUROC", "BinaryF1Score"])
def test_metrics_of_torchmetrics_over_batches(name):
    torchmetrics = pytest.importorskip("torchmetrics")
    metric = getattr(torchmetrics.classification, name)
    predictions, labels = torch.rand(30), torch.randint(0, 2, (30,))
    merged, *others = values_of_batches(
        metric(), zip(predictions.split(7), labels.split(7), strict=True)
    )
    for other in others:
        merged = merged.merge(other)
    torch.testing.assert_close(merged.compute(), metric()(predictions, labels))
