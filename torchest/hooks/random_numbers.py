"""Reproducible random numbers for the processes other than the chief, also after an interruption."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.engine.hooks import SessionRunContext, SessionRunHook
from torchest.utils.random_state import seed_step

if TYPE_CHECKING:
    from torchest.engine.resume import ResumableTraining


class SeededSteps(SessionRunHook):
    """Makes the random numbers of a step depend only on the training, the process and the step.

    So checkpoints need only the random state of the chief.

    Args:
        training: The training, with a seed that all processes share.
        rank: The number of this process.
    """

    def __init__(self, training: ResumableTraining, rank: int) -> None:
        self._training = training
        self._rank = rank

    def before_run(self, run_context: SessionRunContext) -> None:
        """Seeds the step."""
        seed_step(self._training.seed_of_others, self._rank, run_context.session.global_step)
