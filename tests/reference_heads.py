"""Runs a head on the cases of tests/reference/heads_*.json and compares it with TensorFlow's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from reference_arrays import array, value

from torchest import heads

RTOL = 1e-5
ATOL = 1e-6  # also for areas under curves


def make(case: dict[str, Any]) -> heads.Head:
    """The head of a case."""
    return getattr(heads, case["head"])(**case["arguments"])


def arguments(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch as the arguments of head.loss and head.update_metrics."""
    found = {
        "features": {key: value(batch[key]) for key in ("weights",) if key in batch},
        "logits": value(batch["logits"]),
        "labels": value(batch["labels"]),
    }
    if "regularization_losses" in batch:
        found["regularization_losses"] = [torch.tensor(x) for x in batch["regularization_losses"]]
    return found


def assert_as_tensorflow(case: dict[str, Any]) -> None:
    """Losses, metrics over all batches, and predictions for the first."""
    head = make(case)
    batches = [arguments(batch) for batch in case["batches"]]
    losses = [head.loss(**batch, mode="train").item() for batch in batches]
    np.testing.assert_allclose(losses, case["losses"], rtol=RTOL, atol=ATOL, err_msg="losses")
    metrics = head.metrics(batches[0].get("regularization_losses"))
    for batch in batches:
        metrics = head.update_metrics(metrics, **batch)
    found = {key: metric.compute().item() for key, metric in metrics.items()}
    assert found.keys() == case["metrics"].keys()
    for key, expected in case["metrics"].items():
        np.testing.assert_allclose(found[key], expected, rtol=RTOL, atol=ATOL, err_msg=key)
    assert_predictions(head.predictions(batches[0]["logits"]), case["predictions"])


def assert_predictions(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """The same keys in the same order, dtypes, shapes and values."""
    assert list(found) == list(expected)
    for key, described in expected.items():
        wanted, given = array(described), found[key].numpy()
        assert given.dtype == wanted.dtype, key
        assert given.shape == wanted.shape, key
        assert found[key].shape == wanted.shape, key
        if wanted.dtype == object:
            assert given.tolist() == wanted.tolist(), key
        else:
            np.testing.assert_allclose(given, wanted, rtol=RTOL, atol=ATOL, err_msg=key)
