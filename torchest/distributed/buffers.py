"""Keeps the buffers of a model equal in all processes, such as the running statistics of batch normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from torchest.distributed import collectives

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


class Buffers:
    """Buffers of floating point that are equal in all processes before each batch.

    Running statistics are linear in their inputs. So the sum of the weighted changes gives the statistics of one
    process on the batches of all, and a buffer that no batch changes keeps its bits.

    Whole numbers, such as counts of batches, change alike in all processes. A process without rows, where model_fn may
    not run, takes them from another.

    Args:
        buffers: All buffers of the model, in the same order in every process.
    """

    def __init__(self, buffers: Iterable[Tensor]) -> None:
        every = list(buffers)
        self._buffers = [buffer for buffer in every if buffer.is_floating_point()]
        self._whole = [
            each for each in every if not each.dtype.is_floating_point | each.is_complex()
        ]
        self._before = [buffer.detach().clone() for buffer in self._buffers]
        self._versions = [buffer._version for buffer in self._buffers]

    @torch.no_grad()
    def add_up(self, share: float, *, all_have_batches: bool = True) -> None:
        """Replaces the changes since the last call by the sums over all processes.

        Args:
            share: The weight of this process's changes. With 0 they have no effect, not even NaN.
            all_have_batches: Whether each process has a batch in the step; the same in all of them.
        """
        if self._whole and not all_have_batches:
            self._take_whole_numbers(has_rows=share > 0)
        if not self._buffers:
            return
        versions = zip(self._buffers, self._versions, strict=True)
        changed = [buffer._version != version for buffer, version in versions]
        changed_by_any = collectives.summed_numbers([int(share > 0 and own) for own in changed])
        moved = [place for place, count in enumerate(changed_by_any) if count]
        changes = [
            (self._buffers[place] - self._before[place]) * share
            if share > 0
            else torch.zeros_like(self._before[place])
            for place in moved
        ]
        for place, change in zip(moved, collectives.summed_together(changes), strict=True):
            self._before[place].add_(change)
        for place, own in enumerate(changed):
            if own or changed_by_any[place]:
                self._buffers[place].copy_(self._before[place])
                self._versions[place] = self._buffers[place]._version

    def _take_whole_numbers(self, *, has_rows: bool) -> None:
        """Takes whole numbers from the first process with rows, if this one has none."""
        with_rows = [
            rank for rank, (has,) in enumerate(collectives.numbers_of_all([has_rows])) if has
        ]
        if not with_rows:
            return
        is_first = with_rows[0] == dist.get_rank()
        sent = [each.to(torch.int64) if is_first else _zeros(each) for each in self._whole]
        for buffer, value in zip(self._whole, collectives.summed_together(sent), strict=True):
            if not has_rows:
                buffer.copy_(value)


def _zeros(buffer: Tensor) -> Tensor:
    return torch.zeros_like(buffer, dtype=torch.int64)
