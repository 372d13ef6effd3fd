"""Metrics as values."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_arrays import array, params, read

from torchest import metrics

AUC_CASES = read("heads_binary_multiclass")["auc"]
LABELS = torch.tensor([1.0, 0.0, 1.0, 0.0])
PREDICTIONS = torch.tensor([0.9, 0.8, 0.3, 0.2])
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 0.0])

OF_PREDICTIONS = {
    "accuracy": metrics.accuracy,
    "binary_accuracy": metrics.binary_accuracy,
    "precision": metrics.precision,
    "recall": metrics.recall,
    "auc": metrics.auc,
    "auc of precision and recall": lambda *given: metrics.auc(*given, curve="PR"),
    "mean_squared_error": metrics.mean_squared_error,
    "mean_absolute_error": metrics.mean_absolute_error,
    "root_mean_squared_error": metrics.root_mean_squared_error,
}
EVERY = {
    **OF_PREDICTIONS,
    "mean": lambda _labels, predictions, weights=None: metrics.mean(predictions, weights),
    "accuracy_baseline": lambda labels, _, weights=None: metrics.accuracy_baseline(labels, weights),
}
every = pytest.mark.parametrize("metric", list(EVERY.values()), ids=list(EVERY))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 0.0),
        ("binary_accuracy", 0.5),
        ("precision", 0.5),
        ("recall", 0.5),
        ("auc", 0.75),
        ("mean", 0.55),
        ("accuracy_baseline", 0.5),
        ("mean_squared_error", (0.01 + 0.64 + 0.49 + 0.04) / 4),
        ("mean_absolute_error", (0.1 + 0.8 + 0.7 + 0.2) / 4),
        ("root_mean_squared_error", math.sqrt(0.295)),
    ],
)
def test_by_hand(metric, expected):
    actual = EVERY[metric](LABELS, PREDICTIONS).compute()
    assert actual.dtype == torch.float32
    assert actual.shape == ()
    assert actual.item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("binary_accuracy", 1 / 3.5),
        ("precision", 1 / 3),
        ("recall", 1 / 1.5),
        ("mean", (0.9 + 1.6 + 0.15) / 3.5),
        ("accuracy_baseline", 2 / 3.5),
        ("mean_absolute_error", (0.1 + 1.6 + 0.35) / 3.5),
    ],
)
def test_weighted_by_hand(metric, expected):
    assert EVERY[metric](LABELS, PREDICTIONS, WEIGHTS).compute().item() == pytest.approx(expected)


@pytest.mark.parametrize("case", params(AUC_CASES))
@pytest.mark.parametrize(("curve", "key"), [("ROC", "roc"), ("PR", "pr")])
def test_areas_as_tensorflow(case, curve, key):
    parts = []
    for batch in case["batches"]:
        labels, predictions = array(batch["labels"]), array(batch["predictions"])
        weights = array(batch["weights"]) if "weights" in batch else None
        parts.append(
            metrics.auc(
                torch.from_numpy(labels),
                torch.from_numpy(predictions),
                None if weights is None else torch.from_numpy(weights),
                curve=curve,
            )
        )
    merged = metrics.AUC.empty(curve)
    for part in parts:
        merged = merged.merge(part)
    assert merged.compute().item() == pytest.approx(case[key], abs=1e-6)


def roc_area_of_pairs(labels: np.ndarray, predictions: np.ndarray) -> float:
    """The share of pairs of a positive and a negative that are in order; ties count one half."""
    positives, negatives = predictions[labels == 1], predictions[labels == 0]
    higher = (positives[:, None] > negatives).mean()
    return float(higher + 0.5 * (positives[:, None] == negatives).mean())


def test_the_roc_area_is_the_share_of_pairs_in_order():
    random = np.random.default_rng(0)
    predictions = (
        random.integers(0, 199, 400) / 199 + 0.001
    )  # within thresholds, so none are merged
    labels = (random.uniform(size=400) < predictions).astype(np.int64)
    actual = metrics.auc(torch.from_numpy(labels), torch.from_numpy(predictions))
    expected = roc_area_of_pairs(labels, predictions)
    assert actual.compute().item() == pytest.approx(expected, abs=1e-6)


@every
def test_the_host_is_never_asked_for_a_value(metric):
    # tensors on the meta device have no values
    labels, predictions, weights = (torch.empty(4, device="meta") for _ in range(3))
    actual = metric(labels, predictions, weights).merge(metric(labels, predictions))
    assert actual.compute().is_meta


@every
def test_nothing_is_an_identity(metric):
    some = metric(LABELS, PREDICTIONS, WEIGHTS)
    nothing = metric(LABELS[:0], PREDICTIONS[:0], WEIGHTS[:0])
    assert nothing.compute().item() == 0
    assert torch.equal(some.merge(nothing).statistics, some.statistics)
    assert torch.equal(nothing.merge(some).statistics, some.statistics)


@every
def test_weights_of_zero_count_as_nothing(metric):
    actual = metric(LABELS, PREDICTIONS, torch.zeros(4))
    assert actual.compute().item() == 0
    assert torch.equal(actual.statistics, torch.zeros_like(actual.statistics))


@every
def test_the_empty_metric_of_each_class(metric):
    some = metric(LABELS, PREDICTIONS)
    empty = type(some).empty(some.curve) if isinstance(some, metrics.AUC) else type(some).empty()
    assert torch.equal(empty.merge(some).statistics, some.statistics)
    assert empty.compute().item() == 0


rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 32), st.integers(0, 3)), min_size=1, max_size=12
)


@every
@settings(deadline=None, max_examples=25)
@given(rows=rows, cut=st.integers(0, 12))
def test_merging_two_batches_is_the_metric_of_both(metric, rows, cut):
    labels, predictions, weights = torch.tensor(rows, dtype=torch.float64).T
    given = labels, predictions / 32, weights
    first, second = metric(*(x[:cut] for x in given)), metric(*(x[cut:] for x in given))
    assert torch.equal(first.merge(second).compute(), metric(*given).compute())
    assert torch.equal(first.merge(second).statistics, second.merge(first).statistics)


@every
@settings(deadline=None, max_examples=25)
@given(rows=rows)
def test_a_weight_of_k_is_the_row_k_times(metric, rows):
    labels, predictions, weights = torch.tensor(rows, dtype=torch.float64).T
    predictions = predictions / 32
    times = weights.long()
    repeated = metric(labels.repeat_interleave(times), predictions.repeat_interleave(times))
    assert torch.equal(metric(labels, predictions, weights).statistics, repeated.statistics)


@pytest.mark.parametrize("metric", [metrics.mean_absolute_error, metrics.auc, metrics.recall])
def test_weights_spread_over_the_last_dimension(metric):
    labels, predictions = LABELS.reshape(2, 2), PREDICTIONS.reshape(2, 2)
    spread = metric(labels, predictions, torch.tensor([[1.0], [3.0]]))
    each = metric(labels, predictions, torch.tensor([[1.0, 1.0], [3.0, 3.0]]))
    assert torch.equal(spread.statistics, each.statistics)


def test_statistics_keep_what_float32_would_lose():
    many = metrics.Mean(torch.tensor([2.0**26, 2.0**26], dtype=torch.float64))
    for _ in range(4):
        many = many.merge(metrics.mean(torch.tensor([1.0])))
    assert many.statistics.tolist() == [2**26 + 4, 2**26 + 4]


def test_a_number_has_a_mean():
    assert metrics.mean(2.5).compute().item() == 2.5


def test_no_gradient_is_kept():
    value = metrics.mean(torch.ones(2, requires_grad=True))
    assert not value.statistics.requires_grad


@pytest.mark.parametrize("metric", ["mean", "auc", "mean_squared_error", "root_mean_squared_error"])
def test_a_prediction_of_nan_shows(metric):
    predictions = torch.tensor([0.9, math.nan, 0.3, 0.2])
    assert EVERY[metric](LABELS, predictions).compute().isnan()


def test_a_metric_of_ones_own():
    class Greatest(metrics.Metric):
        def compute(self):
            return self.statistics.argmax().float()

    votes = Greatest(torch.tensor([1.0, 0.0])).merge(Greatest(torch.tensor([0.0, 3.0])))
    assert isinstance(votes, Greatest)
    assert votes.compute().item() == 1


SHAPES = read("metric_shapes")
WIDER = [([4, 1], [1, 2])]
AS_METRICS = {name: getattr(metrics, name) for name in {case["metric"] for case in SHAPES["cases"]}}


def shaped(name, shape):
    """The first of the reference's values in this shape."""
    if shape is None:
        return None
    return torch.tensor(SHAPES["values"][name][: math.prod(shape)]).reshape(shape) if shape else 2


