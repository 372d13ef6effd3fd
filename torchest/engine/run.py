"""The data that the steps of one call of `train`, `evaluate` or `predict` share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchest.engine.hooks import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchest.distributed.strategy import Strategy
    from torchest.engine.feed import Feed
    from torchest.engine.hooks import SessionRunHook
    from torchest.engine.model import ModelHooks, RunningModel
    from torchest.engine.resume import ResumableTraining


@dataclass(frozen=True)
class Run:
    """A model, its input, and the steps to run.

    Attributes:
        model: The model, which was made from the first batch and restored.
        model_hooks: The hooks of its model_fn.
        feed: The batches.
        strategy: The strategy of the model.
        hooks: The hooks of the caller.
        start: The global step at the beginning.
        last_step: The global step at which training ends; None: at the end of the input.
    """

    model: RunningModel
    model_hooks: ModelHooks
    feed: Feed
    strategy: Strategy
    hooks: tuple[SessionRunHook, ...]
    start: int
    last_step: int | None = None

    def session(
        self,
        training: ResumableTraining | None = None,
        loss_is_finite: Callable[[], bool] = lambda: True,
    ) -> Session:
        """The run as hooks see it."""
        session = Session(
            self.model.state,
            self.start,
            is_chief=self.strategy.is_chief,
            last_step=self.last_step,
            training=training,
            loss_is_finite=loss_is_finite,
        )
        session.alone = self.strategy.alone
        return session
