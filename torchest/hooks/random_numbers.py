"""Random numbers of the processes beside the chief, which can be drawn again after an interruption."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.engine.hooks import SessionRunContext, SessionRunHook
from torchest.utils.random_state import seed_step

if TYPE_CHECKING:
    from collections.abc import Callable


class SeededSteps(SessionRunHook):
    """Makes the random numbers of each step a function of a seed, the process and the step.

    The chief's are in its checkpoints; these need not be.

    Args:
        seed: Gives the seed, the same one in all processes.
        rank: The number of this process.
    """

    def __init__(self, seed: Callable[[], int], rank: int) -> None:
        self._seed = seed
        self._rank = rank

    def before_run(self, run_context: SessionRunContext) -> None:
        """Seeds the step."""
        seed_step(self._seed(), self._rank, run_context.session.global_step)
