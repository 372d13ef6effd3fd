"""Gathers vectors of bytes whose lengths differ between processes, and from step to step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from torchest.distributed.packing import ALIGNMENT, aligned
from torchest.distributed.traffic import sent
from torchest.distributed.waiting import message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Gathering:
    """Gathers vectors of bytes on the CPU, mostly in one message.

    Messages need the same length everywhere. So each has room for a little more than the longest vector of the last
    call, and a second message follows if one of them is longer.
    """

    def __init__(self) -> None:
        self._room = 0

    def __call__(self, own: Tensor) -> list[Tensor]:
        """The vectors of all processes, by rank.

        Args:
            own: uint8 [n], that of this process.
        """
        room = self._room
        length = torch.tensor([len(own)]).view(torch.uint8)
        first = _gathered(torch.cat([length, own[:room]]), ALIGNMENT + room)
        lengths = [int(each[:ALIGNMENT].view(torch.int64)) for each in first]
        longest = max(lengths)
        self._room = aligned(longest + longest // 8)
        parts = [
            each[ALIGNMENT : ALIGNMENT + length]
            for each, length in zip(first, lengths, strict=True)
        ]
        if longest <= room:
            return parts
        rest = joined(own[room:], [max(length - room, 0) for length in lengths])
        return [torch.cat(both) for both in zip(parts, rest, strict=True)]


def joined(own: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    """The vectors of all processes, by rank, on any device.

    Args:
        own: The vector of this process.
        lengths: The length of each process's vector.
    """
    longest = max(lengths)
    if longest == 0:
        return [own for _ in lengths]
    gathered = _gathered(own, aligned(longest))
    return [each[:length] for each, length in zip(gathered, lengths, strict=True)]


def _gathered(own: Tensor, size: int) -> Tensor:
    """The vectors of all processes, padded: [processes, size]."""
    padded = own.new_zeros(size)
    padded[: len(own)] = own
    gathered = own.new_empty(dist.get_world_size(), size)
    with message("the gradients of all"):
        dist.all_gather(list(gathered), sent(padded))
    return gathered
