"""Several batches for each step, whose gradients are accumulated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchest.distributed.strategy import Batches
    from torchest.inputs.batch import Batch


class Groups(Iterator["list[Batch]"]):
    """The batches of one run, those of a step at a time; the last step may have fewer.

    Args:
        batches: One by one.
        size: How many a step has.
    """

    def __init__(self, batches: Batches, size: int) -> None:
        self._batches = batches
        self._size = size
        self._have_ended = False

    def stopped(self, wish: bool) -> bool:
        """Whether the run ends before its next step; see `Batches.stopped`."""
        return self._have_ended or self._batches.stopped(wish)

    def __next__(self) -> list[Batch]:
        group = [next(self._batches)]
        while len(group) < self._size and not self._have_ended:
            following = None if self._batches.stopped(False) else next(self._batches, None)
            if following is None:
                self._have_ended = True
            else:
                group.append(following)
        return group
