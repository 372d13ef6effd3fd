"""Runs an evaluation, and merges the metrics of all batches."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import ChainMap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from torchest.engine.find_nan import first_in_labels
from torchest.engine.loop import run_steps
from torchest.engine.train_step import predictions_of
from torchest.hooks.progress import ProgressBarHook
from torchest.keys import MetricKeys, ModeKeys
from torchest.metrics import values
from torchest.metrics.sums import MetricSums
from torchest.modes.evaluation_record import record_evaluation
from torchest.summary import SummaryWriter
from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from torchest.engine.run import Run
    from torchest.inputs.batch import Batch
    from torchest.spec import EstimatorSpec, Outputs

_log = logging.getLogger("torchest")


class Evaluated(NamedTuple):
    """The result of an evaluation.

    Attributes:
        metrics: By name, sorted, as NumPy scalars or arrays; the global step comes last.
        curves: The metrics that are areas under precision-recall curves.
    """

    metrics: dict[str, Any]
    curves: dict[str, values.AUC]


def run_evaluation(run: Run, steps: int | None) -> Evaluated:
    """Evaluates a model that has been made and restored.

    Args:
        run: The model, its input and the user's hooks.
        steps: The number of batches to evaluate on; None: all.

    Raises:
        ValueError: The loss is NaN, and so is a label.
    """
    model, strategy, session = run.model, run.strategy, run.session()
    merged = _Merged()
    nan_label = ""
    done = 0

    def step(batch: Batch) -> None:
        nonlocal done, nan_label
        with session.collecting():
            spec = model.outputs(batch.features, batch.labels, ModeKeys.EVAL)
        assert spec.loss is not None
        loss = spec.loss.item() if spec.loss.is_cpu else None  # elsewhere it would wait
        merged.add(spec, loss, batch.rows)
        session.values = ChainMap(
            {MetricKeys.LOSS: spec.loss}, merged.by_name, predictions_of(spec)
        )
        strategy.end_step()
        done += 1
        if not nan_label and (loss is None or math.isnan(loss)):
            nan_label = _nan_label(done, batch.labels)
        _log_progress(done, steps)
        if done == steps:
            session.request_stop()

    _log.info("Starting evaluation at %s", time.strftime("%Y-%m-%dT%H:%M:%S"))
    began = time.monotonic()
    hooks = [*run.hooks, *run.model_hooks.evaluation, ProgressBarHook("evaluating", steps)]
    for _ in run_steps(run.feed.batches(steps), step, session, hooks):
        pass
    of_all = strategy.merge(merged.with_loss() if done else {})
    metrics: dict[str, Any] = {
        name: np.float32(metric.compute()) for name, metric in sorted(of_all.items())
    }
    if nan_label and np.isnan(metrics[MetricKeys.LOSS]):
        raise ValueError(nan_label)
    metrics[MetricKeys.GLOBAL_STEP] = np.int64(session.global_step)
    _log.info("Inference Time : %.5fs", time.monotonic() - began)
    _log.info("Finished evaluation at %s", time.strftime("%Y-%m-%d-%H:%M:%S"))
    curves = {
        name: metric
        for name, metric in of_all.items()
        if isinstance(metric, values.AUC) and metric.curve == "PR"
    }
    return Evaluated(metrics, curves)


def write_evaluation(evaluated: Evaluated, directory: str, checkpoint: str | None) -> None:
    """Logs the metrics, writes them for TensorBoard, and records them.

    Warns if they cannot be written, for example on a full disk.

    Args:
        evaluated: The result of `run_evaluation`.
        directory: The directory to write to.
        checkpoint: The path of the checkpoint that was evaluated, if there was one.
    """
    metrics, curves = evaluated
    step = int(metrics[MetricKeys.GLOBAL_STEP])
    listed = ", ".join(f"{name} = {value!s}" for name, value in sorted(metrics.items()))
    _log.info("Saving dict for global step %d: %s", step, listed)
    own = {name: value for name, value in metrics.items() if name != MetricKeys.GLOBAL_STEP}
    numbers = {name: float(value) for name, value in own.items() if np.ndim(value) == 0}
    files.remove_leftovers(directory)
    try:
        with contextlib.closing(SummaryWriter(directory)) as writer:
            for name, value in numbers.items():
                writer.add_scalar(name, value, step)
            for name in own.keys() - numbers.keys():
                writer.add_tensor(name, own[name], step)
            for name, curve in curves.items():
                writer.add_curve(f"{name}/curve", curve, step)
            if checkpoint is not None:
                _log.info(
                    "Saving 'checkpoint_path' summary for global step %d: %s", step, checkpoint
                )
                writer.add_text("checkpoint_path", checkpoint, step)
        record_evaluation(directory, step, checkpoint, numbers)
    except OSError as error:
        _log.warning(
            "The metrics of step %d cannot be written to %s (%s): they are returned, but TensorBoard and early "
            "stopping do not see them.",
            step, directory, error,
        )  # fmt: skip


class _Merged:
    """The metrics of all batches so far.

    Attributes:
        by_name: Without the loss. Later batches make another mapping.
    """

    def __init__(self) -> None:
        self.by_name: MutableMapping[str, Any] = {}
        self._total = self._batches = 0.0  # of losses on the host
        self._losses: list[
            values.Mean
        ] = []  # that of losses on a device, which are read at the end

    def add(self, spec: Outputs | EstimatorSpec, loss: float | None, rows: int) -> None:
        """Adds the metrics of a batch and its loss; None for a loss on a device."""
        if loss is None:
            assert spec.loss is not None
            of_batch = values.mean(spec.loss.reshape(1)[: min(rows, 1)])  # no rows: no loss
            self._losses = [sum_of.merge(of_batch) for sum_of in self._losses] or [of_batch]
        elif rows:
            self._total += loss
            self._batches += 1
        metrics, so_far = spec.eval_metric_ops, self.by_name
        sums = so_far.plus(metrics) if isinstance(so_far, MetricSums) else None
        if sums is not None or not so_far:
            self.by_name = metrics if sums is None else sums
            return
        merged = dict(so_far)
        for name, metric in metrics.items():
            merged[name] = merged[name].merge(metric) if name in merged else metric
        self.by_name = merged

    def with_loss(self) -> dict[str, Any]:
        """The metrics with the mean of the losses."""
        on_host = torch.tensor([self._total, self._batches], dtype=torch.float64)
        (loss,) = self._losses or [values.Mean(on_host)]
        return {**self.by_name, MetricKeys.LOSS: loss}


def _nan_label(number: int, labels: object) -> str:
    """The error message if a label is NaN; else empty."""
    clause = first_in_labels(labels)
    return clause and (
        f"The loss of batch {number} of the evaluation is NaN: {clause}. Leave out rows whose label is missing."
    )


def _log_progress(done: int, steps: int | None) -> None:
    """Logs each tenth of the evaluation, or 1, 10, 100 ... batches if its length is not known."""
    if steps is not None:
        if done % max(1, steps // 10) == 0 or done == steps:
            _log.info("Evaluation [%d/%d]", done, steps)
    elif done == 10 ** (len(str(done)) - 1):
        _log.info("Evaluation [%d]", done)
