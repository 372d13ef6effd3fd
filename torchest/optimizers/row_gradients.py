"""Gradients of tables by row: a step touches the rows that its batch looked up, whatever the table's size.

    vectors = look_up(table, ids)      # the backward pass leaves RowGradients with the table
    vectors.sum().backward()
    gradient = summed(table)           # each row once
    clear([table])

The optimizers of torchest read row gradients; for any other optimizer, `densify` converts them to a dense gradient.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from torchest.utils.tensor_group import TensorGroup
from torchest.utils.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from torchest.utils.arrays import NumpyArray

_ATTRIBUTE = "_torchest_row_gradients"
_LARGE = 1 << 22  # bytes
_CACHE_LINE = 64
_PLAIN = {Tensor, torch.nn.Parameter}  # other classes may have no memory of their own
_FEW = 1 << 15  # row numbers; more are sorted faster by numpy
dtype_of, _is_on_cpu = operator.attrgetter("dtype"), operator.attrgetter("is_cpu")
_NUMBER_TYPES: dict[torch.dtype, type[np.float32 | np.float64]] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
}


@dataclass(frozen=True)
class RowOrder(TensorGroup):
    """The order in which the gradients of rows are summed, each row once.

    Attributes:
        rows: The distinct rows, int64 [n], ascending.
        places: The positions of the first row among the looked-up rows, then those of the second, and so on: int64
            [number of looked-up rows].
        starts: The start of each row's positions in `places`, int64 [n].
    """

    rows: Tensor
    places: Tensor
    starts: Tensor

    @classmethod
    def of(cls, rows: Tensor, table_rows: int) -> RowOrder:
        """The order for looked-up rows [m], all below `table_rows`."""
        key_bits = len(rows).bit_length() + (table_rows - 1).bit_length()
        if rows.device.type == "cpu" and key_bits < 64:
            return cls(*map(torch.from_numpy, _grouped(rows.numpy(), table_rows)))
        in_order, places = torch.sort(rows, stable=True)
        is_first = torch.ones_like(in_order, dtype=torch.bool)
        torch.ne(in_order[1:], in_order[:-1], out=is_first[1:])
        starts = is_first.nonzero().squeeze(1)
        return cls(in_order[starts], places, starts)

    def sums(self, values: Tensor) -> Tensor:
        """Sums the values of each row, [m, dimension] to [n, dimension], always in the same order."""
        if len(values) == 0:
            return values
        if values.shape[1] == 1:  # for so little, waking more threads costs more than it brings
            numbers = arrays_of(values)
            if numbers is not None:
                return self._sums_on_host(*numbers)
        return F.embedding_bag(self.places, values, self.starts, mode="sum")

    def _sums_on_host(self, values: NumpyArray) -> Tensor:
        from torchest.kernels import rows

        sums = np.empty((len(self.starts), values.shape[1]), values.dtype)
        rows.add_up(values, self.places.numpy(), self.starts.numpy(), sums)
        return torch.from_numpy(sums)


@dataclass(frozen=True)
class RowGradient:
    """The gradient of some rows of a table; all others have a gradient of 0.

    Attributes:
        rows: int64 [n], row numbers. A row may occur several times: its gradient is the sum.
        values: [n, dimension], the gradient of each of them, in the table's dtype.
        order: The order of the sums, if it is known already.
    """

    rows: Tensor
    values: Tensor
    order: RowOrder | None = None


def look_up(
    weight: Tensor, ids: Tensor, order: RowOrder | None = None, within: slice | None = None
) -> Tensor:
    """Rows of a table.

    Args:
        weight: The table, [rows, dimension].
        ids: int64, of any shape; every id is a row number.
        order: The order of the flattened ids, if it is known already.
        within: The range of rows that ids refer to; all rows by default.

    Returns:
        [*ids.shape, dimension]. Its backward pass adds a `RowGradient` to the pending ones of a parameter,
        and leaves `weight.grad` alone. Any other tensor, such as one that `torch.func.functional_call` puts
        in the place of a parameter, gets a dense gradient.
    """
    if _takes_rows(weight):
        vectors: Tensor = _LookUp.apply(weight, ids, order, within)  # type: ignore[no-untyped-call]
        return vectors
    return _gather(weight if within is None else weight[within], ids)


def look_up_sums(weight: Tensor, ids: Tensor, order: RowOrder | None = None) -> Tensor:
    """Sums of rows of a table for each example, as in a linear model.

    Args:
        weight: The table, [rows, dimension].
        ids: int64 [batch, n]; every id is a row number.
        order: The order of the flattened ids, if it is known already.

    Returns:
        [batch, dimension]: `look_up(weight, ids, order).sum(1)`, with its gradients.
    """
    arrays = arrays_of(weight) if ids.is_contiguous() else None
    if arrays is None:
        return look_up(weight, ids, order).sum(1)
    if not (weight.requires_grad and torch.is_grad_enabled()):
        return _sums_of_rows(arrays[0], ids)
    if not _takes_rows(weight):
        return look_up(weight, ids).sum(1)
    sums: Tensor = _LookUpSums.apply(weight, ids, order)  # type: ignore[no-untyped-call]
    return sums


def _takes_rows(weight: Tensor) -> bool:
    """Whether the gradient of a look-up stays with the table as rows."""
    return (
        isinstance(weight, torch.nn.Parameter) and weight.requires_grad and torch.is_grad_enabled()
    )


def pending(parameter: Tensor) -> list[RowGradient]:
    """The row gradients of a parameter since they were last cleared, one for each backward pass of a look-up."""
    gradients: list[RowGradient] | None = getattr(parameter, _ATTRIBUTE, None)
    if gradients is None:
        gradients = []
        setattr(parameter, _ATTRIBUTE, gradients)
    return gradients


def clear(parameters: Iterable[Tensor]) -> None:
    """Clears the pending row gradients of the parameters."""
    for parameter in parameters:
        gradients = getattr(parameter, _ATTRIBUTE, None)
        if gradients:
            gradients.clear()


def summed(parameter: Tensor) -> RowGradient | None:
    """Sums all pending row gradients of a parameter, with each row once, in ascending order.

    Sums are taken in a fixed order: the same look-ups give the same bits. On a device whose distinct rows the host does
    not know, a row that was looked up several times is repeated, each time with the whole sum: write rows back by
    copying (`index_copy_`), not by adding.

    Returns:
        None if there are none.
    """
    parts = pending(parameter)
    if not parts:
        return None
    rows, values, order = _joined(parts)
    if len(rows) == 0:
        return RowGradient(rows, values)
    if order is None and not is_on_host(rows):
        return summed_in_fixed_shape(rows, values)
    order = order or RowOrder.of(rows, len(parameter))
    return RowGradient(order.rows, order.sums(values))


def shortened(parameter: Tensor) -> RowGradient | None:
    """The pending row gradients of a parameter as one, with each row once where this needs no wait for a device.

    Returns:
        A gradient whose repetitions of a row add up, unlike those of `summed`. None if there are none.
    """
    parts = pending(parameter)
    if not parts:
        return None
    if is_on_host(parts[0].rows):
        return summed(parameter)
    known = [
        part if part.order is None else RowGradient(part.order.rows, part.order.sums(part.values))
        for part in parts
    ]
    return RowGradient(*_joined(known)[:2])


def _joined(parts: Sequence[RowGradient]) -> tuple[Tensor, Tensor, RowOrder | None]:
    if len(parts) == 1:
        return parts[0].rows, parts[0].values, parts[0].order
    return (
        torch.cat([each.rows for each in parts]),
        torch.cat([each.values for each in parts]),
        None,
    )


def is_on_host(tensor: Tensor) -> bool:
    """Whether reading the values of a tensor waits for no device."""
    return tensor.is_cpu


def summed_in_fixed_shape(rows: Tensor, values: Tensor) -> RowGradient:
    """The sums of gradients by row, in a shape that does not depend on the row numbers.

    Neither does XLA compile it anew for each batch, nor does the host wait for CUDA.

    Args:
        rows: int64 [n], n at least 1.
        values: [n, dimension].

    Returns:
        n rows in ascending order; each repetition of a row has the sum of its gradients.
    """
    order = torch.argsort(rows, stable=True)
    in_order = rows[order]  # torch_xla 2.9 aborts in an index_select by what sort returns
    place = F.pad((in_order.diff() != 0).to(torch.int64).cumsum(0), (1, 0))  # among distinct rows
    if rows.device.type == "xla":
        sums = torch.zeros_like(values).index_add_(0, place, values[order])
    else:  # in a fixed order; the last bags are empty
        count = torch.full_like(rows, len(rows))
        starts = count.scatter_reduce(0, place, torch.arange(len(rows), device=rows.device), "amin")
        sums = F.embedding_bag(order, values, starts, mode="sum")
    return RowGradient(in_order, sums[place])


def _grouped(
    rows: npt.NDArray[np.int64], table_rows: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The distinct rows, the positions of each, and where these begin; see `RowOrder`.

    A row number and its position are packed into one number, as sorting plain numbers is several times as fast.
    """
    from torchest.kernels import rows as kernels

    if len(rows) <= _FEW:
        return kernels.order(np.ascontiguousarray(rows), table_rows)
    bits = (len(rows) - 1).bit_length()
    keys = np.empty(len(rows), np.int64)
    kernels.number(rows, bits, keys)
    keys.sort()
    distinct, places, starts = np.empty((3, len(rows)), np.int64)
    count = kernels.group(keys, bits, distinct, places, starts)
    return distinct[:count], places, starts[:count]


