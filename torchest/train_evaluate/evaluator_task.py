"""An evaluator in a separate process beside training.

All processes run the same program, which calls `train_and_evaluate`. As for tf.estimator, the environment variable
TF_CONFIG assigns the tasks:

    TF_CONFIG='{"cluster": {"chief": ["localhost"]}, "task": {"type": "chief"}}' python program.py
    TF_CONFIG='{"cluster": {"chief": ["localhost"]}, "task": {"type": "evaluator"}}' python program.py

The first only trains, the second evaluates and exports. They communicate through the model_dir: training has ended when
the checkpoint of `max_steps` exists, or when the file `unfinished` is gone. That file stays when training is killed,
and the evaluator then waits for the restart.

Several processes may train: the chief and the workers of TF_CONFIG, or those that torchrun starts with the chief's
TF_CONFIG.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from torchest.checkpoint.directory import in_use, latest_checkpoint
from torchest.checkpoint.index import read_index, step_of
from torchest.distributed.environment import cluster_of_environment
from torchest.distributed.tf_config import EVALUATOR
from torchest.engine.resume import is_unfinished
from torchest.errors import DamagedCheckpointError
from torchest.train_evaluate.evaluator import Evaluator
from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchest.estimator.estimator import Estimator
    from torchest.train_evaluate.specs import EvalSpec

_log = logging.getLogger("torchest")
_POLL_SECS = 1.0
_LOG_SECS = 600.0
TRAINER, BOTH = "trainer", "both"


def role_of_environment() -> str:
    """The role of this process in `train_and_evaluate`: EVALUATOR, TRAINER, or BOTH.

    Raises:
        ValueError: The environment is wrong, or this is a second evaluator.
        SystemExit: This process is a parameter server.
    """
    cluster = cluster_of_environment()
    cluster.end_parameter_server("train_and_evaluate")
    if not cluster.is_evaluator:
        return TRAINER if cluster.leaves_evaluation_to_another else BOTH
    if cluster.task_id:
        raise ValueError(
            f"train_and_evaluate: TF_CONFIG says that this process is evaluator {cluster.task_id}, but a training has "
            "one evaluator, of index 0: do not start this process."
        )
    return EVALUATOR


def evaluate_beside_training(
    estimator: Estimator,
    eval_spec: EvalSpec,
    max_steps: int | None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Evaluator:
    """Evaluates the checkpoints that a training in another process writes, until it has ended.

    Args:
        estimator: An estimator like the one that is trained.
        eval_spec: The data, how often to evaluate, exporters, and the delay before the first evaluation. That time
            should cover the start of the other process if the model_dir holds checkpoints of an earlier training.
        max_steps: A checkpoint of this step or above is the last. None: training ends with its input.
        clock: Returns the time in seconds.
        sleep: Waits for a number of seconds.

    Returns:
        The evaluator, with the last results.
    """
    _log.info("This process is the evaluator of %s; another one trains.", estimator.model_dir)
    evaluator = Evaluator(estimator, eval_spec, max_steps, clock)
    sleep(eval_spec.start_delay_secs)
    watch = _Watch(estimator.model_dir, max_steps, clock)
    while True:
        path, is_last = watch.newest()
        try:
            if path is not None and is_last:
                watch.log_skipped(path)
                with in_use(path):
                    evaluator.finish(path)
                return evaluator
            if path is not None and not evaluator.seconds_to_wait():
                watch.log_skipped(path)
                with in_use(path):
                    evaluator.at(path)
        except FileNotFoundError:  # a newer one has taken its place
            _log.info("%s is not evaluated: it has been removed.", path)
        except DamagedCheckpointError as error:
            if is_last:
                raise
            _log.warning("%s It is not evaluated.", error)
        sleep(_POLL_SECS)


class _Watch:
    """Looks for new checkpoints."""

    def __init__(self, model_dir: str, max_steps: int | None, clock: Callable[[], float]) -> None:
        self._model_dir = model_dir
        self._max_steps = max_steps
        self._clock = clock
        self._logged_at = clock()
        self._seen: set[int] = set()
        self._last = 0  # the step of the last evaluation; step 0 is not evaluated

    def newest(self) -> tuple[str | None, bool]:
        """The newest checkpoint, or None if `log_skipped` has seen it; and whether it is the last."""
        # read first: once training has ended, the last checkpoint is there
        is_running = is_unfinished(self._model_dir)
        self._seen |= {step_of(name) for name in read_index(self._model_dir).times}
        path = latest_checkpoint(self._model_dir)
        step = 0 if path is None else step_of(files.parent_and_name(path)[1])
        reached = self._max_steps is not None and step >= self._max_steps
        if path is not None and (reached or not is_running):
            why = f"max_steps={self._max_steps} is reached" if reached else "training has ended"
            _log.info("%s is the last checkpoint: %s.", path, why)
            return path, True
        if step == self._last:
            self._log_waiting()
            return None, False
        return path, False

    def log_skipped(self, path: str) -> None:
        """Logs the checkpoints that are skipped between the last evaluation and the next one, of this checkpoint."""
        step = step_of(files.parent_and_name(path)[1])
        for skipped in sorted(self._seen):
            if self._last < skipped < step:
                _log.info("The checkpoint of step %d is not evaluated: %s is newer.", skipped, path)
        self._last, self._logged_at = step, self._clock()

    def _log_waiting(self) -> None:
        if self._clock() - self._logged_at >= _LOG_SECS:
            self._logged_at = self._clock()
            _log.info("Waiting for a checkpoint in %s that is not evaluated yet.", self._model_dir)
