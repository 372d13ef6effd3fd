"""torchest's checkpoints of a linear model: writing them during training, and restoring them."""

from __future__ import annotations

import itertools
import logging
import tempfile
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from collections.abc import Iterator


class Meter(logging.Handler):
    """Tells a meter of saves by log lines and of steps by batches: with hooks, training would wait for checkpoints."""

    def __init__(self, meter: SaveMeter) -> None:
        super().__init__()
        self._meter = meter

    def emit(self, record: logging.LogRecord) -> None:
        """A line is logged."""
        if record.getMessage().startswith("Saving checkpoints for"):
            self._meter.before_save()

    def steps(self, batches: list[Any]) -> Iterator[Any]:
        """The batches again and again, until enough is measured."""
        for batch in itertools.cycle(batches):
            yield batch
            if not self._meter.after_step():
                return


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
        log = logging.getLogger("torchest")
        log.addHandler(meter)
        log.setLevel(logging.INFO)
        estimator.train(lambda: meter.steps(batches))
        return
    saving = make_config(task, model_dir, save_checkpoints_steps=1_000_000)
    make_estimator(task, saving).train(lambda: iter(batches), steps=1)

    def restore() -> None:
        estimator = make_estimator(task, make_config(task, model_dir))
        estimator.train(lambda: iter(batches), hooks=[End()])

    answer_requests(lambda: seconds_to_restore(restore))


if __name__ == "__main__":
    main()
