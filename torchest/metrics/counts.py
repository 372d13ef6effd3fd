"""Metric values of sums that are counted per threshold, per class, or per value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from torchest.metrics.values import AUC, Metric

SENSITIVITY, SPECIFICITY = "sensitivity", "specificity"


@dataclass(frozen=True, eq=False)
class Total(Metric):
    """Sums over examples, of any shape: its `statistics`."""

    def compute(self) -> Tensor:
        """The sums."""
        return self.statistics.to(torch.float32)


@dataclass(frozen=True, eq=False)
class Ratio(Metric):
    """Quotients of sums, 0 where the denominator is 0. `statistics` [2, ...] are numerators and denominators."""

    _OF_NOTHING: ClassVar[float] = 0.0

    def compute(self) -> Tensor:
        """The quotients, of the shape of the numerators."""
        return self._ratios().to(torch.float32)

    def _ratios(self) -> Tensor:
        numerators, denominators = self.statistics.unbind()
        is_zero = denominators == 0
        quotients = numerators / torch.where(is_zero, 1.0, denominators)
        return torch.where(is_zero, self._OF_NOTHING, quotients)


@dataclass(frozen=True, eq=False)
class RatioOrNaN(Ratio):
    """Quotients of sums, NaN where the denominator is 0."""

    _OF_NOTHING: ClassVar[float] = torch.nan


@dataclass(frozen=True, eq=False)
class MeanRatio(Ratio):
    """The mean of quotients, such as one for each class."""

    def compute(self) -> Tensor:
        """The mean, a scalar."""
        return self._ratios().mean().to(torch.float32)


@dataclass(frozen=True, eq=False)
class MeanIoU(Metric):
    """The mean of intersections over unions. `statistics` [classes, classes] are weights by label and prediction."""

    def compute(self) -> Tensor:
        """The mean over the classes that are a label or a prediction; 0 if there are none."""
        hits = self.statistics.diagonal()
        unions = self.statistics.sum(0) + self.statistics.sum(1) - hits
        ratios = torch.where(unions == 0, 0.0, hits / torch.where(unions == 0, 1.0, unions))
        count = (unions != 0).sum()
        return (ratios.sum() / count.clamp(min=1)).to(torch.float32)


@dataclass(frozen=True, eq=False)
class AtOperatingPoint(Metric):
    """The specificity at a sensitivity, or the other way round. `statistics` are those of `AUC`.

    Attributes:
        of: "sensitivity" or "specificity", whichever is computed.
        other: The value of the other one. The threshold is that where it is nearest; among several, the lowest for a
            specificity, and the highest for a sensitivity.
    """

    of: str = SENSITIVITY
    other: float = 0.5

    def compute(self) -> Tensor:
        """The rate at the threshold, a scalar."""
        hits, false_alarms, correct_rejections, misses = AUC(self.statistics).confusion()
        sensitivity = _share(hits, misses)
        specificity = _share(correct_rejections, false_alarms)
        if self.of == SENSITIVITY:
            place = (specificity - self.other).abs().float().argmin()
            return sensitivity.take(place).to(torch.float32)
        place = (sensitivity - self.other).abs().float().flip(0).argmin()
        return specificity.flip(0).take(place).to(torch.float32)


def _share(part: Tensor, rest: Tensor) -> Tensor:
    """The share of the first of two weights in both; 0 if both are 0."""
    both = part + rest
    return torch.where(both == 0, 0.0, part / torch.where(both == 0, 1.0, both))
