"""Tables as they were when a checkpoint began, while training changes some of their rows.

    old = OldRows([table, slot])
    old.keep(rows)                     # before a step changes them
    old.pieces(table, size)            # in another thread: what the table was

Nothing is copied but the rows that training changes, each once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from torch import Tensor

    from torchest.utils.arrays import NumpyArray

    Int64s = npt.NDArray[np.int64]

_RUNS = 16  # to look into for each piece


class _Rows(NamedTuple):
    """Rows in ascending order, and what they were in each of the tensors."""

    rows: Int64s
    old: list[NumpyArray]


class _Place(NamedTuple):
    """Rows of one of the tensors."""

    number: int
    first: int
    rows: int


class OldRows:
    """A table and tensors that change with it, such as its slots.

    One thread calls `keep` and makes the changes; another one reads.

    Args:
        tensors: Contiguous ones on the CPU, with as many rows as the table.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = [tensor.detach() for tensor in tensors]
        self._bytes = [
            tensor.reshape(-1).view(torch.uint8).numpy().reshape(len(tensor), -1)
            for tensor in self._tensors
        ]
        self._marks = np.zeros(len(self._bytes[0]) // 8 + 1, np.uint8)  # a bit for each kept row
        self._kept: list[_Rows] = []  # not yet in order
        self._runs: list[_Rows] = []

    def keep(self, rows: Int64s) -> None:
        """Keeps the values of rows that are about to change for the first time.

        Args:
            rows: Distinct row numbers, [n].
        """
        from torchest.kernels.rows import not_marked

        new = np.empty_like(rows)
        new = new[: not_marked(rows, self._marks, new)]
        if len(new):
            self._kept.append(_Rows(new, [values[new] for values in self._bytes]))

    def has(self, tensor: Tensor) -> bool:
        """Whether a tensor consists of rows of one of the tensors."""
        return self._place(tensor) is not None

    def pieces(self, tensor: Tensor, size: int) -> Iterator[memoryview]:
        """The bytes that a tensor had at the beginning.

        Args:
            tensor: One that `has` is true for.
            size: The bytes of a piece.
        """
        place = self._place(tensor)
        assert place is not None
        values = self._bytes[place.number]
        step = max(1, size // values.shape[1])
        end = place.first + place.rows
        for start in range(place.first, end, step):
            piece = values[start : min(start + step, end)].copy()
            self._take_kept()  # a row that changed before or during the copy was kept before it changed
            for rows, old in self._runs:
                first, last = np.searchsorted(rows, (start, start + len(piece)))
                if first < last:
                    piece[rows[first:last] - start] = old[place.number][first:last]
            yield piece.reshape(-1).data

    def _take_kept(self) -> None:
        """Brings the rows that were kept since the last call in order."""
        kept = self._kept[:]
        del self._kept[: len(kept)]
        if kept:
            self._runs.append(_in_order(kept))
        if len(self._runs) > _RUNS:
            self._runs = [_in_order(self._runs)]

    def _place(self, tensor: Tensor) -> _Place | None:
        if tensor.device.type != "cpu" or not tensor.nbytes or not tensor.is_contiguous():
            return None
        for number, whole in enumerate(self._tensors):
            width = self._bytes[number].shape[1]
            first, within = divmod(tensor.data_ptr() - whole.data_ptr(), width)
            if 0 <= first < len(whole) and within == 0 and tensor.nbytes % width == 0:
                return _Place(number, first, tensor.nbytes // width)
        return None


def _in_order(parts: Sequence[_Rows]) -> _Rows:
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows, kind="stable")  # which is fast for parts that are in order
    olds = zip(*(part.old for part in parts), strict=True)
    return _Rows(rows[order], [np.concatenate(old)[order] for old in olds])
