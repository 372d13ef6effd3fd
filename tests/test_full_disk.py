"""A disk that takes no more: evaluations keep their metrics, trainings fail."""

from __future__ import annotations

import contextlib
import logging
import resource

import pytest

import torchest
from torchest import columns as fc

BATCH = {"x": [1.0, 2.0]}, [1.0, 2.0]


@contextlib.contextmanager
def full():
    """While it lasts, the system refuses to make any file larger than nothing."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.fixture
def model(tmp_path):
    config = torchest.RunConfig(
        save_checkpoints_steps=1, save_summary_steps=None, log_step_count_steps=None
    )
    model = torchest.LinearRegressor([fc.numeric_column("x")], str(tmp_path), config=config)
    return model.train(lambda: BATCH, steps=1)


@pytest.mark.parametrize("kind", ["full", "no directory"])
def test_an_evaluation_returns_its_metrics_with_a_warning(model, tmp_path, caplog, kind):
    expected = model.evaluate(lambda: BATCH, steps=1, name="before")
    caplog.set_level(logging.WARNING, "torchest")
    with full() if kind == "full" else contextlib.nullcontext():
        if kind != "full":
            (tmp_path / "eval").touch()
        assert model.evaluate(lambda: BATCH, steps=1) == expected
    assert f"The metrics of step 1 cannot be written to {tmp_path}/eval (" in caplog.text
    assert "they are returned" in caplog.text


def test_an_evaluation_of_train_and_evaluate_returns_its_metrics_with_a_warning(
    model, tmp_path, caplog
):
    caplog.set_level(logging.WARNING, "torchest")
    (tmp_path / "eval").touch()
    metrics, _ = torchest.train_and_evaluate(
        model,
        torchest.TrainSpec(lambda: BATCH, max_steps=2),
        torchest.EvalSpec(lambda: BATCH, steps=1),
    )
    assert metrics["global_step"] == 2
    assert "train_and_evaluate.json cannot be written" in caplog.text


def test_a_training_fails_and_leaves_the_checkpoint_before(model):
    with full(), pytest.raises((OSError, RuntimeError), match=r"File too large"):
        model.train(lambda: BATCH, steps=1)
    assert model.evaluate(lambda: BATCH, steps=1)["global_step"] == 1