def of_shapes(case):
    """The metric of a case of shapes."""
    predictions, weights = shaped("predictions", case["predictions"]), case["weights"]
    if case["metric"] == "accuracy":
        predictions = (predictions > 0.5).float()
    weights = shaped("weights", weights)
    if case["metric"] == "mean":
        return metrics.mean(predictions, weights)
    return AS_METRICS[case["metric"]](shaped("labels", case["labels"]), predictions, weights)


@pytest.mark.parametrize("metric", sorted(AS_METRICS))
def test_shapes_fit_as_in_tensorflow(metric):
    for case in SHAPES["cases"]:
        if case["metric"] != metric:
            continue
        # there TensorFlow multiplies precision and recall without looking: each label counts twice
        is_accident = (
            metric in ("precision", "recall") and (case["labels"], case["weights"]) in WIDER
        )
        if case["result"] is None or is_accident:
            with pytest.raises(ValueError, match=r"of shape \["):
                of_shapes(case)
        else:
            assert of_shapes(case).compute().item() == pytest.approx(case["result"], abs=1e-5), case


@pytest.mark.parametrize(
    "weight",
    [-1.5, math.nan, math.inf, -math.inf, -1],
    ids=["negative", "nan", "inf", "-inf", "integer"],
)
@every
def test_a_weight_that_is_no_finite_number_of_at_least_zero(metric, weight):
    message = rf"weights has {weight:g}; found 1 such among 4\. Weights must be finite numbers"
    for weights in (
        torch.tensor([1, 0, weight, 1]),
        [1, 0, weight, 1],
        np.array([1, 0, weight, 1]),
    ):
        with pytest.raises(ValueError, match=message):
            metric(LABELS, PREDICTIONS, weights)


