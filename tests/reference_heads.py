"""Runs a head on the cases of tests/reference/heads_*.json and compares it with TensorFlow's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from reference_arrays import array, value

from torchest import heads

RTOL = 1e-5
ATOL = 1e-6  # alone for areas under curves

FUNCTIONS = {
    "exp": torch.exp,
    "absolute error": lambda labels, logits: (labels - logits).abs(),
    "mean squared error": lambda labels, logits: (labels - logits).square().mean(-1, keepdim=True),
}


def make(case: dict[str, Any]) -> heads.Head:
    """The head of a case."""
    arguments = dict(case["arguments"])
    for name in ("inverse_link_fn", "loss_fn"):
        if name in arguments:
            arguments[name] = FUNCTIONS[arguments[name]]
    if "heads" in arguments:
        arguments["heads"] = [make(head) for head in arguments["heads"]]
    return getattr(heads, case["head"])(**arguments)


def given(described: dict[str, Any]) -> Any:
    """Labels or logits of a batch: an array, lists, or arrays by the name of a head."""
    if "by_head" in described:
        return {name: value(part) for name, part in described["by_head"].items()}
    return pa.array(described["lists"]) if "lists" in described else value(described)


def arguments(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch as the arguments of head.loss and head.update_metrics."""
    actual = {
        "features": {key: value(batch[key]) for key in ("weights",) if key in batch},
        "logits": given(batch["logits"]),
        "labels": given(batch["labels"]),
    }
    if "regularization_losses" in batch:
        actual["regularization_losses"] = [torch.tensor(x) for x in batch["regularization_losses"]]
    return actual


def assert_as_tensorflow(case: dict[str, Any]) -> None:
    """Losses, metrics over all batches, and predictions for the first."""
    head = make(case)
    batches = [arguments(batch) for batch in case["batches"]]
    losses = [head.loss(**batch, mode="train").item() for batch in batches]
    np.testing.assert_allclose(losses, case["losses"], rtol=RTOL, atol=ATOL, err_msg="losses")
    metrics = head.metrics(batches[0].get("regularization_losses"))
    for batch in batches:
        metrics = head.update_metrics(metrics, **batch)
    assert_metrics(metrics, case["metrics"])
    predictions = {
        "|".join(key) if isinstance(key, tuple) else key: predicted
        for key, predicted in head.predictions(batches[0]["logits"]).items()
    }
    assert_predictions(predictions, case["predictions"])


def assert_metrics(metrics: dict[str, Any], expected: dict[str, float]) -> None:
    """The same keys and values."""
    assert metrics.keys() == expected.keys()
    for key, number in expected.items():
        actual = metrics[key].compute().item()
        rtol = 0 if key.startswith("auc") else RTOL
        np.testing.assert_allclose(actual, number, rtol=rtol, atol=ATOL, err_msg=key)


def assert_predictions(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    """The same keys in the same order, dtypes, shapes and values."""
    assert list(actual) == list(expected)
    for key, described in expected.items():
        wanted, given = array(described), actual[key].numpy()
        assert given.dtype == wanted.dtype, key
        assert given.shape == wanted.shape, key
        assert actual[key].shape == wanted.shape, key
        if wanted.dtype == object:
            assert given.tolist() == wanted.tolist(), key
        else:
            np.testing.assert_allclose(given, wanted, rtol=RTOL, atol=ATOL, err_msg=key)
