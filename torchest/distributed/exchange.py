"""Sums gradients over all processes: dense gradients in one message, row gradients in another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.distributed import collectives
from torchest.optimizers import row_gradients
from torchest.optimizers.row_gradients import RowGradient

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NONE, _DENSE, _SPARSE = range(3)  # the kind of a gradient; a sparse one travels as rows
_NO_ROWS = -1  # in place of the number of rows, for a tensor without look-ups


class Exchange:
    """Sums gradients, and the changes of buffers in forward passes, over all processes.

    Every process has the same tensors in the same order. A parameter or a row of a table may have a gradient in only
    some of the processes.

    Args:
        parameters: All parameters of the model.
        buffers: All its buffers.
    """

    def __init__(self, parameters: Iterable[Tensor], buffers: Iterable[Tensor]) -> None:
        self._parameters = list(parameters)
        self._buffers = _Buffers(buffers)
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
    def add_up(self, loss: Tensor, share: float) -> Tensor:
        """Replaces the gradients of this process by the sums over all processes, plus the stored ones.

        Args:
            loss: The scalar loss of this process, which is summed too.
            share: The weight of this process's changes of buffers. With 0, nothing from this process has an effect, not
                even NaN.

        Returns:
            The sum of the losses.
        """
        counts = share > 0
        kinds = [_take_sparse(parameter) for parameter in self._parameters]
        rows = [row_gradients.summed(each) if counts else None for each in self._parameters]
        kinds_of_all, lengths, changed = _of_all_ranks(
            [kind if counts else _NONE for kind in kinds],
            [_NO_ROWS if own is None else len(own.rows) for own in rows],
            [int(counts and flag) for flag in self._buffers.changed()],
        )
        dense = [
            parameter
            for parameter, kind in zip(self._parameters, kinds_of_all, strict=True)
            if max(kind) == _DENSE
        ]
        changes = self._buffers.changes(list(map(any, changed)))
        own = [*map(_dense, dense), *(change * share for change in changes), loss.detach()]
        if not counts:
            own = [torch.zeros_like(each) for each in own]
        *sums, total = _summed(own)
        for parameter, gradient in zip(dense, sums, strict=False):
            parameter.grad = gradient
        self._buffers.move(list(map(any, changed)), sums[len(dense) :])
        self._place_rows(rows, lengths)
        for parameter, kind in zip(self._parameters, kinds_of_all, strict=True):
            if max(kind) == _SPARSE:
                _give_sparse(parameter)
        self._take_back()
        return total

    def _place_rows(
        self, own: Sequence[RowGradient | None], lengths: Sequence[Sequence[int]]
    ) -> None:
        row_gradients.clear(self._parameters)
        used = [place for place, of_ranks in enumerate(lengths) if max(of_ranks) > _NO_ROWS]
        received = _rows_of_all(
            [own[place] or _nothing(self._parameters[place]) for place in used],
            [[max(length, 0) for length in lengths[place]] for place in used],
        )
        for place, parts in zip(used, received, strict=True):
            row_gradients.pending(self._parameters[place]).extend(parts)

    def _take_back(self) -> None:
        for parameter, gradient in self._dense_aside:
            added = parameter.grad
            parameter.grad = gradient if added is None else gradient + added
        for parameter, rows in self._rows_aside:
            row_gradients.pending(parameter)[:0] = rows
        self._dense_aside.clear()
        self._rows_aside.clear()


class _Buffers:
    """Buffers that are equal in all processes before each step.

    Running statistics are linear in their inputs. So the sum of the weighted changes gives the statistics of batch
    normalisation in one process, and a buffer that no step changes keeps its bits.
    """

    def __init__(self, buffers: Iterable[Tensor]) -> None:
        self._buffers = [buffer for buffer in buffers if buffer.is_floating_point()]
        self._before = [buffer.detach().clone() for buffer in self._buffers]
        self._versions = [buffer._version for buffer in self._buffers]

    def changed(self) -> list[bool]:
        """Whether each was written to."""
        versions = zip(self._buffers, self._versions, strict=True)
        return [buffer._version != version for buffer, version in versions]

    def changes(self, chosen: Sequence[bool]) -> list[Tensor]:
        """The changes of the chosen ones in this step."""
        return [
            buffer - before
            for buffer, before, is_chosen in zip(self._buffers, self._before, chosen, strict=True)
            if is_chosen
        ]

    def move(self, chosen: Sequence[bool], changes: Sequence[Tensor]) -> None:
        """Adds the changes of all processes to the selected buffers."""
        places = [place for place, is_chosen in enumerate(chosen) if is_chosen]
        for place, change in zip(places, changes, strict=True):
            self._buffers[place].copy_(self._before[place].add_(change))
            self._versions[place] = self._buffers[place]._version


def _of_all_ranks(*own: Sequence[int]) -> list[list[tuple[int, ...]]]:
    """The values of each number in all processes, by rank."""
    gathered = collectives.numbers_of_all([number for numbers in own for number in numbers])
    of_ranks = iter(zip(*gathered, strict=True))
    return [[next(of_ranks) for _ in numbers] for numbers in own]


def _take_sparse(parameter: Tensor) -> int:
    """The kind of the gradient. Converts a sparse gradient to row gradients."""
    gradient = parameter.grad
    if gradient is None:
        return _NONE
    if not gradient.is_sparse:
        return _DENSE
    gradient = gradient.coalesce()
    row_gradients.pending(parameter).append(RowGradient(gradient.indices()[0], gradient.values()))
    parameter.grad = None
    return _SPARSE


def _give_sparse(parameter: Tensor) -> None:
    """Converts row gradients back to a sparse gradient."""
    summed = row_gradients.summed(parameter)
    assert summed is not None
    row_gradients.clear([parameter])
    parameter.grad = torch.sparse_coo_tensor(
        summed.rows.unsqueeze(0),
        summed.values,
        parameter.shape,
        is_coalesced=True,
        check_invariants=False,
    )


def _dense(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _nothing(table: Tensor) -> RowGradient:
    rows = torch.empty(0, dtype=torch.int64, device=table.device)
    return RowGradient(rows, table.new_empty(0, *table.shape[1:]))


def _summed(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The sums over all processes, in one message for each dtype."""
    sums = list(tensors)
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        places = [place for place, tensor in enumerate(tensors) if tensor.dtype == dtype]
        flat = collectives.summed(torch.cat([tensors[place].reshape(-1) for place in places]))
        parts = torch.split(flat, [tensors[place].numel() for place in places])
        for place, part in zip(places, parts, strict=True):
            sums[place] = part.reshape(tensors[place].shape)
    return sums


