"""Values of several tensors that move to a device together."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias

import torch
from torch import Tensor

from torchest.utils.host_copies import to_device

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self


class TensorGroup:
    """Base of frozen dataclasses whose fields are tensors, other groups, None, or plain values."""

    known_on_host: ClassVar[tuple[str, ...]] = ()  # fields that `host_copies.on_host` is asked for

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        device: torch.device = next(iter(vars(self).values())).device
        return device

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """The same values on a device."""
        device = torch.device(device)
        moved = self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))
        for name in self.known_on_host:
            tensor = getattr(self, name)
            if tensor is not None:
                object.__setattr__(moved, name, to_device(tensor, device))
        return moved

    def pin_memory(self) -> Self:
        """Copies the values to page-locked memory, from which copies to a GPU are asynchronous."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, change: Callable[[Encoding], Encoding]) -> Self:
        return type(self)(
            **{
                name: change(value) if isinstance(value, Tensor | TensorGroup) else value
                for name, value in vars(self).items()
            }
        )


# What a column makes of a batch, and a model reads.
Encoding: TypeAlias = Tensor | TensorGroup
