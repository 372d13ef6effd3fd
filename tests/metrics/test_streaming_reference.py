"""Metrics have TensorFlow's values after each batch: tests/reference/streaming_metrics.py tells the format."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest
import reference_arrays
import torch

import torchest.v1
from torchest import metrics

REFERENCE = reference_arrays.read("streaming_metrics")
DATA = {
    name: [
        {part: reference_arrays.value(each) for part, each in batch.items()} for batch in batches
    ]
    for name, batches in REFERENCE["data"].items()
}
# Names of TensorFlow 1 that say the same.
SAME = {f"sparse_{name}_at_k": f"{name}_at_k" for name in ("precision", "average_precision")}


def is_torchests(case: dict[str, Any]) -> bool:
    """Whether torchest has the metric; without positives or negatives, TensorFlow 1 interpolates otherwise."""
    is_area = case["arguments"].get("summation_method") == "careful_interpolation"
    return not is_area or case["data"] in ("binary", "equal scores")


def name_of(case: dict[str, Any]) -> str:
    given = ", ".join(f"{name}={value}" for name, value in case["arguments"].items())
    weighted = ", weighted" if case["weighted"] else ""
    return f"{case['metric']}({given}) of {case['data']}{weighted}"


CASES = [{"name": name_of(case), **case} for case in REFERENCE["cases"] if is_torchests(case)]


def of_batch(case: dict[str, Any], batch: dict[str, torch.Tensor]) -> metrics.Metric:
    metric, given = SAME.get(case["metric"], case["metric"]), dict(case["arguments"])
    if metric == "mean_tensor":
        batch = {name: part[:5] for name, part in batch.items()}
    if given.get("normalizer") == "labels":
        given["normalizer"] = batch["labels"]
    if metric in ("mean", "mean_tensor", "percentage_below"):
        given["values"] = batch["predictions"]
    else:
        predictions = "predictions_idx" if metric.endswith("_at_top_k") else "predictions"
        given |= {"labels": batch["labels"], predictions: batch["predictions"]}
    if case["weighted"]:
        given["weights"] = batch["weights"]
        if case["data"] == "sequences":
            given["weights"] = batch["weights"][:, None]
    made: metrics.Metric = getattr(torchest.v1.metrics, metric)(**given)
    return made


@pytest.mark.parametrize("case", reference_arrays.params(CASES))
def test_values_are_tensorflows(case: dict[str, Any]):
    parts = [of_batch(case, batch) for batch in DATA[case["data"]]]
    for count, expected in enumerate(case["values"], 1):
        merged = reduce(type(parts[0]).merge, parts[:count])
        actual = merged.compute()
        assert actual.dtype == torch.float32
        np.testing.assert_allclose(actual.numpy(), np.array(expected), rtol=2e-6, atol=1e-6)
    again = reduce(type(parts[0]).merge, reversed(parts)).compute()
    torch.testing.assert_close(again, actual, equal_nan=True)


def test_every_name_of_tensorflow_is_there():
    named = {SAME.get(case["metric"], case["metric"]) for case in REFERENCE["cases"]}
    assert named <= set(metrics.__all__)
