"""Ends training after a number of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.engine.hooks import SessionRunContext, SessionRunHook, SessionRunValues
from torchest.utils.checks import step_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torchest.engine.hooks import Session


class StopAtStepHook(SessionRunHook):
    """Ends the loop.

    Args:
        num_steps: The number of steps, including those before an interruption.
        last_step: The global step to stop at.

    Raises:
        ValueError: Both or neither are given, or one is not a whole number of at least 1.
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
        self._counts_from: int | None = None

    def after_create_session(self, session: Session, coord: None) -> None:
        """Counts from the step that training starts at."""
        self._counts_from = session.global_step

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Ends the loop when the step is reached."""
        last_step = self._last_step
        if last_step is None:
            assert self._num_steps is not None
            assert self._counts_from is not None
            last_step = self._counts_from + self._num_steps
        if run_context.session.global_step >= last_step:
            run_context.request_stop()

    def state_dict(self) -> dict[str, int | None]:
        """Where the steps are counted from."""
        return {"counts_from": self._counts_from}

    def load_state_dict(self, state: Mapping[str, int | None]) -> None:
        """Continues to count after an interruption."""
        self._counts_from = state["counts_from"]
