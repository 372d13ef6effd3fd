"""Metrics as values: computed for each batch, merged over batches, and evaluated at the end.

    value = metrics.mean(losses) .merge(metrics.mean(more_losses))
    value.compute()                               # a scalar tensor

    torchest.EstimatorSpec(mode, loss=loss, eval_metric_ops={"mae": metrics.mean_absolute_error(y, output)})

A metric holds sums over examples, its `statistics`: those of two batches or two processes are added. Nothing here
waits for a device. A batch without rows does not change a metric, and a metric of no examples, or of examples whose
weights are all 0, is 0.

Shapes are matched as in TensorFlow: if labels and predictions differ by one last dimension of 1, it is squeezed, so
that [batch] matches [batch, 1]. Weights are one number, or broadcast to the values without a change of rank; a last
dimension of 1 may be missing or superfluous.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.metrics import values as metric_values
from torchest.metrics.values import AUC, CURVES, MajorityShare, Mean, RootMean
from torchest.utils.checks import number, one_of, shown, whole_number
from torchest.utils.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Numbers = Tensor | npt.NDArray[np.generic] | Sequence[object] | float


def mean(values: Numbers, weights: Numbers | None = None) -> Mean:
    """The weighted mean of values.

    Args:
        values: Numbers or booleans of any shape, or a number.
        weights: Weights of the values, finite numbers of at least 0, of a shape that matches `values`, see
            the module. None: 1 each.

    Raises:
        ValueError: An argument holds something else, or shapes do not match. On a GPU or a TPU, `compute`
            raises for an invalid weight.

    >>> mean(torch.tensor([1.0, 2.0])).merge(mean(torch.tensor([6.0]))).compute()
    tensor(3.)
    """
    values = _tensor("values", values)
    return metric_values.mean(values, _weights(weights, "values", values))


def accuracy(labels: Numbers, predictions: Numbers, weights: Numbers | None = None) -> Mean:
    """How often predictions equal labels.

    Args:
        labels: Class ids of any shape.
        predictions: Class ids of the shape of `labels`.
        weights: See `mean`.

    Raises:
        ValueError: As for `mean`.
    """
    return metric_values.accuracy(*_fitted("accuracy", labels, predictions, weights))


def accuracy_baseline(labels: Numbers, weights: Numbers | None = None) -> MajorityShare:
    """The accuracy of always answering the more frequent of the classes 0 and 1.

    Args:
        labels: 0 and 1, of any shape.
        weights: See `mean`.

    Raises:
        ValueError: As for `mean`.
    """
    labels = _tensor("labels", labels)
    return metric_values.accuracy_baseline(labels, _weights(weights, "labels", labels))


def precision(
    labels: Numbers,
    predictions: Numbers,
    weights: Numbers | None = None,
    threshold: float = 0.5,
) -> Mean:
    """The share of positives among the examples predicted positive: those above the threshold.

    Args:
        labels: 0 for negative; anything else is positive.
        predictions: Probabilities or class ids, of the shape of `labels`.
        weights: See `mean`.
        threshold: A prediction above it is positive.

    Raises:
        ValueError: As for `mean`; or `threshold` is not a finite number.
    """
    threshold = number("threshold", threshold)
    return metric_values.precision(*_fitted("precision", labels, predictions, weights), threshold)


def recall(
    labels: Numbers,
    predictions: Numbers,
    weights: Numbers | None = None,
    threshold: float = 0.5,
) -> Mean:
    """The share of examples predicted positive among the positives. For the arguments see `precision`."""
    threshold = number("threshold", threshold)
    return metric_values.recall(*_fitted("recall", labels, predictions, weights), threshold)


def binary_accuracy(
    labels: Numbers,
    predictions: Numbers,
    weights: Numbers | None = None,
    threshold: float = 0.5,
) -> Mean:
    """How often (prediction > threshold) equals the label. For the arguments see `precision`."""
    threshold = number("threshold", threshold)
    fitted = _fitted("binary_accuracy", labels, predictions, weights)
    return metric_values.binary_accuracy(*fitted, threshold)


def auc(
    labels: Numbers,
    predictions: Numbers,
    weights: Numbers | None = None,
    curve: str = "ROC",
    num_thresholds: int = 200,
) -> AUC:
    """The area under the ROC curve or the precision-recall curve.

    Args:
        labels: 0 for negative; anything else is positive.
        predictions: From 0 to 1, of the shape of `labels`.
        weights: See `mean`.
        curve: "ROC" or "PR".
        num_thresholds: Number of thresholds that approximate the curve, at least 2.

    Raises:
        ValueError: As for `mean`; or `curve` or `num_thresholds` is out of range.
    """
    curve = one_of("curve", curve, CURVES)
    num_thresholds = whole_number("num_thresholds", num_thresholds, at_least=2)
    fitted = _fitted("auc", labels, predictions, weights)
    return metric_values.auc(*fitted, curve, num_thresholds)


def mean_squared_error(
    labels: Numbers, predictions: Numbers, weights: Numbers | None = None
) -> Mean:
    """The mean of (prediction − label)². `predictions` have the shape of `labels`; `weights` as in `mean`."""
    fitted = _fitted("mean_squared_error", labels, predictions, weights)
    return metric_values.mean_squared_error(*fitted)


def mean_absolute_error(
    labels: Numbers, predictions: Numbers, weights: Numbers | None = None
) -> Mean:
    """The mean of |prediction − label|. `predictions` have the shape of `labels`; `weights` as in `mean`."""
    fitted = _fitted("mean_absolute_error", labels, predictions, weights)
    return metric_values.mean_absolute_error(*fitted)


def root_mean_squared_error(
    labels: Numbers, predictions: Numbers, weights: Numbers | None = None
) -> RootMean:
    """The square root of `mean_squared_error`."""
    fitted = _fitted("root_mean_squared_error", labels, predictions, weights)
    return metric_values.root_mean_squared_error(*fitted)


def _fitted(
    metric: str, labels: Numbers, predictions: Numbers, weights: Numbers | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Labels and predictions of one shape, and weights that broadcast to it."""
    labels, predictions = _tensor("labels", labels), _tensor("predictions", predictions)
    if labels.shape != predictions.shape:
        shapes = f"labels of shape {list(labels.shape)} and predictions of shape {list(predictions.shape)}"
        if labels.shape == (*predictions.shape, 1):
            labels = labels.squeeze(-1)
        elif predictions.shape == (*labels.shape, 1):
            predictions = predictions.squeeze(-1)
        else:
            raise ValueError(
                f"{metric}: {shapes} must have the same shape, or differ only in a last dimension of 1: reshape one of "
                "them."
            )
    return labels, predictions, _weights(weights, "labels and predictions", labels)


