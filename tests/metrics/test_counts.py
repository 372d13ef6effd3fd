"""Metrics that are counted per threshold, per class, per value, or among the best classes."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

import torchest
from torchest import metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[torch.Tensor, torch.Tensor, Any], metrics.Metric]

THRESHOLDS = [0.75, 0.0, 0.5, 0.5]


def scores(predictions: torch.Tensor) -> torch.Tensor:
    """Scores of three classes [n, 3] from numbers [n]."""
    return torch.stack([predictions, 1 - predictions, predictions * 0 + 0.4], 1)


EVERY: dict[str, Make] = {
    **{
        name: lambda labels, predictions, weights=None, name=name: getattr(metrics, name)(
            labels, predictions > 0.5, weights
        )
        for name in ("true_positives", "false_positives", "true_negatives", "false_negatives")
    },
    **{
        name: lambda labels, predictions, weights=None, name=name: getattr(metrics, name)(
            labels, predictions, THRESHOLDS, weights
        )
        for name in (
            "true_positives_at_thresholds", "false_positives_at_thresholds", "true_negatives_at_thresholds",
            "false_negatives_at_thresholds", "precision_at_thresholds", "recall_at_thresholds",
        )
    },
    "sensitivity_at_specificity": lambda labels, predictions, weights=None: (
        metrics.sensitivity_at_specificity(labels, predictions, 0.6, weights)
    ),
    "specificity_at_sensitivity": lambda labels, predictions, weights=None: (
        metrics.specificity_at_sensitivity(labels, predictions, 0.6, weights)
    ),
    "mean_iou": lambda labels, predictions, weights=None: metrics.mean_iou(
        labels, (3 * predictions).floor(), 4, weights
    ),
    "mean_per_class_accuracy": lambda labels, predictions, weights=None: (
        metrics.mean_per_class_accuracy(labels, (3 * predictions).floor(), 4, weights)
    ),
    "mean_relative_error": lambda labels, predictions, weights=None: metrics.mean_relative_error(
        labels, predictions, labels, weights
    ),
    "mean_cosine_distance": lambda labels, predictions, weights=None: metrics.mean_cosine_distance(
        scores(labels), scores(predictions), 1, weights
    ),
    "percentage_below": lambda labels, predictions, weights=None: metrics.percentage_below(
        predictions, 0.4, weights
    ),
    "precision_at_k": lambda labels, predictions, weights=None: metrics.precision_at_k(
        labels, scores(predictions), 2, weights=weights
    ),
    "recall_at_k": lambda labels, predictions, weights=None: metrics.recall_at_k(
        labels, scores(predictions), 1, class_id=1, weights=weights
    ),
    "average_precision_at_k": lambda labels, predictions, weights=None: metrics.average_precision_at_k(
        labels, scores(predictions), 2, weights
    ),
}  # fmt: skip
every = pytest.mark.parametrize("metric", list(EVERY.values()), ids=list(EVERY))
LABELS = torch.tensor([1.0, 0.0, 1.0, 0.0])
PREDICTIONS = torch.tensor([0.9, 0.8, 0.3, 0.2])
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 0.0])
ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 32), st.integers(0, 3)), min_size=1, max_size=12
)


@every
@settings(max_examples=25)
@given(rows=ROWS, cut=st.integers(0, 12))
def test_merging_two_batches_is_the_metric_of_both(metric: Make, rows: Any, cut: int):
    labels, predictions, weights = torch.tensor(rows, dtype=torch.float64).T
    given = labels, predictions / 32, weights
    first, second = metric(*(x[:cut] for x in given)), metric(*(x[cut:] for x in given))
    of_both = metric(*given).compute()
    torch.testing.assert_close(first.merge(second).compute(), of_both, equal_nan=True)
    torch.testing.assert_close(second.merge(first).compute(), of_both, equal_nan=True)


@every
@settings(max_examples=25)
@given(rows=ROWS)
def test_a_weight_of_k_is_the_row_k_times(metric: Make, rows: Any):
    labels, predictions, weights = torch.tensor(rows, dtype=torch.float64).T
    times = weights.long()
    repeated = metric(
        labels.repeat_interleave(times), predictions.repeat_interleave(times) / 32, None
    )
    weighted = metric(labels, predictions / 32, weights)
    torch.testing.assert_close(weighted.statistics, repeated.statistics)


@every
def test_the_host_is_never_asked_for_a_value(metric: Make):
    # tensors on the meta device have no values
    labels, predictions, weights = (torch.empty(4, device="meta") for _ in range(3))
    actual = metric(labels, predictions, weights).merge(metric(labels, predictions, None))
    assert actual.compute().is_meta


@every
def test_lists_and_arrays_of_numbers_are_taken(metric: Make):
    made = metric(LABELS, PREDICTIONS, WEIGHTS.tolist())
    assert torch.equal(made.statistics, metric(LABELS, PREDICTIONS, WEIGHTS.numpy()).statistics)


@every
def test_wrong_weights_are_named(metric: Make):
    with pytest.raises(ValueError, match=r"weights has -1; found 1 such among 4"):
        metric(LABELS, PREDICTIONS, torch.tensor([1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match=r"weights=.* of shape \[3\] do not fit "):
        metric(LABELS, PREDICTIONS, torch.ones(3))


def test_thresholds_may_be_in_any_order():
    hits = metrics.true_positives_at_thresholds(LABELS, PREDICTIONS, THRESHOLDS)
    assert hits.compute().tolist() == [1, 2, 1, 1]


def test_a_prediction_of_nan_is_above_no_threshold():
    predictions = torch.tensor([0.9, math.nan, 0.3, 0.2])
    counts = metrics.false_positives_at_thresholds(LABELS, predictions, [0.1])
    assert counts.compute().tolist() == [1]


def test_nothing_is_zero_or_where_tensorflow_has_no_value_nan():
    nothing = {
        name: make(LABELS[:0], PREDICTIONS[:0], None).compute() for name, make in EVERY.items()
    }
    without = {name for name, value in nothing.items() if value.isnan().any()}
    assert without == {"precision_at_k", "recall_at_k", "average_precision_at_k"}
    assert all((value == 0).all() for name, value in nothing.items() if name not in without)


def test_a_class_that_is_none_shows_where_it_cannot_be_checked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torchest.metrics.confusion.is_traced", lambda: True)
    for metric in (metrics.mean_iou, metrics.mean_per_class_accuracy):
        assert metric([0, 2, 1], [0, 1, 1], 2).compute().isnan()


def test_a_mean_of_arrays():
    first = metrics.mean_tensor([[1.0, 2.0], [3.0, 4.0]], weights=[[1.0], [0.0]])
    both = first.merge(metrics.mean_tensor([[3.0, 4.0], [1.0, 0.0]]))
    assert both.compute().tolist() == [[2, 3], [1, 0]]
    with pytest.raises(TypeError, match="cannot be merged"):
        first.merge(metrics.mean_tensor([1.0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.true_positives([1, 0], [1]), "true_positives: labels of shape [2] and predictions of shape"),
        (lambda: metrics.recall_at_thresholds([1], [0.5], []), "thresholds=[] must have at least one number."),
        (lambda: metrics.recall_at_thresholds([1], [0.5], 0.5), "thresholds=0.5 must be a list of numbers."),
        (lambda: metrics.recall_at_thresholds([1], [0.5], ["a"]), "thresholds='a' must be a finite number."),
        (
            lambda: metrics.sensitivity_at_specificity([1], [0.5], 1.5),
            "specificity=1.5 must be a finite number at least 0 and at most 1.",
        ),
        (
            lambda: metrics.specificity_at_sensitivity([1], [0.5], -1),
            "sensitivity=-1 must be a finite number at least 0 and at most 1.",
        ),
        (
            lambda: metrics.specificity_at_sensitivity([1], [0.5], 1, num_thresholds=1),
            "num_thresholds=1 must be a whole number of at least 2.",
        ),
        (
            lambda: metrics.mean_iou([0, 3], [0, 1], 3),
            "mean_iou: labels has 3, which is no class id from 0 to num_classes − 1 = 2.",
        ),
        (
            lambda: metrics.mean_per_class_accuracy([0, 1], [0, 0.5], 3),
            "mean_per_class_accuracy: predictions has 0.5, which is no class id",
        ),
        (lambda: metrics.mean_iou([0], [0], 0), "num_classes=0 must be a whole number of at least 1."),
        (
            lambda: metrics.mean_relative_error([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0]),
            "normalizer of shape [2] does not fit labels of shape [3]: give one number for each label.",
        ),
        (
            lambda: metrics.mean_cosine_distance([[1.0]], [[1.0]], 2),
            "dim=2 must be a whole number of at least -2 and at most 1.",
        ),
        (lambda: metrics.percentage_below([1.0], math.nan), "threshold=nan must be a finite number."),
        (
            lambda: metrics.precision_at_k([1], [[0.5, 0.6]], 3),
            "k=3 must be a whole number of at least 1 and at most 2.",
        ),
        (lambda: metrics.precision_at_k([1], [[0.5, 0.6]], 1, class_id="a"), "class_id='a' must be a whole number."),
        (
            lambda: metrics.recall_at_k([1, 0], [[0.5, 0.6]], 1),
            "of shape [2] and predictions=[[0.5, 0.6]] of shape [1, 2] must agree in all dimensions but the last",
        ),
        (lambda: metrics.precision_at_k(1, 0.5, 1), "predictions=0.5 must have the scores of the classes in its last"),
        (lambda: metrics.recall_at_top_k(1, 2), "predictions_idx=2 must have the predicted classes in its last"),
        (lambda: metrics.recall_at_top_k([1], [[2]], k=0), "k=0 must be a whole number of at least 1."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(call: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_an_evaluation_returns_and_writes_arrays(tmp_path: Path):
    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), 0.1))
        loss = (net(features["x"][:, None]).squeeze(1) - labels).square().mean()
        of_x = metrics.recall_at_thresholds(labels, features["x"], [0.1, 0.5])
        return torchest.EstimatorSpec(
            mode, loss=loss, train_op=sgd, eval_metric_ops={"recalls": of_x}
        )

    model = torchest.Estimator(model_fn, str(tmp_path))
    data = {"x": np.float32([0.2, 0.4, 0.6, 0.8])}, np.float32([1, 0, 1, 0])
    model.train(lambda: data, steps=1)
    evaluated = model.evaluate(lambda: torchest.inputs.Dataset.from_tensor_slices(data).batch(2))
    assert evaluated["recalls"].dtype == np.float32
    assert evaluated["recalls"].tolist() == [1, 0.5]
    events = EventAccumulator(str(tmp_path / "eval"), {"tensors": 0}).Reload()
    (written,) = events.Tensors("recalls")
    assert written.step == 1
    assert tensor_util.make_ndarray(written.tensor_proto).tolist() == [1, 0.5]