def _rows_of_all(
    own: Sequence[RowGradient], lengths: Sequence[Sequence[int]]
) -> list[list[RowGradient]]:
    """The rows of all processes for each of several tables, in one message.

    Args:
        own: The rows of this process for each table.
        lengths: The number of rows for each table, by rank.

    Returns:
        The rows of all processes for each table, by rank.
    """
    if not own:
        return []
    # the widest numbers come first, so that all parts are aligned
    by_width = sorted(range(len(own)), key=lambda table: -own[table].values.element_size())
    message = [_bytes(each.rows) for each in own]
    message += [_bytes(own[table].values) for table in by_width]
    sizes = [
        sum(length[rank] * _bytes_per_row(each) for each, length in zip(own, lengths, strict=True))
        for rank in range(len(lengths[0]))
    ]
    by_table: list[list[RowGradient]] = [[] for _ in own]
    for rank, received in enumerate(collectives.joined(torch.cat(message), sizes)):
        reader = _Reader(received)
        rows = [reader.next((length[rank],), torch.int64) for length in lengths]
        for table in by_width:
            values = own[table].values
            shape = (lengths[table][rank], *values.shape[1:])
            by_table[table].append(RowGradient(rows[table], reader.next(shape, values.dtype)))
    return by_table


class _Reader:
    """Takes tensors out of a message of bytes, one after the other."""

    def __init__(self, message: Tensor) -> None:
        self._message = message
        self._at = 0

    def next(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        start = self._at
        self._at += math.prod(shape) * dtype.itemsize
        return self._message[start : self._at].view(dtype).view(shape)


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(-1).view(torch.uint8)


def _bytes_per_row(gradient: RowGradient) -> int:
    values = gradient.values
    return gradient.rows.element_size() + math.prod(values.shape[1:]) * values.element_size()