def _tensor(argument: str, value: object) -> Tensor:
    """The value as a tensor of real numbers, without a gradient."""
    if isinstance(value, Tensor):
        tensor = value
    else:
        try:
            tensor = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError, LookupError, OverflowError):
            raise ValueError(
                f"{argument}={shown(value)} must be a tensor of numbers, or numbers that make one."
            ) from None
    if tensor.is_complex() or tensor.layout is not torch.strided:
        what = "complex numbers" if tensor.is_complex() else "a sparse tensor"
        raise ValueError(
            f"{argument}={shown(value)} must be a dense tensor of real numbers, not {what}."
        )
    return tensor.detach()


def _weights(weights: Numbers | None, what: str, values: Tensor) -> Tensor | None:
    """Weights that broadcast to the values, checked unless that would wait for a device.

    Args:
        weights: The user's weights.
        what: Name of the values in messages.
        values: The values to weight.
    """
    if weights is None:
        return None
    tensor = _tensor("weights", weights)
    shape = tensor.shape
    if tensor.dim() == values.dim() + 1 and shape[-1] == 1:
        tensor = tensor.squeeze(-1)
    elif 0 < tensor.dim() == values.dim() - 1:
        tensor = tensor.unsqueeze(-1)
    fits = tensor.dim() == values.dim() and all(
        own in (1, size) for own, size in zip(tensor.shape, values.shape, strict=True)
    )
    if tensor.dim() and not fits:
        raise ValueError(
            f"weights={shown(weights)} of shape {list(shape)} do not fit {what} of shape {list(values.shape)}: "
            "give one weight per value, or a shape that broadcasts to it."
        )
    return _in_range(tensor).to(values.device, non_blocking=True)


def _in_range(weights: Tensor) -> Tensor:
    """Finite weights of at least 0; if a check would wait for the device, others become NaN instead."""
    if not weights.is_cpu or is_traced():
        return torch.where((weights >= 0) & (weights < math.inf), weights.double(), math.nan)
    if weights.numel():
        least, most = torch.aminmax(weights)
        if not (least.item() >= 0 and most.item() < math.inf):  # so for NaN, too
            wrong = weights[~((weights >= 0) & (weights < math.inf))]
            raise ValueError(
                f"weights has {wrong[0].item():g}; found {len(wrong)} such among {weights.numel()}. Weights must be "
                "finite numbers of at least 0."
            )
    return weights
