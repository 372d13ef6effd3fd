"""Evaluates the checkpoints of a training and calls the exporters: each checkpoint once, the last one always."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.checkpoint.checksums import identity as identity_of
from torchest.checkpoint.directory import Checkpoint, held
from torchest.engine.feed import training_paused
from torchest.keys import MetricKeys
from torchest.modes.evaluation_record import count_evaluation
from torchest.utils import files
from torchest.utils.random_state import kept_random_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torchest.engine.hooks import SessionRunHook
    from torchest.estimator.estimator import Estimator
    from torchest.train_evaluate.exporters import Exporter
    from torchest.train_evaluate.specs import EvalSpec

_log = logging.getLogger("torchest")
_FILE = "train_and_evaluate.json"


class Evaluator:
    """Evaluates checkpoints one after the other.

    A small file in the directory of evaluations records the progress on the last checkpoint, for a restart after a
    kill.

    Args:
        estimator: The estimator.
        eval_spec: The data, how often to evaluate, and exporters.
        max_steps: A checkpoint of this step or above is the last. None: the last one is passed to `finish`.
        clock: Returns the time in seconds; monotonic, so it ignores changes of the system's clock.

    Attributes:
        result: The metrics of the last evaluation; None before the first.
        exports: The results of the exporters for the last evaluation; None before the first.
    """

    def __init__(
        self,
        estimator: Estimator,
        eval_spec: EvalSpec,
        max_steps: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.result: dict[str, Any] | None = None
        self.exports: list[object] | None = None
        self._estimator = estimator
        self._spec = eval_spec
        self._max_steps = max_steps
        self._clock = clock
        self._last_start: float | None = None
        self._record = _Record(files.join(estimator.eval_dir(eval_spec.name), _FILE))

    def at(self, checkpoint: str, hooks: Sequence[SessionRunHook] = ()) -> None:
        """Evaluates a checkpoint, if `throttle_secs` have passed since the start of the last evaluation.

        Args:
            checkpoint: The path of the checkpoint.
            hooks: Called during the evaluation, besides those of the `EvalSpec`.
        """
        if not self.seconds_to_wait():
            self._evaluate(checkpoint, hooks, is_last=False)
            return
        assert self._last_start is not None
        _log.info(
            "Skip the evaluation of %s: the last one began %.0f s ago, and throttle_secs=%g. "
            "The last checkpoint of training is evaluated in any case.",
            checkpoint, self._clock() - self._last_start, self._spec.throttle_secs,
        )  # fmt: skip

    def seconds_to_wait(self) -> float:
        """The number of seconds until the next evaluation may begin."""
        if self._last_start is None:
            return 0.0
        return max(0.0, self._last_start + self._spec.throttle_secs - self._clock())

    def finish(self, checkpoint: str) -> None:
        """Evaluates the last checkpoint of training, and exports it."""
        self._evaluate(checkpoint, (), is_last=True)

    def _evaluate(self, path: str, hooks: Sequence[SessionRunHook], *, is_last: bool) -> None:
        identity, step = identity_of(path), Checkpoint(path).global_step
        is_last = is_last or (self._max_steps is not None and step >= self._max_steps)
        device = self._estimator._strategy.device
        with held(path), training_paused(), kept_random_state(device):
            if self._record.checkpoint == identity:
                self._log_known(path, is_last=is_last)
                count_evaluation()
            else:
                self._last_start = self._clock()
                self.result = self._estimator.evaluate(
                    self._spec.input_fn,
                    steps=self._spec.steps,
                    hooks=[*self._spec.hooks, *hooks],
                    checkpoint_path=path,
                    name=self._spec.name,
                )
                self.exports = [None] * len(self._spec.exporters)
                self._record.evaluated(identity, self.result)
            self._export(path, is_last=is_last)

    def _log_known(self, path: str, *, is_last: bool) -> None:
        waiting = [exporter.name for exporter in self._waiting(is_last=is_last)]
        _log.info(
            "%s was evaluated before and has not changed: it is not evaluated again%s.",
            path, f", only exported ({', '.join(waiting)})" if waiting else "",
        )  # fmt: skip

    def _export(self, path: str, *, is_last: bool) -> None:
        result = dict(self._record.metrics)
        waiting = self._waiting(is_last=is_last)
        for exporter in waiting:
            exported = exporter.export(
                estimator=self._estimator,
                export_path=files.join(self._estimator.model_dir, "export", exporter.name),
                checkpoint_path=path,
                eval_result=result,
                is_the_final_export=is_last,
            )
            self._record.called(exporter.name, is_last=is_last, exported=exported is not None)
            if self.exports is None:
                self.result, self.exports = result, [None] * len(self._spec.exporters)
            self.exports[self._spec.exporters.index(exporter)] = exported

    def _waiting(self, *, is_last: bool) -> list[Exporter]:
        """The exporters that have not been called for the checkpoint yet."""
        return [
            exporter
            for exporter in self._spec.exporters
            if self._record.is_waiting(exporter.name, is_last=is_last)
        ]


class _Record:
    """The progress on the last checkpoint, in a file.

    Attributes:
        checkpoint: The identity of the checkpoint; None if there was none.
        metrics: The metrics of the checkpoint.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.checkpoint: str | None = None
        self.metrics: Mapping[str, Any] = {}
        self._called: dict[str, dict[str, bool]] = {}
        try:
            known = files.read_json(path)
            metrics = _numpy(known["metrics"])
            called = {
                name: {key: bool(each[key]) for key in ("for_the_last_time", "exported")}
                for name, each in known["exporters"].items()
            }
            self.checkpoint, self.metrics, self._called = known["checkpoint"], metrics, called
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            _log.warning("%s is not readable: what was evaluated before is forgotten.", path)

    def evaluated(self, checkpoint: str, metrics: Mapping[str, object]) -> None:
        self.checkpoint, self.metrics, self._called = checkpoint, metrics, {}
        self._write()

    def called(self, exporter: str, *, is_last: bool, exported: bool) -> None:
        self._called[exporter] = {"for_the_last_time": is_last, "exported": exported}
        self._write()

    def is_waiting(self, exporter: str, *, is_last: bool) -> bool:
        """Whether an exporter was not called yet, or exported nothing before the checkpoint was known as the last."""
        known = self._called.get(exporter)
        if known is None:
            return True
        return is_last and not known["for_the_last_time"] and not known["exported"]

    def _write(self) -> None:
        known = {
            "checkpoint": self.checkpoint,
            "metrics": {name: value.item() for name, value in self.metrics.items()},
            "exporters": self._called,
        }
        try:
            files.make_directory(files.parent_and_name(self._path)[0])
            files.write_text(self._path, json.dumps(known, indent=1) + "\n")
        except OSError as error:  # on a full or read-only disk; training fails in its own writes
            _log.warning(
                "%s cannot be written (%s): after a restart, this checkpoint is evaluated again.",
                self._path, error,
            )  # fmt: skip


def _numpy(metrics: Mapping[str, float]) -> dict[str, np.number]:
    """Metrics as `Estimator.evaluate` returns them."""
    return {
        name: np.int64(value) if name == MetricKeys.GLOBAL_STEP else np.float32(value)
        for name, value in metrics.items()
    }
