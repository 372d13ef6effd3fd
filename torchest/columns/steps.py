"""Steps of a batch: the encodings of sequence columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from torchest.columns.ids import room
from torchest.utils.tensor_group import TensorGroup

if TYPE_CHECKING:
    from torchest.columns.ids import Ids, Time


@dataclass(frozen=True, eq=False)
class Steps(TensorGroup):
    """Any number of steps in each row, with the same number of values in each.

    Attributes:
        values: float32 [steps of all rows, width].
        offsets: int64 [batch + 1]: row i has the steps `values[offsets[i]:offsets[i + 1]]`.
        time: The padded length. None for the length of the longest row.
    """

    values: Tensor
    offsets: Tensor
    time: Time | None = None

    @property
    def batch_size(self) -> int:
        """The number of rows."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Tensor:
        """The number of steps of each row, int64 [batch]."""
        return self.offsets.diff()

    @property
    def room(self) -> int:
        """The number of steps of their matrix."""
        return room(self.lengths, self.time)

    def padded(self, fill: float, steps: int | None = None) -> Tensor:
        """The steps as a padded matrix, float32 [batch, steps, width].

        Args:
            fill: The value of padding.
            steps: The padded length. Defaults to `time`.
        """
        lengths = self.lengths
        if steps is None:
            steps = self.room
        step = torch.arange(steps, device=lengths.device)
        padded = self.values.new_full((len(lengths), steps, self.values.shape[1]), fill)
        padded[step < lengths.unsqueeze(1)] = self.values
        return padded


@dataclass(frozen=True, eq=False)
class IdSteps(TensorGroup):
    """Any number of steps in each row, with any number of ids in each.

    Attributes:
        ids: The ids of each step, one step after the other.
        offsets: int64 [batch + 1]: row i has the steps from `offsets[i]` up to `offsets[i + 1]`.
        time: The padded length.
    """

    ids: Ids
    offsets: Tensor
    time: Time

    @property
    def batch_size(self) -> int:
        """The number of rows."""
        return len(self.offsets) - 1


@dataclass(frozen=True, eq=False)
class PaddedSteps(TensorGroup):
    """Steps as a padded matrix, for traced models.

    Attributes:
        values: float32 [batch, n, width].
        lengths: The number of steps of each row, int64 [batch].
    """

    known_on_host = ("lengths",)

    values: Tensor
    lengths: Tensor

    @property
    def room(self) -> int:
        """The number of steps of the matrix."""
        return self.values.shape[1]

    def padded(self, fill: float, steps: int | None = None) -> Tensor:
        """Fills the places after the last step of each row.

        Args:
            fill: The value of padding.
            steps: The padded length, at least `room`. Defaults to `room`.
        """
        step = torch.arange(self.values.shape[1], device=self.values.device)
        there = (step < self.lengths.unsqueeze(1)).unsqueeze(2)
        padded = self.values.where(there, fill)
        return padded if steps is None else F.pad(padded, (0, 0, 0, steps - self.room), value=fill)
