"""Sums gradients over all processes after the backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from torchest.distributed import collectives
from torchest.distributed.gathering import Gathering, joined
from torchest.distributed.packing import Unpacking, packed, packed_size
from torchest.optimizers import row_gradients
from torchest.optimizers.row_gradients import RowGradient, is_on_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

# The kind of a gradient. Sparse ones travel as rows, and small ones with the rows. Where processes differ, the last of
# these kinds is that of the sum.
_NONE, _SPARSE, _SMALL, _LARGE = range(4)
_SMALLEST_LARGE = 1 << 14  # bytes; to gather less takes less time than another message
_ABSENT = -1  # in place of the number of rows, for a parameter without look-ups


class Exchange:
    """Sums the gradients of parameters over all processes.

    A parameter or a row of a table may have a gradient in only some of the processes. The first message tells which,
    and has the loss, the rows of all tables and small gradients; a second one sums large gradients, if there are any.
    On a device, the first has only numbers, which travel over the host, so that no process waits for its device; rows
    are gathered, and the others summed, in messages of their own.

    Args:
        parameters: The parameters, in the same order in every process.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._parameters = list(parameters)
        self._gather = Gathering()
        self._dense_aside: list[tuple[Tensor, Tensor]] = []
        self._rows_aside: list[tuple[Tensor, list[RowGradient]]] = []

    def set_aside(self) -> None:
        """Stores the current gradients, which are already sums over all processes."""
        for parameter in self._parameters:
            if parameter.grad is not None:
                self._dense_aside.append((parameter, parameter.grad))
                parameter.grad = None
            rows = row_gradients.pending(parameter)
            if rows:
                self._rows_aside.append((parameter, list(rows)))
                rows.clear()

    @torch.no_grad()
    def add_up(self, loss: Tensor) -> Tensor:
        """Replaces the gradients of this process by the sums over all processes, plus the stored ones.

        Args:
            loss: The scalar loss of this process, which is summed too.

        Returns:
            The sum of the losses.
        """
        loss = loss.detach()
        parcels = self._exchange(loss)
        kinds = list(map(max, zip(*(parcel.kinds for parcel in parcels), strict=True)))
        large = self._of_kind(kinds, _LARGE)
        if is_on_host(loss):
            total = torch.stack([parcel.contents.next((), loss.dtype) for parcel in parcels]).sum()
            sums = collectives.summed_together(list(map(_dense, large)))
        else:
            *sums, total = collectives.summed_together([*map(_dense, large), loss])
        for parcel in parcels:
            parcel.unpack(self._parameters)
        for parameter, gradient in zip(large, sums, strict=True):
            parameter.grad = gradient
        for parameter in self._of_kind(kinds, _SPARSE):
            _give_sparse(parameter)
        self._take_back()
        return total

    def _exchange(self, loss: Tensor) -> list[_Parcel]:
        """Takes the rows and small gradients of this process. Returns those of all processes, by rank."""
        kinds = list(map(_take_sparse, self._parameters))
        rows = list(map(row_gradients.shortened, self._parameters))
        row_gradients.clear(self._parameters)
        lengths = [_ABSENT if each is None else len(each.rows) for each in rows]
        head = torch.tensor([*kinds, *lengths], dtype=torch.int64)
        contents = [part for each in rows if each is not None for part in (each.rows, each.values)]
        small = self._of_kind(kinds, _SMALL)
        contents += [each.grad for each in small if each.grad is not None]
        for parameter in small:
            parameter.grad = None
        if is_on_host(loss):
            messages = self._gather(packed([head, loss, *contents]))
            return [self._opened(Unpacking(message), len(head)) for message in messages]
        parcels = [
            self._opened(Unpacking(each), len(head)) for each in self._gather(packed([head]))
        ]
        sizes = [each.size_of_rows(self._parameters) for each in parcels]
        messages = joined(packed([loss.new_empty(0), *contents]), sizes)
        pairs = zip(parcels, messages, strict=True)
        return [each._replace(contents=Unpacking(message)) for each, message in pairs]

    def _opened(self, contents: Unpacking, length: int) -> _Parcel:
        numbers = contents.next((length,), torch.int64).tolist()
        count = len(self._parameters)
        return _Parcel(numbers[:count], numbers[count:], contents)

    def _of_kind(self, kinds: Sequence[int], kind: int) -> list[Tensor]:
        pairs = zip(self._parameters, kinds, strict=True)
        return [parameter for parameter, actual in pairs if actual == kind]

    def _take_back(self) -> None:
        for parameter, gradient in self._dense_aside:
            added = parameter.grad
            parameter.grad = gradient if added is None else gradient + added
        for parameter, rows in self._rows_aside:
            row_gradients.pending(parameter)[:0] = rows
        self._dense_aside.clear()
        self._rows_aside.clear()


class _Parcel(NamedTuple):
    """The gradients of one process.

    Attributes:
        kinds: The kind of the gradient of each parameter.
        lengths: The number of rows in the gradient of each parameter.
        contents: The rows and values of those that have some, then the small gradients.
    """

    kinds: list[int]
    lengths: list[int]
    contents: Unpacking

    def size_of_rows(self, parameters: Sequence[Tensor]) -> int:
        """The bytes of all rows and their values."""
        return sum(
            packed_size((length,), torch.int64)
            + packed_size((length, *parameter.shape[1:]), parameter.dtype)
            for parameter, length in zip(parameters, self.lengths, strict=True)
            if length != _ABSENT
        )

    def unpack(self, parameters: Sequence[Tensor]) -> None:
        """Adds the gradients to those of the parameters."""
        for parameter, length in zip(parameters, self.lengths, strict=True):
            if length != _ABSENT:
                rows = self.contents.next((length,), torch.int64)
                values = self.contents.next((length, *parameter.shape[1:]), parameter.dtype)
                row_gradients.pending(parameter).append(RowGradient(rows, values))
        for parameter, kind in zip(parameters, self.kinds, strict=True):
            if kind == _SMALL:
                gradient = self.contents.next(parameter.shape, parameter.dtype)
                before = parameter.grad
                parameter.grad = gradient.clone() if before is None else before.add_(gradient)


def _take_sparse(parameter: Tensor) -> int:
    """The kind of the gradient. Converts a sparse gradient to row gradients."""
    gradient = parameter.grad
    if gradient is None:
        return _NONE
    if not gradient.is_sparse:
        is_small = is_on_host(parameter) and parameter.nbytes < _SMALLEST_LARGE
        return _SMALL if is_small else _LARGE
    gradient = gradient.coalesce()
    row_gradients.pending(parameter).append(RowGradient(gradient.indices()[0], gradient.values()))
    parameter.grad = None
    return _SPARSE


def _give_sparse(parameter: Tensor) -> None:
    """Converts row gradients back to a sparse gradient."""
    gradient = row_gradients.shortened(parameter)
    assert gradient is not None
    row_gradients.clear([parameter])
    parameter.grad = torch.sparse_coo_tensor(
        gradient.rows.unsqueeze(0),
        gradient.values,
        parameter.shape,
        is_coalesced=is_on_host(parameter),
        check_invariants=False,
    )


def _dense(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
