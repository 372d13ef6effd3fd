"""Early stopping: training ends when a metric of the evaluations says so.

    hook = torchest.experimental.stop_if_no_decrease_hook(model, "loss", 1000, run_every_steps=100, run_every_secs=None)
    torchest.train_and_evaluate(model, torchest.TrainSpec(train_input_fn, hooks=[hook]), eval_spec)

A hook looks as often as its arguments say, and after each evaluation that this process makes, as train_and_evaluate
does. One that could not act, as there was nothing to read or it looked too rarely, says so when training ends.

The metrics are those that evaluations record in their directory, so that what was best, and when, outlives a
restart. Evaluations of later steps than that of the training, as an older checkpoint leaves behind, do not count.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from torchest.engine.hooks import SessionRunContext, SessionRunHook, SessionRunValues
from torchest.errors import suggest
from torchest.estimator import Estimator
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
    Metrics = dict[int, dict[str, float]]

_log = logging.getLogger("torchest")


def make_early_stopping_hook(
    estimator: Estimator,
    should_stop_fn: Callable[[], bool],
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> SessionRunHook:
    """A hook that ends training when a function says so.

    Args:
        estimator: The estimator that trains.
        should_stop_fn: Returns whether to stop. It is called after the first step, and then as often as
            the next arguments say.
        run_every_secs: Seconds between two calls; None if `run_every_steps` is given.
        run_every_steps: Steps between two calls.

    Returns:
        A hook for `train`, or for `TrainSpec`.

    Raises:
        TypeError: `estimator` is no estimator.
        ValueError: Both or neither of the periods are given, or an argument is wrong.
    """
    checks.function(
        "make_early_stopping_hook: should_stop_fn",
        should_stop_fn,
        "a function without arguments that returns whether to stop",
    )
    return _StopHook(
        "make_early_stopping_hook",
        estimator,
        lambda _: should_stop_fn(),
        run_every_secs,
        run_every_steps,
    )


def stop_if_higher_hook(  # noqa: PLR0913 - the arguments that tf.estimator's function takes
    estimator: Estimator,
    metric_name: str,
    threshold: float,
    eval_dir: Directory | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> SessionRunHook:
    """A hook that ends training when a metric has been above a threshold.

    Args:
        estimator: The estimator that trains.
        metric_name: A key of what `evaluate` returns, such as "accuracy".
        threshold: What an evaluation has to exceed.
        eval_dir: The directory of the evaluations to look at; None: `estimator.eval_dir()`.
        min_steps: Evaluations of earlier steps do not count.
        run_every_secs: Seconds between two looks, of which the first is before the first step; None if
            `run_every_steps` is given.
        run_every_steps: Steps between two looks.

    Returns:
        A hook for `train`, or for `TrainSpec`.

    Raises:
        TypeError: `estimator` is no estimator.
        ValueError: Both or neither of the periods are given, or an argument is wrong; in training, if there are
            evaluations without such a metric.
    """
    evaluations = _Evaluations(estimator, "stop_if_higher_hook", metric_name, eval_dir, min_steps)
    checks.number("stop_if_higher_hook: threshold", threshold)
    return evaluations.hook(
        lambda values: _first(values, lambda value: value > threshold),
        run_every_secs,
        run_every_steps,
    )


def stop_if_lower_hook(  # noqa: PLR0913
    estimator: Estimator,
    metric_name: str,
    threshold: float,
    eval_dir: Directory | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> SessionRunHook:
    """A hook that ends training when a metric has been below a threshold. See `stop_if_higher_hook`."""
    evaluations = _Evaluations(estimator, "stop_if_lower_hook", metric_name, eval_dir, min_steps)
    checks.number("stop_if_lower_hook: threshold", threshold)
    return evaluations.hook(
        lambda values: _first(values, lambda value: value < threshold),
        run_every_secs,
        run_every_steps,
    )


def stop_if_no_increase_hook(  # noqa: PLR0913
    estimator: Estimator,
    metric_name: str,
    max_steps_without_increase: int,
    eval_dir: Directory | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> SessionRunHook:
    """A hook that ends training when a metric has not risen above its best for so many steps.

    Args:
        estimator: The estimator that trains.
        metric_name: A key of what `evaluate` returns, such as "accuracy".
        max_steps_without_increase: How many steps lie between the best evaluation and the one that ends
            training.
        eval_dir: The directory of the evaluations to look at; None: `estimator.eval_dir()`.
        min_steps: Evaluations of earlier steps do not count.
        run_every_secs: Seconds between two looks, of which the first is before the first step; None if
            `run_every_steps` is given.
        run_every_steps: Steps between two looks.

    Returns:
        A hook for `train`, or for `TrainSpec`.

    Raises:
        TypeError: `estimator` is no estimator.
        ValueError: Both or neither of the periods are given, or an argument is wrong; in training, if there are
            evaluations without such a metric.
    """
    evaluations = _Evaluations(
        estimator, "stop_if_no_increase_hook", metric_name, eval_dir, min_steps
    )
    checks.step_count(
        "stop_if_no_increase_hook: max_steps_without_increase", max_steps_without_increase
    )
    return evaluations.hook(
        lambda values: _stalled(values, max_steps_without_increase), run_every_secs, run_every_steps
    )


def stop_if_no_decrease_hook(  # noqa: PLR0913
    estimator: Estimator,
    metric_name: str,
    max_steps_without_decrease: int,
    eval_dir: Directory | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> SessionRunHook:
    """A hook that ends training when a metric has not fallen below its best for so many steps.

    See `stop_if_no_increase_hook`.
    """
    evaluations = _Evaluations(
        estimator, "stop_if_no_decrease_hook", metric_name, eval_dir, min_steps
    )
    checks.step_count(
        "stop_if_no_decrease_hook: max_steps_without_decrease", max_steps_without_decrease
    )
    return evaluations.hook(
        lambda values: _stalled(
            {step: -value for step, value in values.items()}, max_steps_without_decrease
        ),
        run_every_secs,
        run_every_steps,
    )


def make_stop_at_checkpoint_step_hook(
    estimator: Estimator,
    last_step: int,
    wait_after_file_check_secs: float = 30,
) -> SessionRunHook:
    """A hook that ends training at a step.

    In tf.estimator a worker watched the chief's checkpoints with it. Here all processes take each step
    together, and it is `StopAtStepHook(last_step=last_step)`.

    Args:
        estimator: The estimator that trains.
        last_step: The global step to end at.
        wait_after_file_check_secs: Means nothing here.
    """
    of = "make_stop_at_checkpoint_step_hook"
    _check_estimator(of, estimator)
    checks.step_count(f"{of}: last_step", last_step)
    checks.number(f"{of}: wait_after_file_check_secs", wait_after_file_check_secs, at_least=0)
    return StopAtStepHook(last_step=last_step)


class _StopHook(SessionRunHook):
    """Asks every so often, and after each evaluation of this process, whether to stop, given the global step."""

    def __init__(
        self,
        function: str,
        estimator: Estimator,
        should_stop: Callable[[int], bool],
        run_every_secs: float | None,
        run_every_steps: int | None,
    ) -> None:
        _check_estimator(function, estimator)
        check_periods(
            f"{function}: ",
            ("run_every_secs", run_every_secs),
            ("run_every_steps", run_every_steps),
        )
        self._function = function
        self._should_stop = should_stop
        self._timer = SecondOrStepTimer(run_every_secs, run_every_steps)
        self._period = (
            f"run_every_steps={run_every_steps}"
            if run_every_secs is None
            else f"run_every_secs={run_every_secs:g}"
        )
        self._has_stopped, self._looks = False, 0
        self._evaluations = 0

    def begin(self) -> None:
        """Asks after the first step at the latest."""
        self._timer.reset()
        self._has_stopped, self._looks = False, 0
        self._evaluations = evaluations_of_this_process()

    def after_create_session(self, session: Session, coord: None) -> None:
        """Asks after a checkpoint too, if that was evaluated."""
        session.after_save.append(self._look_if_evaluated)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Asks, when it is due."""
        session = run_context.session
        step = session.global_step
        if self._timer.should_trigger_for_step(step):
            self._timer.update_last_triggered_step(step)
            self._look(session)
        else:
            self._look_if_evaluated(session)

    def end(self, session: Session) -> None:
        """Warns if it could not act."""
        reason = None if self._has_stopped or not session.is_chief else self._why_idle(session)
        if reason is not None:
            _log.warning("%s could not end this training: %s", self._function, reason)

    def state_dict(self) -> dict[str, Any]:
        """When it asked last, and how often."""
        return {"timer": self._timer.state_dict(), "looks": self._looks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on after an interruption."""
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
    """Looks before the first step too: a training that was stopped is not gone on with when it is started again."""

    def __init__(
        self,
        evaluations: _Evaluations,
        should_stop: Callable[[int], bool],
        run_every_secs: float | None,
        run_every_steps: int | None,
    ) -> None:
        super().__init__(
            evaluations.function,
            evaluations.estimator,
            should_stop,
            run_every_secs,
            run_every_steps,
        )
        self._of = evaluations

    def after_create_session(self, session: Session, coord: None) -> None:
        """Looks at the evaluations that there are."""
        super().after_create_session(session, coord)
        self._of.seen.clear()
        self._look(session)

    def _why_idle(self, session: Session) -> str | None:
        return self._of.why_idle(session.began_at, session.global_step, self._period)


class _Evaluations:
    """The values of a metric in the recorded evaluations.

    Attributes:
        function: The function that the user called.
        estimator: The estimator that trains.
        seen: The steps of the evaluations that were looked at.
    """

    def __init__(
        self,
        estimator: Estimator,
        function: str,
        metric_name: str,
        eval_dir: Directory | None,
        min_steps: int,
    ) -> None:
        _check_estimator(function, estimator)
        self.estimator = estimator
        self.function = function
        self.seen: set[int] = set()
        self._name = checks.text(f"{function}: metric_name", metric_name)
        self._directory = (
            estimator.eval_dir()
            if eval_dir is None
            else files.normal(checks.path(f"{function}: eval_dir", eval_dir))
        )
        self._min_steps = checks.step_count(f"{function}: min_steps", min_steps, at_least=0)

    def hook(
        self,
        decide: Callable[[dict[int, float]], str | None],
        run_every_secs: float | None,
        run_every_steps: int | None,
    ) -> SessionRunHook:
        """A hook that stops for the reason that `decide` finds in the values by step."""

        def should_stop(global_step: int) -> bool:
            values = self._values_until(global_step)
            self.seen.update(values)
            reason = decide(values)
            if reason is not None:
                _log.info("Metric %r %s.", self._name, reason)
            return reason is not None

        return _StopOfEvaluationsHook(self, should_stop, run_every_secs, run_every_steps)

    def why_idle(self, began_at: int, last_step: int, period: str) -> str | None:
        """Why the hook could not act in a training from one step to another; None if it could."""
        there = list(read_evaluations(self._directory))
        counting = [step for step in there if self._min_steps <= step <= last_step]
        of_training = {step for step in counting if began_at < step < last_step}
        if self.seen - {last_step} and not (of_training and self.seen.isdisjoint(of_training)):
            return None
        read = f"it reads {self._name!r} in {self._directory!r}, where"
        if not there:
            return f"{read} there is no evaluation. {self._way_out()}"
        if not counting:
            return (
                f"{read} there are evaluations of {_steps(there)}; those of min_steps={self._min_steps} to "
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
        listed = [
            f"{files.join(model_dir, name)!r} has those of {_steps(steps)}"
            f" (eval_dir=estimator.eval_dir({name[5:]!r}))"
            for name, steps in others.items()
            if steps
        ]
        if listed:
            return f"But {', '.join(listed)}."
        return (
            "train alone makes none: use train_and_evaluate, which evaluates checkpoints "
            "(RunConfig(save_checkpoints_steps=...)), or give an InMemoryEvaluatorHook."
        )

    def _values_until(self, global_step: int) -> dict[int, float]:
        evaluations: Metrics = {
            step: metrics
            for step, metrics in read_evaluations(self._directory).items()
            if self._min_steps <= step <= global_step
        }
        values = {
            step: metrics[self._name]
            for step, metrics in evaluations.items()
            if self._name in metrics
        }
        if evaluations and not values:
            known = {name for metrics in evaluations.values() for name in metrics}
            raise ValueError(
                f"{self.function}: metric_name={self._name!r} is no metric of the evaluations in "
                f"{self._directory!r}.{suggest(self._name, known)}"
            )
        return values


def _steps(steps: list[int]) -> str:
    """Some steps in words."""
    return f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"


def _first(values: dict[int, float], crosses: Callable[[float], bool]) -> str | None:
    """Why to stop: the first value that crosses the threshold."""
    for step, value in values.items():
        if crosses(value):
            return f"was {value:g} at step {step}"
    return None


def _stalled(values: dict[int, float], patience: int) -> str | None:
    """Why to stop: the values have not risen for so many steps. A value that is not a number is below all others."""
    best, best_step = -math.inf, None
    for step, value in values.items():
        if best_step is None or value > best:
            best, best_step = (-math.inf if math.isnan(value) else value), step
        if step - best_step >= patience:
            return f"has been best at step {best_step}, and no better at step {step}"
    return None


def _check_estimator(function: str, estimator: Any) -> None:
    if not isinstance(estimator, Estimator):
        raise TypeError(f"{function}: estimator={shown(estimator)} must be a torchest.Estimator.")
