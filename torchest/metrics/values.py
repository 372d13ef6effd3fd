"""Metric values, and metrics of tensors that have been checked.

The functions of `torchest.metrics` check their arguments and match shapes; heads, which check labels, logits and
weights themselves, call the functions here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from torchest.utils.checks import one_of, shown, whole_number
from torchest.utils.tracing import is_traced

CURVES = ("ROC", "PR")
SUMMATION_METHODS = ("interpolation", "trapezoidal")
_EPSILON = 1e-6  # of TensorFlow 1
WRONG_WEIGHT = "negative, infinite or NaN"
# On these devices a check of the weights would wait: invalid ones become NaN, and their sum is checked at the end.
_WAITED_FOR = ("cuda", "xla")

SomeMetric = TypeVar("SomeMetric", bound="Metric")


@dataclass(frozen=True, eq=False)
class Metric(ABC):
    """A metric of the examples seen so far.

    To make a metric of your own, derive from this class, build `statistics` from a batch in a function,
    and write `compute`.

    Attributes:
        statistics: float64; sums over examples, so that those of two sets of examples add up.
    """

    statistics: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.statistics, Tensor):
            raise ValueError(
                f"{type(self).__name__}: statistics={shown(self.statistics)} must be a tensor of sums."
            )

    @abstractmethod
    def compute(self) -> Tensor:
        """The metric, a float32 scalar or array on the device of `statistics`."""

    def merge(self: SomeMetric, other: SomeMetric) -> SomeMetric:
        """The metric of both sets of examples.

        Raises:
            TypeError: `other` is another kind of metric.
        """
        if not _are_alike(self, other):
            raise TypeError(
                f"{_describe(self)} cannot be merged with {_describe(other)}, other={shown(other)}: both must be the "
                "same metric."
            )
        ours = self.statistics
        if ours.device != other.statistics.device:
            ours = ours.to(other.statistics.device)
        merged = object.__new__(type(self))  # a tenth of the time of dataclasses.replace
        vars(merged).update(vars(self), statistics=ours + other.statistics)
        return merged


def _are_alike(one: Metric, other: Metric) -> bool:
    """Whether two metrics differ in their statistics only."""
    if type(one) is not type(other) or one.statistics.shape != other.statistics.shape:
        return False
    own, others = vars(one), vars(other)
    if len(own) == len(others) == 1:  # the statistics
        return True
    return own.keys() == others.keys() and all(
        own[name] is others[name] or own[name] == others[name]
        for name in own
        if name != "statistics"
    )


def _kind(metric: object) -> tuple[object, ...]:
    """The type and options of a metric, which must be equal in metrics to merge."""
    if not isinstance(metric, Metric):
        return (type(metric),)
    options = {**vars(metric), "statistics": list(metric.statistics.shape)}
    return (type(metric), options)


def _describe(metric: object) -> str:
    name, *options = _kind(metric)
    assert isinstance(name, type)
    return f"a {name.__name__} {options[0]}" if options else f"a {name.__name__}"


@dataclass(frozen=True, eq=False)
class Mean(Metric):
    """A weighted mean. `statistics` are the weighted sum and the sum of the weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.statistics.shape != (2,):
            raise ValueError(
                f"{type(self).__name__}: statistics={shown(self.statistics)} must be a tensor [2] of a weighted sum "
                "and the sum of the weights."
            )

    def compute(self) -> Tensor:
        """Weighted sum / sum of the weights."""
        return _as_result(self._mean())

    @classmethod
    def empty(cls) -> Mean:
        """The mean of nothing."""
        return cls(torch.zeros(2, dtype=torch.float64))

    def _mean(self) -> Tensor:
        total, weight = self.statistics.unbind()
        if weight.device.type in _WAITED_FOR and weight.isnan():
            raise ValueError(
                f"A weight of a metric was {WRONG_WEIGHT}. Weights must be finite numbers of at least 0."
            )
        return _ratio(total, weight)


@dataclass(frozen=True, eq=False)
class RootMean(Mean):
    """The square root of a weighted mean."""

    def compute(self) -> Tensor:
        """√(weighted sum / sum of the weights)."""
        return _as_result(self._mean().sqrt())


