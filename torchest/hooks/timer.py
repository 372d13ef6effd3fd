"""Intervals of steps or seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torchest.engine.hooks import Rest
from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Callable


def check_periods(of: str, secs: tuple[str, Any], steps: tuple[str, Any]) -> None:
    """Checks that exactly one of two intervals is given.

    Args:
        of: The beginning of the message, such as "LoggingTensorHook: ".
        secs: The argument for seconds as the user wrote it, and its value; 0 makes each step due.
        steps: The argument for steps, likewise.

    Raises:
        ValueError: Both or neither are given, or one is not a valid number.

    >>> check_periods("LoggingTensorHook: ", ("every_n_secs", None), ("every_n_iter", None))
    Traceback (most recent call last):
    ValueError: LoggingTensorHook: every_n_secs=None and every_n_iter=None: give exactly one of the two.
    """
    if secs[1] is not None:
        checks.number(f"{of}{secs[0]}", secs[1], at_least=0)
    if steps[1] is not None:
        checks.step_count(f"{of}{steps[0]}", steps[1])
    if (secs[1] is None) == (steps[1] is None):
        rest = "" if secs[1] is None else ", and None for the other"
        raise ValueError(
            f"{of}{secs[0]}={secs[1]} and {steps[0]}={steps[1]}: give exactly one of the two{rest}."
        )


class SecondOrStepTimer:
    """Tells whether a periodic action is due; it is due at first.

    Args:
        every_secs: Seconds between two times; 0 makes each step due.
        every_steps: Steps between two times.
        clock: Returns the time in seconds; monotonic, so it ignores changes of the system's clock.

    Raises:
        ValueError: Both or neither of `every_secs` and `every_steps` are given, or one is not a valid number.
    """

    def __init__(
        self,
        every_secs: float | None = None,
        every_steps: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_periods("", ("every_secs", every_secs), ("every_steps", every_steps))
        self._every_secs = every_secs
        self._every_steps = every_steps
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forgets the last time."""
        self._last_step: int | None = None
        self._last_time = 0.0

    def should_trigger_for_step(self, step: int) -> bool:
        """Whether the action is due at this step; never twice for the same step.

        Raises:
            ValueError: `step` is not a whole number of at least 0.
        """
        if type(step) is not int:
            step = checks.step_count("step", step, at_least=0)
        if self._last_step is None:
            return True
        if step == self._last_step:
            return False
        if self._every_secs is not None:
            return self._clock() >= self._last_time + self._every_secs
        assert self._every_steps is not None
        return step >= self._last_step + self._every_steps

    def update_last_triggered_step(self, step: int) -> tuple[float | None, int | None]:
        """Records that the action was done at this step.

        Returns:
            The seconds and the steps since the last time; None and None the first time.

        Raises:
            ValueError: `step` is not a whole number of at least 0.
        """
        if type(step) is not int:
            step = checks.step_count("step", step, at_least=0)
        now = self._clock()
        since: tuple[float | None, int | None] = (None, None)
        if self._last_step is not None:
            since = (now - self._last_time, step - self._last_step)
        self._last_step, self._last_time = step, now
        return since

    def _rest(self, step: int) -> Rest:
        """How long the action is not due after this step."""
        if self._last_step is None:
            return Rest(0)
        if self._every_steps is not None:
            return Rest(self._last_step + self._every_steps - step - 1)
        assert self._every_secs is not None
        if self._clock is not time.monotonic:  # which is the loop's
            return Rest(0)
        return Rest(until=self._last_time + self._every_secs)

    def state_dict(self) -> dict[str, int | None]:
        """The step of the last action, for the state of a hook. The seconds start anew when it is loaded."""
        return {"last_step": self._last_step}

    def load_state_dict(self, state: Mapping[str, int | None]) -> None:
        """Loads a state.

        Raises:
            ValueError: It is not a result of `state_dict`.
        """
        if not isinstance(state, Mapping) or state.keys() != {"last_step"}:
            raise ValueError(
                f"state={checks.shown(state)} must be what state_dict() returned, such as {{'last_step': 10}}."
            )
        if state["last_step"] is not None:
            checks.whole_number("state['last_step']", state["last_step"], at_least=0)
        self._last_step, self._last_time = state["last_step"], self._clock()

    def last_triggered_step(self) -> int | None:
        """The step of the last time, or None."""
        return self._last_step
