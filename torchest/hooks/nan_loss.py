"""Notices a loss that has become NaN."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from torchest.errors import NanLossDuringTrainingError
from torchest.hooks.base import SessionRunContext, SessionRunHook, SessionRunValues
from torchest.hooks.checkpoint_saver import CheckpointSaverListener

if TYPE_CHECKING:
    from torch import Tensor

    from torchest.hooks.base import Session

_log = logging.getLogger("torchest")


class NanTensorHook(SessionRunHook):
    """Ends training when a value is NaN.

    On the CPU every step is looked at. On other devices, where looking means waiting, values are remembered
    and looked at after at most `every_steps` steps, and before any checkpoint is written.

    Args:
        loss_tensor: The name of the value.
        fail_on_nan_loss: Whether to raise; if not, training ends with a warning.
        every_steps: How often to look on devices other than the CPU.

    Raises:
        NanLossDuringTrainingError: During training.
    """

    def __init__(
        self, loss_tensor: str = "loss", fail_on_nan_loss: bool = True, *, every_steps: int = 100
    ) -> None:
        self._name = loss_tensor
        self._fail = fail_on_nan_loss
        self._every_steps = every_steps
        self._unseen: list[Tensor] = []

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Looks, or remembers."""
        value: Tensor = run_context.session.values[self._name].detach()
        self._unseen.append(value)
        is_time = value.device.type == "cpu" or len(self._unseen) >= self._every_steps
        if is_time and self.found():
            run_context.request_stop()

    def end(self, session: Session) -> None:
        """Looks a last time."""
        self.found()

    def found(self) -> bool:
        """Whether there was a NaN since the last look; raises if that is to end training."""
        values, self._unseen = self._unseen, []
        found = any(bool(value.cpu().isnan().any()) for value in values)
        if found and self._fail:
            _log.error("Model diverged with loss = NaN.")
            raise NanLossDuringTrainingError
        if found:
            _log.warning("Model diverged with loss = NaN.")
        return found


class NoCheckpointOfNan(CheckpointSaverListener):
    """Lets a `NanTensorHook` look before a checkpoint is written."""

    def __init__(self, hook: NanTensorHook) -> None:
        self._hook = hook

    def before_save(self, session: Session, global_step_value: int) -> None:
        """Looks."""
        self._hook.found()
