"""Several batches in each step, whose gradients are accumulated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchest.distributed.strategy import Batches
    from torchest.inputs.batch import Batch


class Groups(Iterator["list[Batch]"]):
    """Batches in groups of `size`, one for each step; the last group may have fewer."""

    def __init__(self, batches: Batches, size: int) -> None:
        self._batches = batches
        self._size = size
        self._has_ended = False

    def stopped(self, stop_requested: bool) -> bool:
        """Whether the run ends before its next step; see `Batches.stopped`."""
        return self._has_ended or self._batches.stopped(stop_requested)

    def __next__(self) -> list[Batch]:
        group = [next(self._batches)]
        if self._size == 1:
            return group
        while len(group) < self._size and not self._has_ended:
            batch = None if self._batches.stopped(False) else next(self._batches, None)
            if batch is None:
                self._has_ended = True
            else:
                group.append(batch)
        return group
