"""A run of evaluation: metrics of all batches, merged."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest import metrics
from torchest.columns.features import Features
from torchest.evaluation_record import record_evaluation
from torchest.hooks.progress import ProgressBarHook
from torchest.keys import MetricKeys, ModeKeys
from torchest.loop import run_steps
from torchest.summary import SummaryWriter
from torchest.train_step import values_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.distributed.strategy import Strategy
    from torchest.feed import Feed
    from torchest.hooks.base import Session, SessionRunHook
    from torchest.running_model import RunningModel

_log = logging.getLogger("torchest")


def run_evaluation(
    model: RunningModel,
    feed: Feed,
    session: Session,
    strategy: Strategy,
    hooks: Sequence[SessionRunHook],
    steps: int | None,
) -> dict[str, Any]:
    """Evaluates a model that has been made and restored.

    Args:
        model: The model.
        feed: The batches.
        session: The model as hooks see it.
        strategy: Where the model runs.
        hooks: The user's.
        steps: How many batches to evaluate on; None: all.

    Returns:
        Metrics by name, sorted, as numpy scalars, and the global step last.
    """
    merged: dict[str, Any] = {}
    done = 0

    def step(batch: tuple[Any, Any]) -> None:
        nonlocal done
        spec = model(*batch, ModeKeys.EVAL)
        assert spec.loss is not None
        # a batch without rows has no loss to speak of
        losses = spec.loss.reshape(1)[: 0 if _is_empty(batch[0]) else 1]
        found = {**(spec.eval_metric_ops or {}), MetricKeys.LOSS: metrics.mean(losses)}
        for name, metric in found.items():
            merged[name] = merged[name].merge(metric) if name in merged else metric
        so_far = {name: merged[name] for name in spec.eval_metric_ops}
        session.values = {**values_of(spec), **so_far, MetricKeys.LOSS: spec.loss}
        strategy.end_step()
        done += 1
        _tell(done, steps)
        if done == steps:
            session.request_stop()

    _log.info("Starting evaluation at %s", time.strftime("%Y-%m-%dT%H:%M:%S"))
    began = time.monotonic()
    all_hooks = [*hooks, ProgressBarHook("evaluating", steps)]
    batches = strategy.batches(feed.batches(steps), ModeKeys.EVAL)
    for _ in run_steps(batches, step, session, all_hooks, batches.stopped):
        pass
    merged = strategy.merge(merged)
    results = {name: np.float32(metric.compute()) for name, metric in sorted(merged.items())}
    results[MetricKeys.GLOBAL_STEP] = np.int64(session.global_step)
    _log.info("Inference Time : %.5fs", time.monotonic() - began)
    _log.info("Finished evaluation at %s", time.strftime("%Y-%m-%d-%H:%M:%S"))
    return results


def write_evaluation(results: dict[str, Any], directory: str, checkpoint: str | None) -> None:
    """Logs the metrics, writes them for TensorBoard, and records them.

    Args:
        results: What `run_evaluation` gave.
        directory: Where to.
        checkpoint: The path of the checkpoint that was evaluated, if there was one.
    """
    step = int(results[MetricKeys.GLOBAL_STEP])
    listed = ", ".join(f"{name} = {value!s}" for name, value in sorted(results.items()))
    _log.info("Saving dict for global step %d: %s", step, listed)
    writer = SummaryWriter(directory)
    try:
        writer.scalars(
            {name: float(results[name]) for name in results if name != MetricKeys.GLOBAL_STEP}, step
        )
        if checkpoint is not None:
            _log.info("Saving 'checkpoint_path' summary for global step %d: %s", step, checkpoint)
            writer.text("checkpoint_path", checkpoint, step)
    finally:
        writer.close()
    metrics = {name: results[name] for name in results if name != MetricKeys.GLOBAL_STEP}
    record_evaluation(directory, step, checkpoint, metrics)


def _is_empty(features: Any) -> bool:
    return isinstance(features, Features) and len(features) > 0 and features.batch_size == 0


def _tell(done: int, steps: int | None) -> None:
    """Logs every tenth of the evaluation, or at 1, 10, 100 ... batches if its length is not known."""
    if steps is not None:
        if done % max(1, steps // 10) == 0 or done == steps:
            _log.info("Evaluation [%d/%d]", done, steps)
    elif done == 10 ** (len(str(done)) - 1):
        _log.info("Evaluation [%d]", done)
