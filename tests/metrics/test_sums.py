"""Metrics as one vector of sums."""

from __future__ import annotations

import math

import pytest
import torch

from torchest import metrics
from torchest.metrics.sums import MetricSums, places_of

PLACES = places_of({"a": metrics.Mean, "b": metrics.RootMean}, "/x")


def sums(*numbers, places=PLACES):
    return MetricSums(torch.tensor(numbers, dtype=torch.float64), places)


def computed(by_name):
    return {name: metric.compute().item() for name, metric in by_name.items()}


def test_metrics_are_made_of_their_places():
    assert computed(sums(3, 2, 8, 2)) == {"a/x": 1.5, "b/x": 2.0}


def test_sums_add_up_and_stay():
    one, other = sums(3, 2, 8, 2), sums(1, 2, 10, 0)
    assert computed(one.plus(other)) == {"a/x": 1.0, "b/x": 3.0}
    assert computed(one) == {"a/x": 1.5, "b/x": 2.0}


def test_infinite_sums_of_both_signs_are_nan():
    both = sums(math.inf, 2, 8, 2).plus(sums(-math.inf, 2, 8, 2))
    assert math.isnan(computed(both)["a/x"])


@pytest.mark.parametrize(
    "other", [{}, sums(1, 2, places=places_of({"a": metrics.Mean}, "/x"))], ids=["dict", "places"]
)
def test_other_metrics_do_not_add_up(other):
    assert sums(3, 2, 8, 2).plus(other) is None


def test_equal_places_add_up():
    equal = places_of({"a": metrics.Mean, "b": metrics.RootMean}, "/x")
    assert computed(sums(3, 2, 8, 2).plus(sums(3, 2, 8, 2, places=equal)))["a/x"] == 1.5


@pytest.mark.parametrize("is_first", [True, False])
def test_changed_metrics_do_not_add_up(is_first):
    changed, other = sums(3, 2, 8, 2), sums(3, 2, 8, 2)
    changed["a/x"] = metrics.mean([7.0])
    assert computed(changed)["a/x"] == 7.0
    assert (changed.plus(other) if is_first else other.plus(changed)) is None
    del other["a/x"]
    assert list(other) == ["b/x"]
