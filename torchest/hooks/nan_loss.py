"""Ends training when the loss, or another value, is NaN."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import torch

from torchest.engine.hooks import SessionRunContext, SessionRunHook, SessionRunValues
from torchest.errors import NanLossDuringTrainingError
from torchest.utils import checks

if TYPE_CHECKING:
    from torch import Tensor

    from torchest.engine.hooks import Session

_log = logging.getLogger("torchest")


class NanTensorHook(SessionRunHook):
    """Ends training when a value is NaN.

    Every training has such a hook for its loss, which raises; one in `hooks` replaces it. No checkpoint is written
    after a NaN, so the next `train` starts before it.

    On the CPU, every step is checked, and the error names the origin of the NaN. On other devices, where reading a
    value waits for the device, values are collected and checked after at most `every_steps` steps, and before any
    checkpoint. If it raises, the hooks after it are not called for the step.

    Args:
        loss_tensor: The name of the value; "loss" for the loss.
        fail_on_nan_loss: Whether to raise; if not, training ends with a warning.

    Attributes:
        has_found: Whether there was a NaN.
        every_steps: Steps between checks on devices other than the CPU; training sets it.

    Raises:
        ValueError: An argument is wrong.
        NanLossDuringTrainingError: During training.
    """

    def __init__(self, loss_tensor: str, fail_on_nan_loss: bool = True) -> None:
        self.has_found = False
        self.name = checks.text("NanTensorHook: loss_tensor", loss_tensor, ' The loss is "loss".')
        self._fail = checks.boolean("NanTensorHook: fail_on_nan_loss", fail_on_nan_loss)
        self.every_steps = 100
        self._unseen: list[Tensor] = []
        self._step = 0
        self._origin = ""

    def begin(self) -> None:
        """Forgets an earlier run."""
        self.has_found, self._unseen = False, []

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Checks the value, or keeps it for later."""
        session = run_context.session
        self._step, self._origin = session.global_step, session.origin_of_nan
        value = session.value(self.name)
        is_seen = value.ndim == 0 and value.device.type == "cpu" and not self._unseen
        if is_seen and not self.has_found and not math.isnan(value.item()):
            return  # as in most steps
        value = value.detach()
        if value.ndim > 0:
            value = torch.where(value.isnan().any(), torch.nan, 0.0)
        self._unseen.append(
            value
        )  # as it is: XLA would compile operations on it with the next step
        is_time = value.device.type == "cpu" or len(self._unseen) >= self.every_steps
        if is_time and self.check():
            run_context.request_stop()

    def end(self, session: Session) -> None:
        """Checks the last values."""
        self.check()

    def check(self) -> bool:
        """Whether there was a NaN in this step or before; raises if `fail_on_nan_loss`."""
        values, self._unseen = self._unseen, []
        steps = len(values)
        if not any(math.isnan(value.cpu().item()) for value in values):
            return self.has_found
        self.has_found = True
        where = (
            f"step {self._step}"
            if steps == 1
            else f"steps {self._step - steps + 1} to {self._step}"
        )
        origin = f": {self._origin}" if self._origin else ""
        problem = f"{self.name} = NaN. It appeared in {where}{origin}; no checkpoint is written."
        if self._fail:
            _log.error("Model diverged with %s", problem)
            raise NanLossDuringTrainingError(
                f"NaN loss during training. {self.name} is NaN in {where}{origin}. The next train starts from the "
                "newest checkpoint, which was written before; to end training without an error, give "
                f"hooks=[torchest.NanTensorHook({self.name!r}, fail_on_nan_loss=False)]."
            )
        _log.warning("Model diverged with %s", problem)
        return True
