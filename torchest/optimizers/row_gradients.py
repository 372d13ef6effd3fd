"""Gradients of tables by row: a step touches the rows that its batch looked up, whatever the table's size.

    vectors = look_up(table, ids)      # the backward pass leaves RowGradients with the table
    vectors.sum().backward()
    gradient = summed(table)           # each row once
    clear([table])

The optimizers of torchest read row gradients; for any other optimizer `densify` makes a dense gradient
of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from collections.abc import Iterable

_ATTRIBUTE = "_torchest_row_gradients"


@dataclass(frozen=True)
class RowGradient:
    """The gradient of some rows of a table; the gradient of all others is 0.

    Attributes:
        rows: int64 [n], row numbers. A row may occur several times: its gradient is the sum.
        values: [n, dimension], the gradient of each of them, in the table's dtype.
    """

    rows: Tensor
    values: Tensor


def look_up(weight: Tensor, ids: Tensor) -> Tensor:
    """Rows of a table.

    Args:
        weight: The table, [rows, dimension].
        ids: int64, of any shape; every id is a row number.

    Returns:
        [*ids.shape, dimension]. Its backward pass adds a `RowGradient` to the pending ones of the table,
        and leaves `weight.grad` alone.
    """
    if weight.requires_grad and torch.is_grad_enabled():
        vectors: Tensor = _LookUp.apply(weight, ids)  # type: ignore[no-untyped-call]
        return vectors
    return F.embedding(ids, weight)


def pending(parameter: Tensor) -> list[RowGradient]:
    """The row gradients of a parameter since they were last cleared, one per backward look-up."""
    found: list[RowGradient] | None = getattr(parameter, _ATTRIBUTE, None)
    if found is None:
        found = []
        setattr(parameter, _ATTRIBUTE, found)
    return found


def holders(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The tensors that the pending row gradients of some parameters hang on, each once.

    `pending`, `summed` and `clear` take them like parameters. Another process with the same model finds them in
    the same order.
    """
    return list({id(parameter): parameter for parameter in parameters}.values())


def clear(parameters: Iterable[Tensor]) -> None:
    """Forgets the pending row gradients of the parameters."""
    for parameter in parameters:
        pending(parameter).clear()


def summed(parameter: Tensor) -> RowGradient | None:
    """All pending row gradients of a parameter in one, with each row once, in ascending order.

    Sums are taken in a fixed order: the same look-ups give the same bits. On XLA, which compiles every
    shape anew, a row that was looked up several times comes several times, each time with the whole sum:
    write rows back by copying (`index_copy_`), not by adding.

    Returns:
        None if there are none.
    """
    parts = pending(parameter)
    if not parts:
        return None
    rows = torch.cat([part.rows for part in parts])
    values = torch.cat([part.values for part in parts])
    if len(rows) == 0:
        return RowGradient(rows, values)
    if rows.device.type == "xla":
        return summed_in_fixed_shape(rows, values)
    in_order, order = _sorted(rows, len(parameter))
    is_first = torch.ones_like(in_order, dtype=torch.bool)
    torch.ne(in_order[1:], in_order[:-1], out=is_first[1:])
    starts = is_first.nonzero().squeeze(1)
    return RowGradient(in_order[starts], F.embedding_bag(order, values, starts, mode="sum"))


def summed_in_fixed_shape(rows: Tensor, values: Tensor) -> RowGradient:
    """The sums of gradients by row, in a shape that does not depend on the row numbers.

    Args:
        rows: int64 [n], n at least 1.
        values: [n, dimension].

    Returns:
        n rows in ascending order; one that repeats has the sum of its gradients every time.
    """
    order = torch.argsort(rows, stable=True)
    in_order = rows[order]  # torch_xla 2.9 aborts in an index_select by what sort returns
    place = F.pad((in_order.diff() != 0).to(torch.int64).cumsum(0), (1, 0))  # among distinct rows
    sums = torch.zeros_like(values).index_add_(0, place, values[order])
    return RowGradient(in_order, sums[place])


def _sorted(rows: Tensor, table_rows: int) -> tuple[Tensor, Tensor]:
    """Row numbers in ascending order, and where each was; equal ones stay in their order."""
    bits = (len(rows) - 1).bit_length()
    if rows.device.type != "cpu" or (table_rows - 1).bit_length() + bits > 63:
        return torch.sort(rows, stable=True)
    # a row number and its place in one number: sorting numbers alone is several times as fast
    places = np.arange(len(rows), dtype=np.int64)
    keys = (rows.numpy() << bits) | places
    keys.sort()
    order = np.bitwise_and(keys, (1 << bits) - 1, out=places)
    return torch.from_numpy(keys >> bits), torch.from_numpy(order)


def densify(parameter: Tensor) -> None:
    """Adds the pending row gradients of a parameter to its dense `grad`, and forgets them."""
    parts = pending(parameter)
    if not parts:
        return
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    for part in parts:
        parameter.grad.index_add_(0, part.rows, part.values)
    parts.clear()


class _LookUp(torch.autograd.Function):
    """A gather whose backward pass hands the gradient to the table as rows."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.weight = weight
        ctx.save_for_backward(ids)
        return F.embedding(ids, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None]:
        (ids,) = ctx.saved_tensors
        weight = ctx.weight
        values = gradient.reshape(-1, weight.shape[1]).to(weight.dtype)
        pending(weight).append(RowGradient(ids.reshape(-1), values))
        return None, None
