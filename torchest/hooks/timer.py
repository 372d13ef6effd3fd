"""When something is due: every so many steps, or every so many seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class SecondOrStepTimer:
    """Says when something is due; the first time it is asked, it is.

    Args:
        every_secs: Seconds between two times.
        every_steps: Steps between two times.
        clock: Gives the time in seconds; monotonic, so that changes of the system's clock do not matter.

    Raises:
        ValueError: Both or neither of `every_secs` and `every_steps` are given.
    """

    def __init__(
        self,
        every_secs: float | None = None,
        every_steps: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if (every_secs is None) == (every_steps is None):
            raise ValueError(
                f"every_secs={every_secs} and every_steps={every_steps}: give exactly one of the two."
            )
        self._every_secs = every_secs
        self._every_steps = every_steps
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forgets the last time."""
        self._last_step: int | None = None
        self._last_time = 0.0

    def should_trigger_for_step(self, step: int) -> bool:
        """Whether it is due at this step; never twice at one step."""
        if self._last_step is None:
            return True
        if step == self._last_step:
            return False
        if self._every_secs is not None:
            return self._clock() >= self._last_time + self._every_secs
        assert self._every_steps is not None
        return step >= self._last_step + self._every_steps

    def update_last_triggered_step(self, step: int) -> tuple[float | None, int | None]:
        """Notes that it was done at this step.

        Returns:
            The seconds and the steps since the last time; None and None the first time.
        """
        now = self._clock()
        since: tuple[float | None, int | None] = (None, None)
        if self._last_step is not None:
            since = (now - self._last_time, step - self._last_step)
        self._last_step, self._last_time = step, now
        return since

    def last_triggered_step(self) -> int | None:
        """The step of the last time, or None."""
        return self._last_step