def test_a_weight_for_all_must_be_right_too():
    with pytest.raises(ValueError, match=r"weights has -1; found 1 such among 1\."):
        metrics.mean(LABELS, -1)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
@every
def test_a_wrong_weight_shows_where_weights_cannot_be_checked(metric, weight, monkeypatch):
    monkeypatch.setattr("torchest.metrics.arguments.is_traced", lambda: True)
    weights = torch.tensor([1.0, 1.0, weight, 1.0])
    assert metric(LABELS, PREDICTIONS, weights).statistics.isnan().any()


NO_NUMBERS = {"text": "a", "texts": ["a", "b"], "dict": {"a": 1}, "ragged": [[1], [1, 2]]}
NO_NUMBERS |= {"complex": torch.tensor([1j]), "sparse": torch.eye(2).to_sparse(), "set": {1.0}}


@pytest.mark.parametrize("wrong", list(NO_NUMBERS.values()), ids=list(NO_NUMBERS))
@every
def test_values_that_are_no_numbers_are_named(metric, wrong):
    first = "labels|predictions|values"
    with pytest.raises(ValueError, match=rf"^({first})=.* must be a .*tensor of (real )?numbers"):
        metric(wrong, wrong)
    with pytest.raises(ValueError, match=r"^weights=.* must be a .*tensor of (real )?numbers"):
        metric(LABELS, PREDICTIONS, wrong)


@pytest.mark.parametrize("metric", list(OF_PREDICTIONS.values()), ids=list(OF_PREDICTIONS))
def test_labels_that_are_missing_are_named(metric):
    with pytest.raises(ValueError, match=r"^labels=None must be a tensor of numbers"):
        metric(None, PREDICTIONS)
    with pytest.raises(ValueError, match=r"^predictions=None must be a tensor of numbers"):
        metric(LABELS, None)


@every
def test_lists_and_arrays_are_what_tensors_are(metric):
    of_tensors = metric(LABELS, PREDICTIONS, WEIGHTS).statistics
    arrays = metric(LABELS.numpy(), PREDICTIONS.numpy(), WEIGHTS.numpy()).statistics
    lists = metric(LABELS.tolist(), PREDICTIONS.tolist(), WEIGHTS.tolist()).statistics
    assert torch.equal(arrays, of_tensors)
    assert torch.allclose(lists, of_tensors)


