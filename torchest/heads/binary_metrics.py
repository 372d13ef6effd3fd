"""The metrics of a binary classification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest import metrics
from torchest.keys import MetricKeys

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from torchest.metrics import Metric

_THRESHOLDS = 200


def binary_metrics(
    labels: Tensor, logits: Tensor, probabilities: Tensor, weights: Tensor | None
) -> dict[str, Metric]:
    """The metrics of a batch by key.

    Args:
        labels: [batch, ..., 1], of the logits' dtype; 0 for negative, anything else is positive.
        logits: [batch, ..., 1]; one above 0 means class 1.
        probabilities: [batch, ..., 1], of class 1.
        weights: [batch, ..., 1], of the logits' dtype, or None where all examples weigh 1.
    """
    on_host = logits.device.type == "cpu" and logits.dtype in (torch.float32, torch.float64)
    return (_in_one_pass if on_host else _one_by_one)(labels, logits, probabilities, weights)


def _one_by_one(
    labels: Tensor, logits: Tensor, probabilities: Tensor, weights: Tensor | None
) -> dict[str, Metric]:
    class_ids = (logits > 0).long()
    return {
        MetricKeys.ACCURACY: metrics.accuracy(labels, class_ids, weights),
        MetricKeys.PRECISION: metrics.precision(labels, class_ids, weights),
        MetricKeys.RECALL: metrics.recall(labels, class_ids, weights),
        MetricKeys.PREDICTION_MEAN: metrics.mean(probabilities, weights),
        MetricKeys.LABEL_MEAN: metrics.mean(labels, weights),
        MetricKeys.ACCURACY_BASELINE: metrics.accuracy_baseline(labels, weights),
        MetricKeys.AUC: metrics.auc(labels, probabilities, weights, num_thresholds=_THRESHOLDS),
        MetricKeys.AUC_PR: metrics.auc(labels, probabilities, weights, "PR", _THRESHOLDS),
    }


def _in_one_pass(
    labels: Tensor, logits: Tensor, probabilities: Tensor, weights: Tensor | None
) -> dict[str, Metric]:
    """As `_one_by_one`, on the host."""
    from torchest.kernels import scores

    sums, above = np.zeros(7), np.zeros((2, _THRESHOLDS))
    scores.score(
        _array(labels),
        _array(logits),
        _array(probabilities),
        _array(labels.new_empty(0) if weights is None else weights.expand(labels.shape)),
        sums,
        above,
    )
    both = torch.from_numpy(above)
    of_pairs = torch.from_numpy(sums[[1, 0, 2, 3, 2, 4, 5, 0, 6, 0]]).reshape(5, 2).unbind()
    correct, precision, recall, predicted, labelled = of_pairs
    return {
        MetricKeys.ACCURACY: metrics.Mean(correct),
        MetricKeys.PRECISION: metrics.Mean(precision),
        MetricKeys.RECALL: metrics.Mean(recall),
        MetricKeys.PREDICTION_MEAN: metrics.Mean(predicted),
        MetricKeys.LABEL_MEAN: metrics.Mean(labelled),
        MetricKeys.ACCURACY_BASELINE: metrics.MajorityShare(labelled),
        MetricKeys.AUC: metrics.AUC(both),
        MetricKeys.AUC_PR: metrics.AUC(both, "PR"),
    }


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    return tensor.detach().reshape(-1).numpy()
