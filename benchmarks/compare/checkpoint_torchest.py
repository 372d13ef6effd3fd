"""torchest's checkpoints of a linear model: writing them during training, and restoring them."""

from __future__ import annotations

import itertools
import tempfile
from typing import Any

import torchest
from benchmarks.compare.data import make_batches
from benchmarks.compare.saves import (
    SAVE_SECONDS,
    Restored,
    SaveMeter,
    seconds_to_restore,
    state_bytes,
)
from benchmarks.compare.side_torchest import make_config, make_estimator
from benchmarks.compare.worker import answer_requests, task_and_seconds


class Meter(torchest.SessionRunHook, torchest.CheckpointSaverListener):
    """Tells a meter of saves and steps. As it has no `after_save`, training need not wait for a checkpoint."""

    def __init__(self, meter: SaveMeter) -> None:
        self._meter = meter

    def before_save(self, session: Any, global_step_value: int) -> None:
        """A checkpoint begins."""
        self._meter.before_save()

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """A step has run."""
        if not self._meter.after_step():
            run_context.request_stop()


class End(torchest.SessionRunHook):
    """Ends a training before its first step."""

    def before_run(self, run_context: Any) -> None:
        """All is restored."""
        raise Restored


def main() -> None:
    """Runs one task."""
    task, _ = task_and_seconds()
    batches = make_batches(task["rows"], 20)
    model_dir = tempfile.mkdtemp()
    if task["what"] == "checkpoint":
        meter = Meter(SaveMeter(model_dir, state_bytes(task)))
        config = make_config(task, model_dir, save_checkpoints_secs=SAVE_SECONDS)
        estimator = make_estimator(task, config)
        estimator.train(lambda: itertools.cycle(batches), hooks=[meter], saving_listeners=[meter])
        return
    saving = make_config(task, model_dir, save_checkpoints_steps=1_000_000)
    make_estimator(task, saving).train(lambda: iter(batches), steps=1)

    def restore() -> None:
        estimator = make_estimator(task, make_config(task, model_dir))
        estimator.train(lambda: iter(batches), hooks=[End()])

    answer_requests(lambda: seconds_to_restore(restore))


if __name__ == "__main__":
    main()
