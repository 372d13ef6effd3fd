"""Scales losses for float16, whose smallest numbers many gradients fall below, by torch's GradScaler.

Each gradient is computed for the loss times a scale, and divided by the scale before it is clipped and used. A step
with an infinite gradient or NaN is skipped and halves the scale; 2,000 steps in a row without one double it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

import torch

from torchest.optimizers import row_gradients

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor


class LossScale:
    """The scale of a training. The optimizers of a step are one: all of them step, or none.

    Where several processes train, each checks the sums of the gradients of all, so all of them skip a step, or none.

    Args:
        device: The device of the model.

    Raises:
        ValueError: The device has no float16.
    """

    def __init__(self, device: torch.device) -> None:
        if device.type not in ("cpu", "cuda"):
            raise ValueError(
                f"RunConfig(precision='fp16') trains on CUDA and on the CPU, not on {device.type}: take "
                "precision='bf16', which needs no scale."
            )
        self._device = device
        self._scaler = torch.amp.GradScaler(device.type)
        self._all: _Optimizers

    def scaled(self, loss: Tensor) -> Tensor:
        """The same loss, with gradients multiplied by the scale."""
        scale = self._scaler.scale(torch.ones((), device=self._device))
        # in float16 the scale would be infinite
        same = loss.float() if loss.dtype == torch.float16 else loss.view_as(loss)
        same.register_hook(lambda gradient: gradient * scale)  # type: ignore[no-untyped-call]
        return same

    def unscale(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Divides the gradients of the parameters of a step's optimizers by the scale."""
        self._all = _Optimizers(optimizers)
        if self._all.has_gradients:
            self._scaler.unscale_(cast("Any", self._all))

    def step(self) -> bool:
        """Steps the optimizers, unless a gradient is infinite or NaN. Returns whether they stepped."""
        if not self._all.has_gradients:
            self._all.step()
        else:
            self._scaler.step(cast("Any", self._all))
            self._scaler.update()
        return self._all.has_stepped

    def state_dict(self) -> dict[str, Any]:
        """The scale, and the number of steps since it changed."""
        return self._scaler.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Loads the result of `state_dict`."""
        self._scaler.load_state_dict(dict(state_dict))


class _Optimizers:
    """Several optimizers as one: what GradScaler uses of an optimizer.

    Gradients of rows are among those of its parameters.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self._optimizers = optimizers
        distinct = {
            id(parameter): parameter
            for optimizer in optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        dense = [parameter for parameter in distinct.values() if parameter.grad is not None]
        of_rows = [holder for parameter in distinct.values() for holder in _holders(parameter)]
        self.param_groups = [{"params": [*dense, *of_rows]}]
        self.has_gradients = bool(dense or of_rows)
        self.has_stepped = False

    def step(self) -> None:
        for optimizer in self._optimizers:
            optimizer.step()
        self.has_stepped = True


def _holders(parameter: Tensor) -> Iterator[Tensor]:
    """Tensors whose `grad` are the gradients of rows of a parameter, which may be changed in place from then on."""
    parts = row_gradients.pending(parameter)
    for place, part in enumerate(parts):
        values = part.values.clone()
        parts[place] = dataclasses.replace(part, values=values)
        holder = torch.empty_like(values)
        holder.grad = values
        yield holder
