"""Adapts metrics of the torchmetrics package to `torchest.metrics`.

def model_fn(features, labels, mode):
    ...
    f1 = torchmetrics.classification.BinaryF1Score()
    f1.update(output, labels)                                  # with this batch only
    return torchest.EstimatorSpec(mode, loss=loss, eval_metric_ops={"f1": f1})
"""

from __future__ import annotations

from typing import Any

_METHODS = ("update", "compute", "reset", "clone", "merge_state")


class TorchMetric:
    """The state of a torchmetrics metric after some batches.

    Args:
        metric: The metric, which must not be used elsewhere.
    """

    def __init__(self, metric: Any) -> None:
        self._metric = metric

    @classmethod
    def of_batch(cls, metric: Any) -> TorchMetric:
        """Moves the state out of a metric that was updated with one batch, and resets the metric."""
        taken = cls(metric.clone())
        metric.reset()
        return taken

    def merge(self, other: TorchMetric) -> TorchMetric:
        """The metric of both sets of batches."""
        merged = self._metric.clone()
        merged.merge_state(other._metric)
        return TorchMetric(merged)

    def compute(self) -> object:
        """The value of the metric, a scalar tensor."""
        return self._metric.compute()


def is_torch_metric(value: object) -> bool:
    """Whether a value has the methods of a torchmetrics metric."""
    return all(callable(getattr(value, name, None)) for name in _METHODS)
