"""GlobalStepWaiterHook, which does not wait here."""

from __future__ import annotations

import logging

from torchest.engine.hooks import SessionRunHook
from torchest.utils.checks import step_count

_log = logging.getLogger("torchest")


class GlobalStepWaiterHook(SessionRunHook):
    """Only logs that it does not wait: all processes take each step together.

    In tf.estimator, a worker waits until the others have reached a step.

    Args:
        wait_until_step: The step.

    Raises:
        ValueError: It is not a whole number of at least 0.
    """

    def __init__(self, wait_until_step: int) -> None:
        self._wait_until_step = step_count(
            "GlobalStepWaiterHook: wait_until_step", wait_until_step, at_least=0
        )

    def begin(self) -> None:
        """Logs that it does not wait."""
        if self._wait_until_step > 0:
            _log.info(
                "GlobalStepWaiterHook does not wait for step %d: all processes take each step together.",
                self._wait_until_step,
            )
