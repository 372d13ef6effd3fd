"""Tensors on a device that remember their copy on the host.

Reading the values of a tensor on a device waits for the device, and interrupts the compilation of a step on XLA. If a
tensor was copied from the host, its values can be read there.

>>> import torch
>>> moved = to_device(torch.tensor([1, 0]), torch.device("meta"))
>>> on_host(moved)
tensor([1, 0])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_ATTRIBUTE = "_torchest_on_host"


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copies a tensor to a device. The copy remembers the original.

    Args:
        tensor: A tensor on the host. It is returned itself if `device` is the host.
        device: The target.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()  # from there a copy is asynchronous
    if tensor.device == device:
        return tensor  # asking torch for no copy would still hand on the interpreter's lock
    moved = tensor.to(device, non_blocking=True)
    if moved is not tensor:
        setattr(moved, _ATTRIBUTE, (tensor, moved._version))
    return moved


def on_host(tensor: Tensor) -> Tensor:
    """The copy on the host, if there is one and the tensor has not changed since; else the tensor itself."""
    copy, version = getattr(tensor, _ATTRIBUTE, (tensor, None))
    return copy if version is None or version == tensor._version else tensor
