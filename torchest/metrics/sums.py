"""The metrics of a batch as one vector of sums: to merge two of them is one addition."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from torchest.utils.deferred import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from torchest.metrics.values import Metric


class Place(NamedTuple):
    """Where the statistics of a metric are in a vector, and what makes the metric of them."""

    start: int
    stop: int
    make: Callable[[Tensor], Metric]


class MetricSums(Deferred):
    """Metrics by name, which are made of their sums when somebody reads them.

    Args:
        sums: float64, the statistics of all metrics; must not be changed afterwards.
        places: Where those of each metric are.

    >>> import torch
    >>> from torchest.metrics.values import Mean
    >>> places = {"mean": Place(0, 2, Mean)}
    >>> both = MetricSums(torch.tensor([3.0, 2.0]), places).plus(MetricSums(torch.tensor([6.0, 1.0]), places))
    >>> both["mean"].compute()
    tensor(3.)
    """

    def __init__(self, sums: Tensor, places: Mapping[str, Place]) -> None:
        super().__init__(partial(_metrics, sums, places))
        self._sums: Tensor | None = sums
        self._places = places

    def plus(self, other: object) -> MetricSums | None:
        """The metrics of both sets of examples; None if `other` is not of the same metrics."""
        if not isinstance(other, MetricSums) or self._sums is None or other._sums is None:
            return None
        if self._places is not other._places and self._places != other._places:
            return None
        return MetricSums(self._sums + other._sums, self._places)

    def __setitem__(self, name: str, value: object) -> None:
        super().__setitem__(name, value)
        self._sums = None

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._sums = None


def _metrics(sums: Tensor, places: Mapping[str, Place]) -> dict[str, Metric]:
    return {name: make(sums[start:stop]) for name, (start, stop, make) in places.items()}


def places_of(
    pairs: Mapping[str, Callable[[Tensor], Metric]], suffix: str = ""
) -> dict[str, Place]:
    """Places of metrics that have two statistics each, one after the other."""
    return {
        f"{name}{suffix}": Place(2 * number, 2 * number + 2, make)
        for number, (name, make) in enumerate(pairs.items())
    }
