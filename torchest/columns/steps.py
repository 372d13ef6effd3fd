"""Numbers of sequences: what a sequence column of numbers makes of its feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from torchest.columns.ids import room
from torchest.utils.host_copies import to_device

if TYPE_CHECKING:
    from torchest.columns.ids import Ids, Time


@dataclass(frozen=True, eq=False)
class Steps:
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
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.values.device

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

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Steps:
        """The same steps on a device."""
        return Steps(
            self.values.to(device, non_blocking=non_blocking),
            self.offsets.to(device, non_blocking=non_blocking),
            self.time,
        )

    def pin_memory(self) -> Steps:
        """The same steps in page-locked memory, from which a copy to a GPU is asynchronous."""
        return Steps(self.values.pin_memory(), self.offsets.pin_memory(), self.time)


@dataclass(frozen=True, eq=False)
class IdSteps:
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
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.ids.device

    @property
    def batch_size(self) -> int:
        """The number of rows."""
        return len(self.offsets) - 1

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> IdSteps:
        """The same ids on a device."""
        return IdSteps(
            self.ids.to(device, non_blocking=non_blocking),
            self.offsets.to(device, non_blocking=non_blocking),
            self.time,
        )

    def pin_memory(self) -> IdSteps:
        """The same ids in page-locked memory, from which a copy to a GPU is asynchronous."""
        return IdSteps(self.ids.pin_memory(), self.offsets.pin_memory(), self.time)


@dataclass(frozen=True, eq=False)
class PaddedSteps:
    """Steps one row above the other: the form in which a traced model takes them.

    Attributes:
        values: float32 [batch, n, width].
        lengths: The number of steps of each row, int64 [batch].
    """

    values: Tensor
    lengths: Tensor

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.values.device

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> PaddedSteps:
        """The same steps on a device."""
        values = self.values.to(device, non_blocking=non_blocking)
        return PaddedSteps(values, to_device(self.lengths, torch.device(device)))

    def pin_memory(self) -> PaddedSteps:
        """The same steps in page-locked memory, from which a copy to a GPU is asynchronous."""
        return PaddedSteps(self.values.pin_memory(), self.lengths.pin_memory())

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
