"""Metrics of how often positives and negatives, or classes, are told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.metrics import values as metric_values
from torchest.metrics.arguments import matched
from torchest.metrics.counts import (
    SENSITIVITY,
    SPECIFICITY,
    AtOperatingPoint,
    MeanIoU,
    MeanRatio,
    Ratio,
    Total,
)
from torchest.utils.checks import listed, number, shown, whole_number
from torchest.utils.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.metrics.arguments import Numbers

    Counts = tuple[Tensor, Tensor, Tensor, Tensor]


def true_positives(labels: Numbers, predictions: Numbers, weights: Numbers | None = None) -> Total:
    """The weight of the positives that are predicted positive.

    Args:
        labels: 0 for negative; anything else is positive. Of any shape.
        predictions: Likewise, of the shape of `labels`.
        weights: See `mean`.

    Raises:
        ValueError: As for `mean`.

    >>> true_positives([1, 1, 0, 0], [1, 0, 1, 0], weights=[2.0, 1.0, 1.0, 1.0]).compute()
    tensor(2.)
    """
    return Total(_count("true_positives", labels, predictions, weights, (True, True)))


def false_positives(labels: Numbers, predictions: Numbers, weights: Numbers | None = None) -> Total:
    """The weight of the negatives that are predicted positive. For the arguments see `true_positives`."""
    return Total(_count("false_positives", labels, predictions, weights, (False, True)))


def true_negatives(labels: Numbers, predictions: Numbers, weights: Numbers | None = None) -> Total:
    """The weight of the negatives that are predicted negative. For the arguments see `true_positives`."""
    return Total(_count("true_negatives", labels, predictions, weights, (False, False)))


def false_negatives(labels: Numbers, predictions: Numbers, weights: Numbers | None = None) -> Total:
    """The weight of the positives that are predicted negative. For the arguments see `true_positives`."""
    return Total(_count("false_negatives", labels, predictions, weights, (True, False)))


def true_positives_at_thresholds(
    labels: Numbers,
    predictions: Numbers,
    thresholds: Sequence[float],
    weights: Numbers | None = None,
) -> Total:
    """The weight of the positives whose prediction is above each threshold.

    Args:
        labels: 0 for negative; anything else is positive. Of any shape.
        predictions: Probabilities or other numbers, of the shape of `labels`.
        thresholds: The thresholds. The metric has a value for each.
        weights: See `mean`.

    Raises:
        ValueError: As for `mean`; or a threshold is not a finite number, or there is none.

    >>> true_positives_at_thresholds([1, 1, 0], [0.9, 0.4, 0.6], thresholds=[0.3, 0.5]).compute()
    tensor([2., 1.])
    """
    counts = _at_thresholds(
        "true_positives_at_thresholds", labels, predictions, thresholds, weights
    )
    return Total(counts[0])


def false_positives_at_thresholds(
    labels: Numbers,
    predictions: Numbers,
    thresholds: Sequence[float],
    weights: Numbers | None = None,
) -> Total:
    """The weight of the negatives whose prediction is above each threshold; see `true_positives_at_thresholds`."""
    counts = _at_thresholds(
        "false_positives_at_thresholds", labels, predictions, thresholds, weights
    )
    return Total(counts[1])


def true_negatives_at_thresholds(
    labels: Numbers,
    predictions: Numbers,
    thresholds: Sequence[float],
    weights: Numbers | None = None,
) -> Total:
    """The weight of the negatives whose prediction is not above each threshold; see `true_positives_at_thresholds`."""
    counts = _at_thresholds(
        "true_negatives_at_thresholds", labels, predictions, thresholds, weights
    )
    return Total(counts[2])


def false_negatives_at_thresholds(
    labels: Numbers,
    predictions: Numbers,
    thresholds: Sequence[float],
    weights: Numbers | None = None,
) -> Total:
    """The weight of the positives whose prediction is not above each threshold; see `true_positives_at_thresholds`."""
    counts = _at_thresholds(
        "false_negatives_at_thresholds", labels, predictions, thresholds, weights
    )
    return Total(counts[3])


def precision_at_thresholds(
    labels: Numbers,
    predictions: Numbers,
    thresholds: Sequence[float],
    weights: Numbers | None = None,
) -> Ratio:
    """The share of positives among the examples above each threshold; see `true_positives_at_thresholds`.

    >>> precision_at_thresholds([1, 1, 0], [0.9, 0.4, 0.6], thresholds=[0.5, 0.7]).compute()
    tensor([0.5000, 1.0000])
    """
    name = "precision_at_thresholds"
    hits, false_alarms, _, _ = _at_thresholds(name, labels, predictions, thresholds, weights)
    return Ratio(torch.stack([hits, hits + false_alarms]))


def recall_at_thresholds(
    labels: Numbers,
    predictions: Numbers,
    thresholds: Sequence[float],
    weights: Numbers | None = None,
) -> Ratio:
    """The share of the positives that are above each threshold; see `true_positives_at_thresholds`."""
    name = "recall_at_thresholds"
    hits, _, _, misses = _at_thresholds(name, labels, predictions, thresholds, weights)
    return Ratio(torch.stack([hits, hits + misses]))


def sensitivity_at_specificity(
    labels: Numbers,
    predictions: Numbers,
    specificity: float,
    weights: Numbers | None = None,
    num_thresholds: int = 200,
) -> AtOperatingPoint:
    """The share of the positives that are above the threshold where the specificity is nearest to a value.

    The specificity is the share of the negatives that are not above it.

    Args:
        labels: 0 for negative; anything else is positive.
        predictions: From 0 to 1, of the shape of `labels`.
        specificity: The value, from 0 to 1.
        weights: See `mean`.
        num_thresholds: The number of thresholds to choose from, at least 2.

    Raises:
        ValueError: As for `mean`; or `specificity` or `num_thresholds` is out of range.

    >>> sensitivity_at_specificity([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9], specificity=0.5).compute()
    tensor(1.)
    """
    other = number("specificity", specificity, at_least=0, at_most=1)
    count = whole_number("num_thresholds", num_thresholds, at_least=2)
    parts = matched("sensitivity_at_specificity", labels, predictions, weights)
    counted = metric_values.auc(*parts, num_thresholds=count)
    return AtOperatingPoint(counted.statistics, SENSITIVITY, other)


def specificity_at_sensitivity(
    labels: Numbers,
    predictions: Numbers,
    sensitivity: float,
    weights: Numbers | None = None,
    num_thresholds: int = 200,
) -> AtOperatingPoint:
    """The share of the negatives that are not above the threshold where the sensitivity is nearest to a value.

    The sensitivity is the share of the positives that are above it.

    Args:
        labels: 0 for negative; anything else is positive.
        predictions: From 0 to 1, of the shape of `labels`. As in TensorFlow, a prediction of 1 is above all thresholds.
        sensitivity: The value, from 0 to 1.
        weights: See `mean`.
        num_thresholds: The number of thresholds to choose from, at least 2.

    Raises:
        ValueError: As for `mean`; or `sensitivity` or `num_thresholds` is out of range.

    >>> specificity_at_sensitivity([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9], sensitivity=1.0).compute()
    tensor(0.5000)
    """
    other = number("sensitivity", sensitivity, at_least=0, at_most=1)
    count = whole_number("num_thresholds", num_thresholds, at_least=2)
    labels, predictions, weights = matched(
        "specificity_at_sensitivity", labels, predictions, weights
    )
    is_one = predictions.float() > 1 - 1e-7
    highest = torch.where(is_one, predictions + 1, predictions)
    counted = metric_values.auc(labels, highest, weights, num_thresholds=count)
    return AtOperatingPoint(counted.statistics, SPECIFICITY, other)


def mean_iou(
    labels: Numbers, predictions: Numbers, num_classes: int, weights: Numbers | None = None
) -> MeanIoU:
    """The mean over classes of intersection over union.

    That is the weight of the examples that are labelled and predicted as a class, over the weight of those that are
    either. Classes that are neither do not count.

    Args:
        labels: Class ids from 0 to num_classes − 1, of any shape.
        predictions: Class ids of the shape of `labels`.
        num_classes: The number of classes.
        weights: See `mean`.

    Raises:
        ValueError: As for `mean`; or a class id is out of range. On a GPU or a TPU, the metric is then NaN.

    >>> mean_iou([0, 1, 1], [0, 1, 0], num_classes=2).compute()
    tensor(0.5000)
    """
    count = whole_number("num_classes", num_classes, at_least=1)
    labels, predictions, weights = _of_classes("mean_iou", labels, predictions, count, weights)
    sums = torch.zeros(count * count, dtype=torch.float64, device=labels.device)
    sums.index_add_(0, labels * count + predictions, weights)
    return MeanIoU(sums.reshape(count, count))


def mean_per_class_accuracy(
    labels: Numbers, predictions: Numbers, num_classes: int, weights: Numbers | None = None
) -> MeanRatio:
    """The mean over classes of the share of the examples of a class that are predicted as such.

    As in TensorFlow, a class without examples counts as 0. For the arguments see `mean_iou`.

    >>> mean_per_class_accuracy([0, 1, 1, 1], [0, 1, 0, 0], num_classes=2).compute()
    tensor(0.6667)
    """
    count = whole_number("num_classes", num_classes, at_least=1)
    parts = _of_classes("mean_per_class_accuracy", labels, predictions, count, weights)
    labels, predictions, weights = parts
    sums = torch.zeros(2, count, dtype=torch.float64, device=labels.device)
    sums[0].index_add_(0, labels, weights * (labels == predictions))
    sums[1].index_add_(0, labels, weights)
    return MeanRatio(sums)


def _count(
    metric: str,
    labels: Numbers,
    predictions: Numbers,
    weights: Numbers | None,
    wanted: tuple[bool, bool],
) -> Tensor:
    """The weight of the examples that are labelled, and predicted, as wanted."""
    labels, predictions, weights = matched(metric, labels, predictions, weights)
    label, prediction = wanted
    chosen = ((labels != 0) == label) & ((predictions != 0) == prediction)
    return _spread(weights, labels).mul(chosen).sum()


def _at_thresholds(
    metric: str,
    labels: Numbers,
    predictions: Numbers,
    thresholds: Sequence[float],
    weights: Numbers | None,
) -> Counts:
    """The weights of true positives, false positives, true negatives and false negatives, each [thresholds]."""
    limits = [number("thresholds", limit) for limit in listed("thresholds", thresholds, "numbers")]
    if not limits:
        raise ValueError(f"thresholds={shown(thresholds)} must have at least one number.")
    labels, predictions, weights = matched(metric, labels, predictions, weights)
    values, count = predictions.flatten().float(), len(limits)
    ascending, order = values.new_tensor(limits).sort()
    buckets = torch.bucketize(values, ascending)  # how many thresholds each value is above
    buckets = torch.where(values.isnan(), 0, buckets) + (labels == 0).flatten() * (count + 1)
    sums = torch.zeros(2 * (count + 1), dtype=torch.float64, device=values.device)
    sums.index_add_(0, buckets, _spread(weights, labels).flatten())
    at_least = sums.reshape(2, -1).flip(1).cumsum(1).flip(1)
    above = torch.empty_like(at_least[:, 1:])
    above[:, order] = at_least[:, 1:]
    (hits, false_alarms), (misses, correct) = above, at_least[:, :1] - above
    return hits, false_alarms, correct, misses


def _of_classes(
    metric: str, labels: Numbers, predictions: Numbers, count: int, weights: Numbers | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Flat class ids, and float64 weights."""
    labels, predictions, weights = matched(metric, labels, predictions, weights)
    spread = _spread(weights, labels).flatten()
    ids = []
    for name, classes in (("labels", labels), ("predictions", predictions)):
        flat = classes.flatten()
        right = (flat >= 0) & (flat < count) & (flat == flat.long())
        if flat.is_cpu and not is_traced() and not bool(right.all()):
            raise ValueError(
                f"{metric}: {name} has {flat[~right][0].item():g}, which is no class id from 0 to num_classes − 1 = "
                f"{count - 1}."
            )
        spread = torch.where(right, spread, torch.nan)
        ids.append(torch.where(right, flat, 0).long())
    return ids[0], ids[1], spread


def _spread(weights: Tensor | None, values: Tensor) -> Tensor:
    """float64 weights of the shape of the values."""
    if weights is None:
        return torch.ones_like(values, dtype=torch.float64)
    return weights.double().expand(values.shape)
