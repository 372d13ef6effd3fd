"""Tensors on a device that know what they were made from on the host.

To look at the values of a tensor on a device is to wait for the device, and makes a compiler such as XLA's end
what it compiles. What came from the host can be looked at there.

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
    """A tensor on a device, which knows the values that it came with.

    Args:
        tensor: On the host. The tensor itself is returned if `device` is there too.
        device: Where to.
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
    """The same values on the host if they came from there and were not changed since, else the tensor itself."""
    copy, version = getattr(tensor, _ATTRIBUTE, (tensor, None))
    return copy if version is None or version == tensor._version else tensor
