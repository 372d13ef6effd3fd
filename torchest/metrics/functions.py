"""Metrics as values: computed for each batch, merged over batches, and evaluated at the end.

    value = metrics.mean(losses) .merge(metrics.mean(more_losses))
    value.compute()                               # a scalar tensor

    torchest.EstimatorSpec(mode, loss=loss, eval_metric_ops={"mae": metrics.mean_absolute_error(y, output)})

A metric holds sums over examples, its `statistics`: those of two batches or two processes are added. Nothing here
waits for a device. A batch without rows does not change a metric, and a metric of no examples, or of examples whose
weights are all 0, is 0; those of the k best classes are then NaN, as in TensorFlow. A metric is a number or, such as
one at several thresholds, an array.

Shapes are matched as in TensorFlow: if labels and predictions differ by one last dimension of 1, it is squeezed, so
that [batch] matches [batch, 1]. Weights are one number, or broadcast to the values without a change of rank; a last
dimension of 1 may be missing or superfluous.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from torchest.metrics import values as metric_values
from torchest.metrics.arguments import matched, matched_weights, numbers_of
from torchest.metrics.counts import Ratio
from torchest.metrics.values import AUC, CURVES, SUMMATION_METHODS, MajorityShare, Mean, RootMean
from torchest.utils.checks import number, one_of, whole_number

if TYPE_CHECKING:
    from torchest.metrics.arguments import Numbers


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
    values = numbers_of("values", values)
    return metric_values.mean(values, matched_weights(weights, "values", values))


def accuracy(labels: Numbers, predictions: Numbers, weights: Numbers | None = None) -> Mean:
    """How often predictions equal labels.

    Args:
        labels: Class ids of any shape.
        predictions: Class ids of the shape of `labels`.
        weights: See `mean`.

    Raises:
        ValueError: As for `mean`.
    """
    return metric_values.accuracy(*matched("accuracy", labels, predictions, weights))


def accuracy_baseline(labels: Numbers, weights: Numbers | None = None) -> MajorityShare:
    """The accuracy of always answering the more frequent of the classes 0 and 1.

    Args:
        labels: 0 and 1, of any shape.
        weights: See `mean`.

    Raises:
        ValueError: As for `mean`.
    """
    labels = numbers_of("labels", labels)
    return metric_values.accuracy_baseline(labels, matched_weights(weights, "labels", labels))


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
    return metric_values.precision(*matched("precision", labels, predictions, weights), threshold)


def recall(
    labels: Numbers,
    predictions: Numbers,
    weights: Numbers | None = None,
    threshold: float = 0.5,
) -> Mean:
    """The share of examples predicted positive among the positives. For the arguments see `precision`."""
    threshold = number("threshold", threshold)
    return metric_values.recall(*matched("recall", labels, predictions, weights), threshold)


def binary_accuracy(
    labels: Numbers,
    predictions: Numbers,
    weights: Numbers | None = None,
    threshold: float = 0.5,
) -> Mean:
    """How often (prediction > threshold) equals the label. For the arguments see `precision`."""
    threshold = number("threshold", threshold)
    fitted = matched("binary_accuracy", labels, predictions, weights)
    return metric_values.binary_accuracy(*fitted, threshold)


def auc(
    labels: Numbers,
    predictions: Numbers,
    weights: Numbers | None = None,
    curve: str = "ROC",
    num_thresholds: int = 200,
    summation_method: str = "interpolation",
) -> AUC:
    """The area under the ROC curve or the precision-recall curve.

    Args:
        labels: 0 for negative; anything else is positive.
        predictions: From 0 to 1, of the shape of `labels`.
        weights: See `mean`.
        curve: "ROC" or "PR".
        num_thresholds: Number of thresholds that approximate the curve, at least 2.
        summation_method: "interpolation", the method of TensorFlow 2; or "trapezoidal", the default of TensorFlow 1's
            `tf.metrics.auc` and of `torchest.v1.metrics.auc`; see `AUC`.

    Raises:
        ValueError: As for `mean`; or `curve`, `num_thresholds` or `summation_method` is out of range.
    """
    curve = one_of("curve", curve, CURVES)
    num_thresholds = whole_number("num_thresholds", num_thresholds, at_least=2)
    fitted = matched("auc", labels, predictions, weights)
    method = one_of("summation_method", summation_method, SUMMATION_METHODS)
    made = metric_values.auc(*fitted, curve, num_thresholds)
    return dataclasses.replace(made, summation_method=method)


def mean_squared_error(
    labels: Numbers, predictions: Numbers, weights: Numbers | None = None
) -> Mean:
    """The mean of (prediction − label)². `predictions` have the shape of `labels`; `weights` as in `mean`."""
    fitted = matched("mean_squared_error", labels, predictions, weights)
    return metric_values.mean_squared_error(*fitted)


def mean_absolute_error(
    labels: Numbers, predictions: Numbers, weights: Numbers | None = None
) -> Mean:
    """The mean of |prediction − label|. `predictions` have the shape of `labels`; `weights` as in `mean`."""
    fitted = matched("mean_absolute_error", labels, predictions, weights)
    return metric_values.mean_absolute_error(*fitted)


def root_mean_squared_error(
    labels: Numbers, predictions: Numbers, weights: Numbers | None = None
) -> RootMean:
    """The square root of `mean_squared_error`."""
    fitted = matched("root_mean_squared_error", labels, predictions, weights)
    return metric_values.root_mean_squared_error(*fitted)


def mean_relative_error(
    labels: Numbers,
    predictions: Numbers,
    normalizer: Numbers,
    weights: Numbers | None = None,
) -> Mean:
    """The mean of |prediction − label| / normalizer, which is 0 where the normalizer is 0.

    Args:
        labels: Numbers of any shape.
        predictions: Numbers of the shape of `labels`.
        normalizer: Numbers of the shape of `labels`, such as the labels themselves.
        weights: See `mean`.

    Raises:
        ValueError: As for `mean`.

    >>> mean_relative_error([1.0, 4.0], [2.0, 3.0], normalizer=[1.0, 4.0]).compute()
    tensor(0.6250)
    """
    labels, predictions, weights = matched("mean_relative_error", labels, predictions, weights)
    divisor = numbers_of("normalizer", normalizer).to(labels.device)
    if divisor.numel() not in (1, labels.numel()):
        raise ValueError(
            f"normalizer of shape {list(divisor.shape)} does not fit labels of shape {list(labels.shape)}: give one "
            "number for each label."
        )
    is_one = divisor.numel() != labels.numel()
    divisor = divisor.reshape(() if is_one else labels.shape)
    return metric_values.mean_relative_error(labels, predictions, divisor, weights)


def mean_cosine_distance(
    labels: Numbers, predictions: Numbers, dim: int, weights: Numbers | None = None
) -> Mean:
    """The mean of 1 − Σ label · prediction over vectors of length 1.

    Args:
        labels: Vectors of length 1.
        predictions: Vectors of length 1, of the shape of `labels`.
        dim: The dimension of the vectors' components.
        weights: One for each vector, of a shape with 1 in place of `dim` or without it; see `mean`.

    Raises:
        ValueError: As for `mean`; or there is no such dimension.

    >>> mean_cosine_distance([[1.0, 0.0]], [[0.6, 0.8]], dim=1).compute()
    tensor(0.4000)
    """
    labels, predictions, _ = matched("mean_cosine_distance", labels, predictions, None)
    axis = whole_number("dim", dim, at_least=-labels.dim(), at_most=labels.dim() - 1)
    distances = 1 - (labels.double() * predictions.double()).sum(axis, keepdim=True)
    return metric_values.mean(distances, matched_weights(weights, "vectors", distances))


def mean_tensor(values: Numbers, weights: Numbers | None = None) -> Ratio:
    """The weighted mean of arrays, element by element.

    Args:
        values: Numbers or booleans, in all batches of one shape.
        weights: See `mean`.

    Raises:
        ValueError: As for `mean`.

    >>> mean_tensor([1.0, 2.0]).merge(mean_tensor([3.0, 2.0])).compute()
    tensor([2., 2.])
    """
    values = numbers_of("values", values).double()
    given = matched_weights(weights, "values", values)
    spread = torch.ones_like(values) if given is None else given.double().expand(values.shape)
    return Ratio(torch.stack([values * spread, spread]))


def percentage_below(values: Numbers, threshold: float, weights: Numbers | None = None) -> Mean:
    """The share of values below a threshold, from 0 to 1.

    Args:
        values: Numbers of any shape.
        threshold: The threshold.
        weights: See `mean`.

    Raises:
        ValueError: As for `mean`; or `threshold` is not a finite number.

    >>> percentage_below([1.0, 2.0, 3.0, 4.0], threshold=2.0).compute()
    tensor(0.2500)
    """
    values = numbers_of("values", values)
    limit = number("threshold", threshold)
    return metric_values.mean(values < limit, matched_weights(weights, "values", values))