def test_weights_of_a_wrong_shape():
    with pytest.raises(
        ValueError, match=r"weights=.* of shape \[3\] do not fit values of shape \[4\]"
    ):
        metrics.mean(LABELS, torch.ones(3))


def test_weights_that_do_not_fit_name_what_they_were_to_weigh():
    weights = torch.ones(2)
    with pytest.raises(ValueError, match=r"do not fit labels of shape \[\]"):
        metrics.accuracy_baseline(1.0, weights)
    with pytest.raises(ValueError, match=r"do not fit labels and predictions of shape \[\]"):
        metrics.mean_squared_error(1.0, 0.5, weights)


@pytest.mark.parametrize("threshold", ["0.5", None, math.nan, [0.5], True])
@pytest.mark.parametrize("metric", ["precision", "recall", "binary_accuracy"])
def test_a_threshold_that_is_no_number(metric, threshold):
    with pytest.raises(ValueError, match=r"threshold=.* must be a finite number"):
        getattr(metrics, metric)(LABELS, PREDICTIONS, threshold=threshold)


@pytest.mark.parametrize("curve", ["roc", "pr", None, 1, ["ROC"]])
def test_a_curve_that_is_not_there(curve):
    for make in (metrics.auc, lambda *_, curve: metrics.AUC.empty(curve)):
        with pytest.raises(ValueError, match=r"curve=.* (must be 'ROC' or 'PR'|is not known)"):
            make(LABELS, PREDICTIONS, curve=curve)


@pytest.mark.parametrize("count", [1, 0, -3, 2.5, "200", None, True, math.nan])
def test_a_number_of_thresholds_that_makes_no_curve(count):
    for make in (metrics.auc, lambda *_, num_thresholds: metrics.AUC.empty("PR", num_thresholds)):
        with pytest.raises(
            ValueError, match=r"num_thresholds=.* must be a whole number of at least 2"
        ):
            make(LABELS, PREDICTIONS, num_thresholds=count)


@pytest.mark.parametrize("statistics", [None, 1.0, [1.0, 2.0], torch.ones(3), torch.ones(())])
@pytest.mark.parametrize(
    "kind", [metrics.Mean, metrics.RootMean, metrics.MajorityShare, metrics.AUC]
)
def test_statistics_that_are_no_sums(kind, statistics):
    with pytest.raises(ValueError, match=rf"{kind.__name__}: statistics=.* must be a tensor"):
        kind(statistics)


@pytest.mark.parametrize(
    "other",
    [
        metrics.accuracy_baseline(LABELS),
        metrics.auc(LABELS, PREDICTIONS),
        3.0,
    ],
)
def test_other_metrics_cannot_be_merged(other):
    with pytest.raises(
        TypeError, match=r"a Mean .* cannot be merged with a .*, other=.*: both must"
    ):
        metrics.mean(LABELS).merge(other)


def test_areas_of_two_curves_cannot_be_merged():
    with pytest.raises(TypeError, match=r"both must be the same metric"):
        metrics.auc(LABELS, PREDICTIONS).merge(metrics.auc(LABELS, PREDICTIONS, curve="PR"))


@pytest.mark.parametrize(
    ("labels", "predictions", "squared"),
    [
        (torch.tensor([2, 250], dtype=torch.uint8), torch.tensor([1, 0], dtype=torch.uint8), 62501),
        (torch.tensor([True, False]), torch.tensor([False, False]), 1),
    ],
    ids=["uint8", "bool"],
)
def test_errors_of_small_integers_do_not_overflow(labels, predictions, squared):
    assert metrics.mean_squared_error(labels, predictions).compute().item() == squared / 2
    root = metrics.root_mean_squared_error(labels, predictions).compute().item()
    assert root == pytest.approx((squared / 2) ** 0.5, rel=1e-6)
    assert metrics.mean_absolute_error(labels, predictions).compute().item() > 0


@dataclasses.dataclass(frozen=True, eq=False)
class Scaled(metrics.Metric):
    """Has an option that is a tensor."""

    scale: torch.Tensor = None

    def compute(self):
        return (self.statistics * self.scale).sum().float()


def test_a_metric_of_ones_own_may_have_a_tensor_as_an_option():
    scale, sums = torch.tensor([1.0, 2.0]), torch.ones(2, dtype=torch.float64)
    assert Scaled(sums, scale).merge(Scaled(sums, scale)).compute() == 6
