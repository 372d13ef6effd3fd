"""Numbers of sequences: what a sequence column of numbers makes of its feature."""

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
    """Any number of steps for each row, each with as many numbers.

    Attributes:
        values: float32 [steps of all rows, width].
        offsets: int64 [batch + 1]: row i has the steps `values[offsets[i]:offsets[i + 1]]`.
        time: The number of steps of their matrix. None: as many as the longest row has.
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
        """The rows one above the other, float32 [batch, steps, width].

        Args:
            fill: What stands behind the last step of a shorter row.
            steps: How many steps there is room for; None: as `time` says.
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
    """Any number of steps for each row, each with any number of ids.

    Attributes:
        ids: The ids of each step, one step after the other.
        offsets: int64 [batch + 1]: row i has the steps from `offsets[i]` up to `offsets[i + 1]`.
        time: The number of steps of their matrix.
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
    """Steps one row above the other: the form in which a traced model takes them.

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
        """The steps with `fill` behind the last one of each row.

        Args:
            fill: What stands there.
            steps: How many steps there is room for, at least `room`; None: `room`.
        """
        step = torch.arange(self.values.shape[1], device=self.values.device)
        there = (step < self.lengths.unsqueeze(1)).unsqueeze(2)
        padded = self.values.where(there, fill)
        return padded if steps is None else F.pad(padded, (0, 0, 0, steps - self.room), value=fill)
