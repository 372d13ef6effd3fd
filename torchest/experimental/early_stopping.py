"""Early stopping: training ends when a metric of the evaluations says so.

    hook = torchest.experimental.stop_if_no_decrease_hook(model, "loss", 1000, run_every_steps=100, run_every_secs=None)
    torchest.train_and_evaluate(model, torchest.TrainSpec(train_input_fn, hooks=[hook]), eval_spec)

The metrics are those that evaluations record in their directory, so that what was best, and when, outlives a
restart. Evaluations of later steps than that of the training, as an older checkpoint leaves behind, do not count.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from torchest.errors import suggest
from torchest.estimator import Estimator
from torchest.evaluation_record import read_evaluations
from torchest.hooks.base import SessionRunContext, SessionRunHook, SessionRunValues
from torchest.hooks.stop_at_step import StopAtStepHook
from torchest.hooks.timer import SecondOrStepTimer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from torchest.hooks.base import Session

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
        TypeError: `estimator` is no estimator, or `should_stop_fn` cannot be called.
        ValueError: Both or neither of the periods are given.
    """
    if not callable(should_stop_fn):
        raise TypeError(
            f"make_early_stopping_hook: should_stop_fn={should_stop_fn!r} must be a function without arguments that "
            "returns whether to stop."
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
        ValueError: Both or neither of the periods are given; in training, if there are evaluations without
            such a metric.
    """
    found = _Evaluations(estimator, "stop_if_higher_hook", metric_name, eval_dir, min_steps)
    return found.hook(
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
    found = _Evaluations(estimator, "stop_if_lower_hook", metric_name, eval_dir, min_steps)
    return found.hook(
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
        ValueError: Both or neither of the periods are given; in training, if there are evaluations without
            such a metric.
    """
    found = _Evaluations(estimator, "stop_if_no_increase_hook", metric_name, eval_dir, min_steps)
    return found.hook(
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
    found = _Evaluations(estimator, "stop_if_no_decrease_hook", metric_name, eval_dir, min_steps)
    return found.hook(
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
    del wait_after_file_check_secs
    _check_estimator("make_stop_at_checkpoint_step_hook", estimator)
    return StopAtStepHook(last_step=last_step)


class _StopHook(SessionRunHook):
    """Asks every so often whether to stop, given the global step."""

    def __init__(
        self,
        function: str,
        estimator: Estimator,
        should_stop: Callable[[int], bool],
        run_every_secs: float | None,
        run_every_steps: int | None,
    ) -> None:
        _check_estimator(function, estimator)
        if (run_every_secs is None) == (run_every_steps is None):
            raise ValueError(
                f"{function}: run_every_secs={run_every_secs} and run_every_steps={run_every_steps}: give exactly one "
                "of the two, and None for the other."
            )
        self._should_stop = should_stop
        self._timer = SecondOrStepTimer(run_every_secs, run_every_steps)

    def begin(self) -> None:
        """Asks after the first step at the latest."""
        self._timer.reset()

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Asks, when it is due."""
        step = run_context.session.global_step
        if self._timer.should_trigger_for_step(step):
            self._timer.update_last_triggered_step(step)
            self._look(run_context.session)

    def _look(self, session: Session) -> None:
        if self._should_stop(session.global_step):
            _log.info("Requesting early stopping at global step %d.", session.global_step)
            session.request_stop()


class _StopOfEvaluationsHook(_StopHook):
    """Looks before the first step too: a training that was stopped is not gone on with when it is started again."""

    def after_create_session(self, session: Session, coord: None) -> None:
        """Looks at the evaluations that there are."""
        self._look(session)


class _Evaluations:
    """The values of a metric in the recorded evaluations."""

    def __init__(
        self,
        estimator: Estimator,
        function: str,
        metric_name: str,
        eval_dir: Directory | None,
        min_steps: int,
    ) -> None:
        _check_estimator(function, estimator)
        self._estimator = estimator
        self._function = function
        self._name = metric_name
        self._directory = estimator.eval_dir() if eval_dir is None else eval_dir
        self._min_steps = min_steps

    def hook(
        self,
        decide: Callable[[dict[int, float]], str | None],
        run_every_secs: float | None,
        run_every_steps: int | None,
    ) -> SessionRunHook:
        """A hook that stops for the reason that `decide` finds in the values by step."""

        def should_stop(global_step: int) -> bool:
            reason = decide(self._values_until(global_step))
            if reason is not None:
                _log.info("Metric %r %s.", self._name, reason)
            return reason is not None

        return _StopOfEvaluationsHook(
            self._function, self._estimator, should_stop, run_every_secs, run_every_steps
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
                f"{self._function}: metric_name={self._name!r} is no metric of the evaluations in "
                f"{str(self._directory)!r}.{suggest(self._name, known)}"
            )
        return values


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
        raise TypeError(f"{function}: estimator={estimator!r} must be a torchest.Estimator.")