@dataclass(frozen=True, eq=False)
class MajorityShare(Mean):
    """The accuracy of always answering the class that is more frequent, from the mean of labels 0 and 1."""

    def compute(self) -> Tensor:
        """max(mean, 1 − mean)."""
        mean = self._mean()
        return _as_result(torch.where(self.statistics[1] == 0, 0.0, torch.maximum(mean, 1 - mean)))


@dataclass(frozen=True, eq=False)
class AUC(Metric):
    """The area under a curve, from a histogram of the predictions of positives and negatives.

    `statistics` [2, num_thresholds] are the weights of positives and of negatives whose prediction is above
    threshold i and not above threshold i + 1. The thresholds are 0, 1/(num_thresholds − 1), … 1; the first
    is slightly lower and the last slightly higher, so that 0 is above the first and 1 is not above the last.

    Attributes:
        curve: "ROC": true positive rate over false positive rate, by trapezoids. "PR": precision over
            recall, interpolated as in Davis and Goadrich, "The Relationship Between Precision-Recall and
            ROC Curves", 2006.
        summation_method: "interpolation", the method of TensorFlow 2. "trapezoidal": that of the estimators of
            TensorFlow 1: trapezoids for both curves, with 1e-6 added to the terms of rates.
    """

    curve: str = "ROC"
    summation_method: str = "interpolation"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("curve", self.curve, CURVES)
        one_of("summation_method", self.summation_method, SUMMATION_METHODS)
        if self.statistics.dim() != 2 or len(self.statistics) != 2:
            raise ValueError(
                f"AUC: statistics={shown(self.statistics)} must be a tensor [2, num_thresholds] of weights."
            )

    @classmethod
    def empty(cls, curve: str = "ROC", num_thresholds: int = 200) -> AUC:
        """The area of nothing."""
        num_thresholds = whole_number("num_thresholds", num_thresholds, at_least=2)
        return cls(torch.zeros(2, num_thresholds, dtype=torch.float64), curve)

    def compute(self) -> Tensor:
        """The area; 0 if there are no positives, and for ROC also if there are no negatives."""
        above = self._above()
        if self.summation_method == "trapezoidal":
            area = self._trapezoids(*above)
        else:
            area = self._roc(*above) if self.curve == "ROC" else self._precision_recall(*above)
        return _as_result(area)

    def confusion(self) -> Tensor:
        """The weights of true positives, false positives, true negatives and false negatives at each threshold.

        Returns:
            float64 [4, num_thresholds]: a prediction above the threshold counts as positive.
        """
        above = self._above()
        return torch.cat([above, (above[:, :1] - above).flip(0)])

    def _above(self) -> Tensor:
        """The weights of positives and of negatives above each threshold."""
        return self.statistics.flip(1).cumsum(1).flip(1)

    def _trapezoids(self, true_positives: Tensor, false_positives: Tensor) -> Tensor:
        def rate(part: Tensor, whole: Tensor) -> Tensor:
            return (part + _EPSILON) / (whole + _EPSILON)

        recall = rate(true_positives, true_positives[0])
        if self.curve == "PR":
            precision = rate(true_positives, true_positives + false_positives)
            return torch.trapezoid(precision.flip(0), recall.flip(0))
        false_rate = false_positives / (false_positives[0] + _EPSILON)
        return torch.trapezoid(recall.flip(0), false_rate.flip(0))

    @staticmethod
    def _roc(true_positives: Tensor, false_positives: Tensor) -> Tensor:
        # the first threshold lies below all predictions, so everything counts as positive there
        rate = _ratio(true_positives, true_positives[0])
        false_rate = _ratio(false_positives, false_positives[0])
        return torch.trapezoid(rate.flip(0), false_rate.flip(0))

    @staticmethod
    def _precision_recall(true_positives: Tensor, false_positives: Tensor) -> Tensor:
        # between two thresholds true positives are a linear function of positives: slope, intercept
        positives = true_positives + false_positives
        gained = true_positives[:-1] - true_positives[1:]
        slope = _ratio(gained, positives[:-1] - positives[1:])
        intercept = true_positives[1:] - slope * positives[1:]
        both = (positives[:-1] > 0) & (positives[1:] > 0)
        growth = torch.where(both, _ratio(positives[:-1], positives[1:]), 1.0)
        return _ratio((slope * (gained + intercept * growth.log())).sum(), true_positives[0])


