"""A run of evaluation: metrics of all batches, merged."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import ChainMap
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.engine.find_nan import first_in_labels
from torchest.engine.loop import run_steps
from torchest.engine.train_step import values_of
from torchest.hooks.progress import ProgressBarHook
from torchest.keys import MetricKeys, ModeKeys
from torchest.metrics import values as metrics
from torchest.modes.evaluation_record import record_evaluation
from torchest.summary import SummaryWriter
from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from torchest.distributed.strategy import Strategy
    from torchest.engine.feed import Feed
    from torchest.engine.hooks import Session, SessionRunHook
    from torchest.engine.model import RunningModel
    from torchest.inputs.batch import Batch

_log = logging.getLogger("torchest")


def run_evaluation(
    model: RunningModel,
    feed: Feed,
    session: Session,
    strategy: Strategy,
    hooks: Sequence[SessionRunHook],
    steps: int | None,
) -> tuple[dict[str, Any], dict[str, metrics.AUC]]:
    """Evaluates a model that has been made and restored.

    Args:
        model: The model.
        feed: The batches.
        session: The model as hooks see it.
        strategy: Where the model runs.
        hooks: The user's.
        steps: How many batches to evaluate on; None: all.

    Returns:
        Metrics by name, sorted, as numpy scalars, and the global step last. And those among the metrics
        that are areas under precision-recall curves, so that the curves can be shown.

    Raises:
        ValueError: The loss is NaN, and so is a label.
    """
    merged: dict[str, Any] = {}
    nan_label = ""
    done = 0

    def step(batch: Batch) -> None:
        nonlocal done, nan_label
        spec = model(*batch, ModeKeys.EVAL)
        assert spec.loss is not None
        losses = spec.loss.reshape(1)[: min(batch.rows, 1)]  # a batch without rows has no loss
        found = {**(spec.eval_metric_ops or {}), MetricKeys.LOSS: metrics.mean(losses)}
        for name, metric in found.items():
            merged[name] = merged[name].merge(metric) if name in merged else metric
        so_far = {name: merged[name] for name in spec.eval_metric_ops}
        session.values = ChainMap({**so_far, MetricKeys.LOSS: spec.loss}, values_of(spec))
        strategy.end_step()
        done += 1
        nan_label = nan_label or _nan_label(done, spec.loss, batch.labels)
        _tell(done, steps)
        if done == steps:
            session.request_stop()

    _log.info("Starting evaluation at %s", time.strftime("%Y-%m-%dT%H:%M:%S"))
    began = time.monotonic()
    all_hooks = [*hooks, ProgressBarHook("evaluating", steps)]
    session.is_chief = strategy.is_chief
    batches = strategy.batches(feed.batches(steps), ModeKeys.EVAL)
    for _ in run_steps(batches, step, session, all_hooks, batches.stopped):
        pass
    merged = strategy.merge(merged)
    metrics_by_name = {
        name: np.float32(metric.compute()) for name, metric in sorted(merged.items())
    }
    if nan_label and np.isnan(metrics_by_name[MetricKeys.LOSS]):
        raise ValueError(nan_label)
    results = {**metrics_by_name, MetricKeys.GLOBAL_STEP: np.int64(session.global_step)}
    _log.info("Inference Time : %.5fs", time.monotonic() - began)
    _log.info("Finished evaluation at %s", time.strftime("%Y-%m-%d-%H:%M:%S"))
    curves = {
        name: metric
        for name, metric in merged.items()
        if isinstance(metric, metrics.AUC) and metric.curve == "PR"
    }
    return results, curves


def write_evaluation(
    results: Mapping[str, Any],
    curves: Mapping[str, metrics.AUC],
    directory: str,
    checkpoint: str | None,
) -> None:
    """Logs the metrics, writes them for TensorBoard, and records them.

    What cannot be written, on a disk that is full or read-only, is told in a warning: the metrics are worth more.

    Args:
        results: What `run_evaluation` gave.
        curves: What it gave too.
        directory: Where to.
        checkpoint: The path of the checkpoint that was evaluated, if there was one.
    """
    step = int(results[MetricKeys.GLOBAL_STEP])
    listed = ", ".join(f"{name} = {value!s}" for name, value in sorted(results.items()))
    _log.info("Saving dict for global step %d: %s", step, listed)
    numbers = {name: float(results[name]) for name in results if name != MetricKeys.GLOBAL_STEP}
    files.remove_leftovers(directory)
    try:
        _write_events(numbers, curves, directory, step, checkpoint)
        record_evaluation(directory, step, checkpoint, numbers)
    except OSError as error:
        _log.warning(
            "The metrics of step %d cannot be written to %s (%s): they are returned, but TensorBoard and early "
            "stopping do not see them.",
            step, directory, error,
        )  # fmt: skip


def _write_events(
    numbers: Mapping[str, float],
    curves: Mapping[str, metrics.AUC],
    directory: str,
    step: int,
    checkpoint: str | None,
) -> None:
    with contextlib.closing(SummaryWriter(directory)) as writer:
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)
        for name, curve in curves.items():
            writer.add_curve(f"{name}/curve", curve, step)
        if checkpoint is not None:
            _log.info("Saving 'checkpoint_path' summary for global step %d: %s", step, checkpoint)
            writer.add_text("checkpoint_path", checkpoint, step)


def _nan_label(number: int, loss: Tensor, labels: Any) -> str:
    """What to say of a batch if its loss is NaN, or cannot be looked at without waiting, and a label is too."""
    if loss.device.type == "cpu" and not math.isnan(loss.item()):
        return ""
    clause = first_in_labels(labels)
    return clause and (
        f"The loss of batch {number} of the evaluation is NaN: {clause}. Leave out rows whose label is missing."
    )


def _tell(done: int, steps: int | None) -> None:
    """Logs every tenth of the evaluation, or at 1, 10, 100 ... batches if its length is not known."""
    if steps is not None:
        if done % max(1, steps // 10) == 0 or done == steps:
            _log.info("Evaluation [%d/%d]", done, steps)
    elif done == 10 ** (len(str(done)) - 1):
        _log.info("Evaluation [%d]", done)
