"""Early stopping: hooks that end training by the metrics of evaluations.

    hook = torchest.experimental.stop_if_no_decrease_hook(model, "loss", 1000, run_every_steps=100, run_every_secs=None)
    torchest.train_and_evaluate(model, torchest.TrainSpec(train_input_fn, hooks=[hook]), eval_spec)

A hook reads the metrics as often as its arguments say, and after each evaluation in its process, such as those of
train_and_evaluate. If there was nothing to read, or it read too rarely to act, it warns at the end.

Evaluations record their metrics in their directory, so the best metric and its step survive a restart. Evaluations of
later steps than the current one, which an older training may have left, do not count.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from torchest.engine.hooks import SessionRunContext, SessionRunHook, SessionRunValues
from torchest.errors import suggest
from torchest.estimator.estimator import Estimator
from torchest.hooks.stop_at_step import StopAtStepHook
from torchest.hooks.timer import SecondOrStepTimer, check_periods
from torchest.modes.evaluation_record import evaluations_of_this_process, read_evaluations
from torchest.utils import checks, files
from torchest.utils.checks import shown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from torchest.engine.hooks import Session

    Directory = str | os.PathLike[str]
    Period = tuple[float | None, int | None]  # seconds, steps

_log = logging.getLogger("torchest")


def make_early_stopping_hook(
    estimator: Estimator,
    should_stop_fn: Callable[[], bool],
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> SessionRunHook:
    """Returns a hook that ends training when a function returns True.

    Args:
        estimator: The estimator that trains.
        should_stop_fn: A function without arguments that returns whether to stop. It is called after the
            first step, and then periodically.
        run_every_secs: Seconds between two calls; None if `run_every_steps` is given.
        run_every_steps: Steps between two calls.

    Returns:
        A hook for `train` or `TrainSpec`.

    Raises:
        TypeError: `estimator` is no estimator.
        ValueError: Both or neither of the periods are given, or an argument is invalid.
    """
    name, kind = (
        "make_early_stopping_hook",
        "a function without arguments that returns whether to stop",
    )
    checks.function(f"{name}: should_stop_fn", should_stop_fn, kind)
    every = run_every_secs, run_every_steps
    return _StopHook(name, estimator, lambda _: should_stop_fn(), every)


def stop_if_higher_hook(  # noqa: PLR0913 - the arguments that tf.estimator's function takes
    estimator: Estimator,
    metric_name: str,
    threshold: float,
    eval_dir: Directory | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> SessionRunHook:
    """Returns a hook that ends training after an evaluation whose metric is above a threshold.

    Args:
        estimator: The estimator that trains.
        metric_name: A key of the metrics that `evaluate` returns, such as "accuracy".
        threshold: The threshold.
        eval_dir: Directory of the evaluations. None: `estimator.eval_dir()`.
        min_steps: Evaluations of earlier steps do not count.
        run_every_secs: Seconds between two readings of the evaluations, the first of which is before the
            first step; None if `run_every_steps` is given.
        run_every_steps: Steps between two readings.

    Returns:
        A hook for `train` or `TrainSpec`.

    Raises:
        TypeError: `estimator` is no estimator.
        ValueError: Both or neither of the periods are given, or an argument is invalid; in training, if there
            are evaluations without such a metric.
    """
    name, every = "stop_if_higher_hook", (run_every_secs, run_every_steps)
    evaluations = _Evaluations(name, estimator, metric_name, eval_dir, min_steps)
    checks.number(f"{name}: threshold", threshold)
    crosses = partial(_first, crosses=lambda value: value > threshold)
    return _StopOfEvaluationsHook(evaluations, crosses, every)


def stop_if_lower_hook(  # noqa: PLR0913 - the arguments that tf.estimator's function takes
    estimator: Estimator,
    metric_name: str,
    threshold: float,
    eval_dir: Directory | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> SessionRunHook:
    """Like `stop_if_higher_hook`, for a metric below the threshold."""
    name, every = "stop_if_lower_hook", (run_every_secs, run_every_steps)
    evaluations = _Evaluations(name, estimator, metric_name, eval_dir, min_steps)
    checks.number(f"{name}: threshold", threshold)
    crosses = partial(_first, crosses=lambda value: value < threshold)
    return _StopOfEvaluationsHook(evaluations, crosses, every)


def stop_if_no_increase_hook(  # noqa: PLR0913 - the arguments that tf.estimator's function takes
    estimator: Estimator,
    metric_name: str,
    max_steps_without_increase: int,
    eval_dir: Directory | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> SessionRunHook:
    """Returns a hook that ends training when a metric has not increased for a number of steps.

    `max_steps_without_increase` is the number of steps from the best evaluation to the one that ends training. The
    other arguments and errors are those of `stop_if_higher_hook`.
    """
    name, every = "stop_if_no_increase_hook", (run_every_secs, run_every_steps)
    evaluations = _Evaluations(name, estimator, metric_name, eval_dir, min_steps)
    patience = checks.step_count(f"{name}: max_steps_without_increase", max_steps_without_increase)
    return _StopOfEvaluationsHook(evaluations, partial(_stalled, patience=patience), every)


def stop_if_no_decrease_hook(  # noqa: PLR0913 - the arguments that tf.estimator's function takes
    estimator: Estimator,
    metric_name: str,
    max_steps_without_decrease: int,
    eval_dir: Directory | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> SessionRunHook:
    """Like `stop_if_no_increase_hook`, for a metric that has not decreased."""
    name, every = "stop_if_no_decrease_hook", (run_every_secs, run_every_steps)
    evaluations = _Evaluations(name, estimator, metric_name, eval_dir, min_steps)
    patience = checks.step_count(f"{name}: max_steps_without_decrease", max_steps_without_decrease)
    return _StopOfEvaluationsHook(evaluations, partial(_stalled, patience=patience, sign=-1), every)


def make_stop_at_checkpoint_step_hook(
    estimator: Estimator,
    last_step: int,
    wait_after_file_check_secs: float = 30,
) -> SessionRunHook:
    """Returns `StopAtStepHook(last_step=last_step)`.

    In tf.estimator, workers wait for a checkpoint of the chief; here all processes take each step together.

    Args:
        estimator: The estimator that trains.
        last_step: The global step to end at.
        wait_after_file_check_secs: Has no effect.

    Raises:
        TypeError: `estimator` is no estimator.
        ValueError: Another argument is invalid.
    """
    of = "make_stop_at_checkpoint_step_hook"
    _check_estimator(of, estimator)
    checks.step_count(f"{of}: last_step", last_step)
    checks.number(f"{of}: wait_after_file_check_secs", wait_after_file_check_secs, at_least=0)
    return StopAtStepHook(last_step=last_step)


# Checkpoints hold the states of hooks by the names of their classes.


class _StopHook(SessionRunHook):
    """Calls `should_stop(global_step)` periodically, and after each evaluation in this process."""

    def __init__(
        self, function: str, estimator: Estimator, should_stop: Callable[[int], bool], every: Period
    ) -> None:
        _check_estimator(function, estimator)
        secs, steps = every
        check_periods(f"{function}: ", ("run_every_secs", secs), ("run_every_steps", steps))
        self._function = function
        self._should_stop = should_stop
        self._timer = SecondOrStepTimer(secs, steps)
        self._period = f"run_every_steps={steps}" if secs is None else f"run_every_secs={secs:g}"
        self._has_stopped, self._looks, self._evaluations = False, 0, 0

    def begin(self) -> None:
        """Makes the first step trigger."""
        self._timer.reset()
        self._has_stopped, self._looks = False, 0
        self._evaluations = evaluations_of_this_process()

    def after_create_session(self, session: Session, coord: None) -> None:
        """Registers the hook so that evaluations of checkpoints trigger it, too."""
        session.after_save.append(self._look_if_evaluated)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Calls `should_stop` periodically, and after evaluations."""
        session = run_context.session
        step = session.global_step
        if self._timer.should_trigger_for_step(step):
            self._timer.update_last_triggered_step(step)
            self._look(session)
        else:
            self._look_if_evaluated(session)

    def end(self, session: Session) -> None:
        """Warns if the hook could not act."""
        reason = None if self._has_stopped or not session.is_chief else self._why_idle(session)
        if reason is not None:
            _log.warning("%s could not end this training: %s", self._function, reason)

    def state_dict(self) -> dict[str, Any]:
        """The time of the last call, and the number of calls."""
        return {"timer": self._timer.state_dict(), "looks": self._looks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the state after an interruption."""
        self._timer.load_state_dict(state["timer"])
        self._looks = state["looks"]

    def _why_idle(self, session: Session) -> str | None:
        """Why the hook could not act; None if it could."""
        steps = session.global_step - session.began_at
        if self._looks > 1 or steps <= 1:
            return None
        return (
            f"should_stop_fn was called once, after the first of {steps} steps, as {self._period} is longer than the "
            "training. Give run_every_steps=... and run_every_secs=None to call it more often."
        )

    def _look_if_evaluated(self, session: Session) -> None:
        if self._evaluations != evaluations_of_this_process():
            self._look(session)

    def _look(self, session: Session) -> None:
        self._evaluations = evaluations_of_this_process()
        self._looks += 1
        if self._should_stop(session.global_step):
            self._has_stopped = True
            _log.info("Requesting early stopping at global step %d.", session.global_step)
            session.request_stop()


class _StopOfEvaluationsHook(_StopHook):
    """Stops if `reason_in`, called with the values of a metric by step, returns a reason.

    It reads evaluations before the first step too, so that a stopped training stays stopped when it is restarted.
    """

    def __init__(
        self,
        evaluations: _Evaluations,
        reason_in: Callable[[dict[int, float]], str | None],
        every: Period,
    ) -> None:
        super().__init__(evaluations.function, evaluations.estimator, self._decide, every)
        self._of, self._reason_in = evaluations, reason_in

    def _decide(self, global_step: int) -> bool:
        reason = self._reason_in(self._of.values_until(global_step))
        if reason is not None:
            _log.info("Metric %r %s.", self._of.metric_name, reason)
        return reason is not None

    def after_create_session(self, session: Session, coord: None) -> None:
        """Reads the evaluations of earlier trainings."""
        super().after_create_session(session, coord)
        self._of.seen.clear()
        self._look(session)

    def _why_idle(self, session: Session) -> str | None:
        return self._of.why_idle(session.began_at, session.global_step, self._period)


class _Evaluations:
    """The values of a metric in the recorded evaluations, and the steps of those that were read."""

    def __init__(
        self,
        function: str,
        estimator: Estimator,
        metric_name: str,
        eval_dir: Directory | None,
        min_steps: int,
    ) -> None:
        _check_estimator(function, estimator)
        self.function, self.estimator = function, estimator
        self.metric_name = checks.text(f"{function}: metric_name", metric_name)
        self.seen: set[int] = set()
        self._directory = (
            estimator.eval_dir()
            if eval_dir is None
            else files.normal(checks.path(f"{function}: eval_dir", eval_dir))
        )
        self._min_steps = checks.step_count(f"{function}: min_steps", min_steps, at_least=0)

    def why_idle(self, began_at: int, last_step: int, period: str) -> str | None:
        """Why the hook could not act in a training from one step to another; None if it could."""
        recorded = list(read_evaluations(self._directory))
        counting = [step for step in recorded if self._min_steps <= step <= last_step]
        of_training = {step for step in counting if began_at < step < last_step}
        if self.seen - {last_step} and not (of_training and self.seen.isdisjoint(of_training)):
            return None
        read = f"it reads {self.metric_name!r} in {self._directory!r}, where"
        if not recorded:
            return f"{read} there is no evaluation. {self._way_out()}"
        if not counting:
            return (
                f"{read} there are evaluations of {_steps(recorded)}; those of min_steps={self._min_steps} to "
                f"{last_step}, the last step of training, count."
            )
        if not of_training:
            return (
                f"{read} the only evaluation of this training is of its last step, {last_step}. Evaluate more often: "
                "in train_and_evaluate by RunConfig(save_checkpoints_steps=...) and EvalSpec(throttle_secs=0)."
            )
        return (
            f"{read} there are evaluations of {_steps(sorted(of_training))}, and it looked before they were made and "
            f"not again, as {period} is too long. Give run_every_steps=... and run_every_secs=None."
        )

    def _way_out(self) -> str:
        model_dir = self.estimator.model_dir
        others = {
            name: list(read_evaluations(files.join(model_dir, name)))
            for name in sorted(files.names_in(model_dir))
            if name == "eval" or name.startswith("eval_")
        }
        hints = [
            f"{files.join(model_dir, name)!r} has those of {_steps(steps)}"
            f" (eval_dir=estimator.eval_dir({name[5:]!r}))"
            for name, steps in others.items()
            if steps
        ]
        if hints:
            return f"But {', '.join(hints)}."
        return (
            "train alone makes none: use train_and_evaluate, which evaluates checkpoints "
            "(RunConfig(save_checkpoints_steps=...)), or give an InMemoryEvaluatorHook."
        )

    def values_until(self, global_step: int) -> dict[int, float]:
        """The values of the metric by step, up to a step."""
        evaluations = {
            step: metrics
            for step, metrics in read_evaluations(self._directory).items()
            if self._min_steps <= step <= global_step
        }
        name = self.metric_name
        values = {step: metrics[name] for step, metrics in evaluations.items() if name in metrics}
        if evaluations and not values:
            known = {other for metrics in evaluations.values() for other in metrics}
            raise ValueError(
                f"{self.function}: metric_name={name!r} is not a metric of the evaluations in "
                f"{self._directory!r}.{suggest(name, known)}"
            )
        self.seen.update(values)
        return values


def _steps(steps: list[int]) -> str:
    """A range of steps, in words."""
    return f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"


def _first(values: dict[int, float], crosses: Callable[[float], bool]) -> str | None:
    """A reason to stop: the first value that crosses the threshold."""
    for step, value in values.items():
        if crosses(value):
            return f"was {value:g} at step {step}"
    return None


def _stalled(values: dict[int, float], patience: int, sign: int = 1) -> str | None:
    """A reason to stop: `sign` times the values has not increased for `patience` steps. NaN is below all numbers."""
    best, best_step = -math.inf, None
    for step, value in values.items():
        if best_step is None or sign * value > best:
            best, best_step = (-math.inf if math.isnan(value) else sign * value), step
        if step - best_step >= patience:
            return f"has been best at step {best_step}, and no better at step {step}"
    return None


def _check_estimator(function: str, estimator: object) -> None:
    if not isinstance(estimator, Estimator):
        raise TypeError(f"{function}: estimator={shown(estimator)} must be a torchest.Estimator.")
