"""Ids of a batch: the encoding of a categorical column.

>>> Ids.from_padded(torch.tensor([[3, -1], [5, 1]]))
Ids(values=tensor([3, 5, 1]), offsets=tensor([0, 1, 3]), weights=None)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from torchest.utils.tensor_group import TensorGroup


@dataclass(frozen=True)
class Time:
    """The padded length of a batch of sequences.

    Attributes:
        steps: The width of a matrix with its padding, or the length of the longest list.
        is_fixed: Whether other batches are likely to have the same length, as matrices do.
    """

    steps: int
    is_fixed: bool


@dataclass(frozen=True, eq=False)
class Ids(TensorGroup):
    """Ids of a batch: one in each row, or any number.

    Attributes:
        values: int64. Without offsets [batch], −1 where the row has no id. With offsets
            [number of ids], not negative; except that −1 stands for an element without an id in a
            sequence.
        offsets: int64 [batch + 1]: row i has the ids `values[offsets[i]:offsets[i + 1]]`. None if
            every row has exactly one id, or none.
        weights: float32, the weight of each id, in the shape of `values`. None if all are 1.
        time: The padded length of sequences. None for the length of the longest row.
    """

    values: Tensor
    offsets: Tensor | None = None
    weights: Tensor | None = None
    time: Time | None = field(default=None, repr=False)

    @classmethod
    def from_padded(cls, values: Tensor, weights: Tensor | None = None) -> Ids:
        """Makes ids from a matrix whose rows are padded with negative numbers.

        Args:
            values: Integers [batch, n].
            weights: The weight of each id, [batch, n].
        """
        kept = values >= 0
        offsets = torch.zeros(len(values) + 1, dtype=torch.int64, device=values.device)
        torch.cumsum(kept.sum(1), 0, out=offsets[1:])
        return cls(
            values[kept].to(torch.int64),
            offsets,
            None if weights is None else weights[kept].to(torch.float32),
        )

    @property
    def batch_size(self) -> int:
        """The number of rows."""
        return self.values.shape[0] if self.offsets is None else self.offsets.shape[0] - 1

    def padded(self, width: int | None = None) -> PaddedIds:
        """The same ids as a matrix.

        Args:
            width: The width of the matrix. None: according to `time`.
        """
        if self.offsets is None:
            weights = None if self.weights is None else self.weights.unsqueeze(1)
            return PaddedIds(self.values.unsqueeze(1), weights)
        lengths = self.offsets.diff()
        if width is None:
            width = room(lengths, self.time)
        there = torch.arange(width, device=lengths.device) < lengths.unsqueeze(1)
        values = self.values.new_full(there.shape, -1)
        values[there] = self.values
        if self.weights is None:
            return PaddedIds(values, None, lengths)
        weights = self.weights.new_zeros(there.shape)
        weights[there] = self.weights
        return PaddedIds(values, weights, lengths)

    def row_of_each(self) -> Tensor:
        """The row that each id belongs to, int64 in the shape of `values`."""
        if self.offsets is None:
            return torch.arange(self.values.shape[0], device=self.values.device)
        rows = torch.arange(self.batch_size, device=self.values.device)
        return rows.repeat_interleave(self.offsets.diff(), output_size=len(self.values))

    def rows(self, start: int, stop: int) -> Ids:
        """The ids of the rows from `start` up to `stop`."""
        if self.offsets is None:
            part, offsets = slice(start, stop), None
        else:
            offsets = self.offsets[start : stop + 1]
            part = slice(int(offsets[0]), int(offsets[-1]))
            offsets = offsets - offsets[0]
        weights = None if self.weights is None else self.weights[part]
        return Ids(self.values[part], offsets, weights, self.time)


def room(lengths: Tensor, time: Time | None) -> int:
    """The width of a matrix for rows of these lengths."""
    if time is not None:
        return time.steps
    return int(lengths.max()) if len(lengths) else 0


@dataclass(frozen=True, eq=False)
class PaddedIds(TensorGroup):
    """Ids as a padded matrix, for traced models: no shape depends on values.

    Attributes:
        values: int64 [batch, n], −1 where a row has no id.
        weights: float32 [batch, n], the weight of each id. None if all are 1.
        lengths: The number of elements of each row of a sequence, int64 [batch]. None if the positions of ids do not
            matter.
    """

    known_on_host = ("lengths",)

    values: Tensor
    weights: Tensor | None = None
    lengths: Tensor | None = None
