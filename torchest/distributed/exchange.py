"""Sums gradients over all processes after the backward pass: rows in one message, dense gradients in another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.distributed import collectives
from torchest.distributed.row_exchange import RowExchange
from torchest.optimizers import row_gradients
from torchest.optimizers.row_gradients import RowGradient

if TYPE_CHECKING:
    from collections.abc import Iterable

_NONE, _DENSE, _SPARSE = range(3)  # the kind of a gradient; a sparse one travels as rows


class Exchange:
    """Sums the gradients of parameters over all processes.

    A parameter or a row of a table may have a gradient in only some of the processes.

    Args:
        parameters: The parameters, in the same order in every process.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._parameters = list(parameters)
        self._rows = RowExchange(self._parameters)
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
        kinds = self._exchange_rows() if self._parameters else []
        dense = [
            parameter
            for parameter, kind in zip(self._parameters, kinds, strict=True)
            if kind == _DENSE
        ]
        *sums, total = collectives.summed_together([*map(_dense, dense), loss.detach()])
        for parameter, gradient in zip(dense, sums, strict=True):
            parameter.grad = gradient
        for parameter, kind in zip(self._parameters, kinds, strict=True):
            if kind == _SPARSE:
                _give_sparse(parameter)
        self._take_back()
        return total

    def _exchange_rows(self) -> list[int]:
        """Gives each table the rows of all processes. Returns the kind of each gradient, over all processes."""
        own = list(map(_take_sparse, self._parameters))
        rows = list(map(row_gradients.shortened, self._parameters))
        kinds, received = self._rows(own, rows)
        row_gradients.clear(self._parameters)
        for parameter, parts in zip(self._parameters, received, strict=True):
            row_gradients.pending(parameter).extend(parts)
        return list(map(max, zip(*kinds, strict=True)))

    def _take_back(self) -> None:
        for parameter, gradient in self._dense_aside:
            added = parameter.grad
            parameter.grad = gradient if added is None else gradient + added
        for parameter, rows in self._rows_aside:
            row_gradients.pending(parameter)[:0] = rows
        self._dense_aside.clear()
        self._rows_aside.clear()


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
