"""Ends training after a number of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.arguments import step_count
from torchest.hooks.base import SessionRunContext, SessionRunHook, SessionRunValues

if TYPE_CHECKING:
    from torchest.hooks.base import Session


class StopAtStepHook(SessionRunHook):
    """Ends the loop.

    Args:
        num_steps: After so many steps.
        last_step: When the global step reaches this.

    Raises:
        ValueError: Both or neither are given, or one is no whole number of at least 1.
    """

    def __init__(self, num_steps: int | None = None, last_step: int | None = None) -> None:
        for argument, value in (("num_steps", num_steps), ("last_step", last_step)):
            if value is not None:
                step_count(f"StopAtStepHook: {argument}", value)
        if (num_steps is None) == (last_step is None):
            raise ValueError(
                f"StopAtStepHook: num_steps={num_steps} and last_step={last_step}: give exactly one of the two."
            )
        self._num_steps = num_steps
        self._last_step = last_step

    def after_create_session(self, session: Session, coord: None) -> None:
        """Counts from the step that training starts at."""
        if self._num_steps is not None:
            self._last_step = session.global_step + self._num_steps

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Ends the loop when the step is reached."""
        assert self._last_step is not None
        if run_context.session.global_step >= self._last_step:
            run_context.request_stop()