def mean(values: Tensor, weights: Tensor | None = None) -> Mean:
    """The weighted mean of values; weights broadcast to them."""
    return Mean(_sums(values, weights))


def accuracy(labels: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Mean:
    """The share of predictions that equal their labels. All functions take labels and predictions of one shape."""
    return mean(labels == predictions, weights)


def accuracy_baseline(labels: Tensor, weights: Tensor | None = None) -> MajorityShare:
    """The accuracy of always answering the more frequent of the classes 0 and 1."""
    return MajorityShare(_sums(labels, weights))


def precision(
    labels: Tensor, predictions: Tensor, weights: Tensor | None = None, threshold: float = 0.5
) -> Mean:
    """The share of positives among the examples predicted positive."""
    return mean(labels != 0, _times(predictions > threshold, weights))


def recall(
    labels: Tensor, predictions: Tensor, weights: Tensor | None = None, threshold: float = 0.5
) -> Mean:
    """The share of examples predicted positive among the positives."""
    return mean(predictions > threshold, _times(labels != 0, weights))


def binary_accuracy(
    labels: Tensor, predictions: Tensor, weights: Tensor | None = None, threshold: float = 0.5
) -> Mean:
    """The share of examples for which (prediction > threshold) equals the label."""
    return mean((predictions > threshold).to(labels.dtype) == labels, weights)


def auc(
    labels: Tensor,
    predictions: Tensor,
    weights: Tensor | None = None,
    curve: str = "ROC",
    num_thresholds: int = 200,
) -> AUC:
    """The area under a curve of predictions from 0 to 1."""
    predictions = predictions.detach().float()
    # adding 0 times the prediction lets a prediction of NaN make the area NaN
    counted = _spread(weights, labels) + 0 * predictions
    buckets = (predictions * (num_thresholds - 1)).ceil().long() - 1
    buckets = buckets.clamp(0, num_thresholds - 1) + num_thresholds * (labels == 0)
    statistics = counted.new_zeros(2 * num_thresholds)
    statistics.index_add_(0, buckets.flatten(), counted.flatten())
    return AUC(statistics.reshape(2, num_thresholds), curve)


def mean_squared_error(labels: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Mean:
    """The mean of (prediction − label)²."""
    return mean(_difference(labels, predictions).square(), weights)


def mean_absolute_error(labels: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Mean:
    """The mean of |prediction − label|."""
    return mean(_difference(labels, predictions).abs(), weights)


def mean_relative_error(
    labels: Tensor, predictions: Tensor, normalizer: Tensor, weights: Tensor | None = None
) -> Mean:
    """The mean of |prediction − label| / normalizer; 0 where that is 0."""
    return mean(_ratio(_difference(labels, predictions).abs(), normalizer.double()), weights)


def root_mean_squared_error(
    labels: Tensor, predictions: Tensor, weights: Tensor | None = None
) -> RootMean:
    """The square root of `mean_squared_error`."""
    return RootMean(_sums(_difference(labels, predictions).square(), weights))


def _difference(labels: Tensor, predictions: Tensor) -> Tensor:
    """The difference in float64: small integers would overflow, and booleans have none."""
    return predictions.detach().double() - labels.double()


def _sums(values: Tensor, weights: Tensor | None) -> Tensor:
    """The weighted sum of the values and the sum of the weights."""
    values = values.detach()
    is_plain = type(values) is Tensor and values.is_cpu and not is_traced()
    if weights is None and is_plain and values.dtype.is_floating_point:
        total = values.sum(dtype=torch.float64).item()
        return torch.tensor([total, values.numel()], dtype=torch.float64)
    values = values.double()
    weights = _spread(weights, values)
    return torch.stack([(values * weights).sum(), weights.sum()])


def _spread(weights: Tensor | None, values: Tensor) -> Tensor:
    """float64 weights of the shape of the values."""
    if weights is None:
        return torch.ones_like(values, dtype=torch.float64)
    return weights.detach().double().expand(values.shape)


def _times(chosen: Tensor, weights: Tensor | None) -> Tensor:
    return chosen.double() if weights is None else chosen * _spread(weights, chosen)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient; 0 where the denominator is 0."""
    is_zero = denominator == 0
    return torch.where(is_zero, 0.0, numerator / torch.where(is_zero, 1.0, denominator))


def _as_result(value: Tensor) -> Tensor:
    return value.to(torch.float32)
