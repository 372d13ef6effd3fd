"""Tensors as one vector of bytes, so that they travel together.

>>> import torch
>>> message = packed([torch.ones(3), torch.tensor(7)])
>>> contents = Unpacking(message)
>>> contents.next((3,), torch.float32), contents.next((), torch.int64)
(tensor([1., 1., 1.]), tensor(7))
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

ALIGNMENT = 8  # bytes, at which numbers of any width may start


def aligned(size: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def packed(tensors: Sequence[Tensor]) -> Tensor:
    """The bytes of tensors, uint8 [n]; there is at least one."""
    parts: list[Tensor] = []
    for tensor in tensors:
        own = tensor.contiguous().view(-1).view(torch.uint8)
        parts.append(own)
        missing = aligned(len(own)) - len(own)
        if missing:
            parts.append(own.new_zeros(missing))
    return torch.cat(parts)


def packed_size(shape: Sequence[int], dtype: torch.dtype) -> int:
    """The number of bytes that a tensor takes."""
    return aligned(math.prod(shape) * dtype.itemsize)


class Unpacking:
    """Takes tensors out of a message, one after the other."""

    def __init__(self, message: Tensor) -> None:
        self._message = message
        self._at = 0

    def next(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """The next tensor, in the memory of the message."""
        start = self._at
        self._at += packed_size(shape, dtype)
        end = start + math.prod(shape) * dtype.itemsize
        return self._message[start:end].view(dtype).view(shape)
