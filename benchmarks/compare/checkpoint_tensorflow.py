"""tf.estimator's checkpoints of a linear model: writing them during training, and restoring them."""

from __future__ import annotations

import tempfile
from typing import Any

from benchmarks.compare.data import make_batches
from benchmarks.compare.saves import (
    SAVE_SECONDS,
    Restored,
    SaveMeter,
    seconds_to_restore,
    state_bytes,
)
from benchmarks.compare.side_tensorflow import make_config, make_estimator, tf
from benchmarks.compare.worker import answer_requests, task_and_seconds


class Listener(tf.estimator.CheckpointSaverListener):
    """Tells a meter of saves."""

    def __init__(self, meter: SaveMeter) -> None:
        self._meter = meter

    def before_save(self, session: Any, global_step_value: int) -> None:
        """A checkpoint begins."""
        self._meter.before_save()

    def after_save(self, session: Any, global_step_value: int) -> None:
        """A checkpoint ends, or goes on while training does."""
        self._meter.after_save()


class Steps(tf.estimator.SessionRunHook):
    """Tells a meter of steps."""

    def __init__(self, meter: SaveMeter) -> None:
        self._meter = meter

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """A step has run."""
        if not self._meter.after_step():
            run_context.request_stop()


class End(tf.estimator.SessionRunHook):
    """Ends a training before its first step."""

    def before_run(self, run_context: Any) -> None:
        """All is restored."""
        raise Restored


def main() -> None:
    """Runs one task."""
    task, _ = task_and_seconds()
    batch = make_batches(task["rows"], 1)[0]
    model_dir = tempfile.mkdtemp()

    def input_fn() -> Any:
        return tf.data.Dataset.from_tensors(batch).repeat()

    if task["what"] == "checkpoint":
        meter = SaveMeter(model_dir, state_bytes(task))
        config = make_config(model_dir, save_checkpoints_secs=SAVE_SECONDS)
        make_estimator(task, config).train(
            input_fn, hooks=[Steps(meter)], saving_listeners=[Listener(meter)]
        )
        return
    saving = make_config(model_dir, save_checkpoints_steps=1_000_000)
    make_estimator(task, saving).train(input_fn, steps=1)

    def restore() -> None:
        make_estimator(task, make_config(model_dir)).train(input_fn, hooks=[End()])

    answer_requests(lambda: seconds_to_restore(restore))


if __name__ == "__main__":
    main()