def once(summed: RowGradient) -> Tensor:
    """The values of sorted rows, with 0 for repetitions of a row, as each repetition has the whole sum."""
    if len(summed.rows) == 0:
        return summed.values
    is_new = torch.cat([torch.ones_like(summed.rows[:1]), summed.rows.diff() != 0])
    return summed.values * is_new.unsqueeze(1)


def new_empty(like: Tensor, shape: Sequence[int]) -> Tensor:
    """An uninitialised tensor of the dtype and on the device of another one.

    Large tensors on the CPU use huge pages if the system has them (NumPy requests them, torch does not): random access
    to rows of a table of hundreds of megabytes is then twice as fast.
    """
    count = math.prod(shape) * like.itemsize
    if like.device.type != "cpu" or count < _LARGE:
        return like.new_empty(shape)
    memory = np.empty(count + _CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE
    aligned = torch.from_numpy(memory[start : start + count])
    return aligned.view(like.dtype).view(*shape)


def arrays_of(*tensors: Tensor) -> list[NumpyArray] | None:
    """Tensors as arrays for compiled loops, sharing memory; None if the loops do not support them."""
    return [tensor.detach().numpy() for tensor in tensors] if suit_loops(tensors) else None


def suit_loops(tensors: Sequence[Tensor]) -> bool:
    """Whether compiled loops support the tensors: all of one type, contiguous, and on the CPU."""
    return (
        set(map(type, tensors)) <= _PLAIN
        and set(map(dtype_of, tensors)) == {tensors[0].dtype}
        and all(map(_is_on_cpu, tensors))
        and number_type(tensors[0].dtype) is not None
        and all(map(Tensor.is_contiguous, tensors))
        and not any(map(Tensor.is_neg, tensors))
        and not is_traced()
    )


def number_type(dtype: torch.dtype) -> type[np.float32 | np.float64] | None:
    """The number type of compiled loops for tensors of this dtype; None if there are no such loops."""
    return _NUMBER_TYPES.get(dtype)


def read(table: Tensor, rows: Tensor) -> Tensor:
    """Rows of a table, without gradients.

    Args:
        table: [rows, dimension].
        rows: int64 [n].

    Returns:
        [n, dimension].
    """
    return _gather(table.detach(), rows)


def write(table: Tensor, rows: Tensor, values: Tensor) -> None:
    """Writes rows of a table.

    Args:
        table: [rows, dimension].
        rows: int64 [n].
        values: [n, dimension], in the table's dtype; equal for repetitions of a row.
    """
    if table.device.type == "cpu" and table.is_contiguous() and values.is_contiguous():
        # each row in one piece, which is twice as fast as number by number
        _in_pieces(table)[rows.numpy()] = _in_pieces(values)
        torch.autograd.graph.increment_version(table)
    else:
        table.index_copy_(0, rows, values)


def _in_pieces(table: Tensor) -> npt.NDArray[np.void]:
    """Rows as single elements, [rows]."""
    numbers = table.detach().view(torch.uint8).numpy()
    pieces: npt.NDArray[np.void] = numbers.view(f"V{numbers.shape[1]}").reshape(-1)
    return pieces


def densify(parameter: Tensor) -> None:
    """Adds the pending row gradients of a parameter to its dense `grad`, and clears them."""
    parts = pending(parameter)
    if not parts:
        return
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    if is_on_host(parameter):
        for part in parts:
            parameter.grad.index_add_(0, part.rows, part.values)
    elif (sums := summed(parameter)) is not None:  # a device adds up repetitions in any order
        parameter.grad.add_(torch.zeros_like(parameter).index_copy_(0, sums.rows, sums.values))
    parts.clear()


class _LookUpSums(torch.autograd.Function):
    """The sum of several rows for each example; its backward pass stores row gradients with the table."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, order: RowOrder | None) -> Tensor:
        ctx.weight = weight
        ctx.order = order
        ctx.save_for_backward(ids)
        return _sums_of_rows(weight.detach().numpy(), ids)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        (ids,) = ctx.saved_tensors
        weight = ctx.weight
        # by numpy: torch would wake its other threads for so little
        values = np.repeat(gradient.to(weight.dtype).numpy(), ids.shape[1], 0)
        rows = RowGradient(ids.reshape(-1), torch.from_numpy(values), ctx.order)
        pending(weight).append(rows)
        return None, None, None


def _sums_of_rows(table: NumpyArray, ids: Tensor) -> Tensor:
    from torchest.kernels import rows

    sums = np.empty((len(ids), table.shape[1]), table.dtype)
    if not rows.add_up_rows(table, ids.numpy(), sums):
        raise IndexError(
            f"An id is out of range: ids from {ids.min()} to {ids.max()} are looked up in a table of {len(table)} rows."
        )
    return torch.from_numpy(sums)


class _LookUp(torch.autograd.Function):
    """A gather whose backward pass stores row gradients with the table."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, ids: Tensor, order: RowOrder | None, within: slice | None
    ) -> Tensor:
        ctx.weight, ctx.order, ctx.within = weight, order, within
        ctx.save_for_backward(ids)
        return _gather(weight if within is None else weight[within], ids)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None, None]:
        (ids,) = ctx.saved_tensors
        weight = ctx.weight
        rows = ids.reshape(-1)
        if ctx.within is not None:
            rows = rows + ctx.within.start
        values = gradient.reshape(-1, weight.shape[1]).to(weight.dtype)
        pending(weight).append(RowGradient(rows, values, ctx.order))
        return None, None, None, None


def _gather(weight: Tensor, ids: Tensor) -> Tensor:
    if (
        weight.shape[1] == 1 and weight.is_contiguous()
    ):  # of numbers rather than of rows of one: three times as fast
        return weight.view(-1).index_select(0, ids.reshape(-1)).view(*ids.shape, 1)
    return F.embedding(ids, weight)
