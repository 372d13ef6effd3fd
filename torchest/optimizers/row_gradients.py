"""Gradients of tables by row: a step touches the rows that its batch looked up, whatever the table's size.

    vectors = look_up(table, ids)      # the backward pass leaves RowGradients with the table
    vectors.sum().backward()
    gradient = summed(table)           # each row once
    clear([table])

The optimizers of torchest read row gradients; for any other optimizer `densify` makes a dense gradient
of them.
"""

from __future__ import annotations

import operator
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from torchest.optimizers.shared_storage import SharedStorage, storage_of
from torchest.utils.tensor_group import TensorGroup
from torchest.utils.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

_ATTRIBUTE = "_torchest_row_gradients"
_PLAIN = {Tensor, torch.nn.Parameter}  # other classes may have no memory of their own
_FEW = 1 << 15  # row numbers; more are sorted faster by numpy
dtype_of, _is_on_cpu = operator.attrgetter("dtype"), operator.attrgetter("is_cpu")
_NUMBER_TYPES: dict[torch.dtype, type[np.floating[Any]]] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
}


@dataclass(frozen=True)
class RowOrder(TensorGroup):
    """The order in which the gradients of rows are summed, each row once.

    Attributes:
        rows: int64 [n], the rows that occur, ascending.
        places: int64 [number of looked up rows], where they occurred: those of the first row, then those of the
            second, and so on.
        starts: int64 [n], where in `places` those of each row begin.
    """

    rows: Tensor
    places: Tensor
    starts: Tensor

    @classmethod
    def of(cls, rows: Tensor, table_rows: int) -> RowOrder:
        """The order for looked up rows [m], numbers below `table_rows`."""
        key_bits = len(rows).bit_length() + (table_rows - 1).bit_length()
        if rows.device.type == "cpu" and key_bits < 64:
            return cls(*map(torch.from_numpy, _grouped(rows.numpy(), table_rows)))
        in_order, places = torch.sort(rows, stable=True)
        is_first = torch.ones_like(in_order, dtype=torch.bool)
        torch.ne(in_order[1:], in_order[:-1], out=is_first[1:])
        starts = is_first.nonzero().squeeze(1)
        return cls(in_order[starts], places, starts)

    def sums(self, values: Tensor) -> Tensor:
        """The sum of the values of each row: [m, dimension] to [n, dimension], always in the same order."""
        if len(values) == 0:
            return values
        if values.shape[1] == 1:  # for so little, waking more threads costs more than it brings
            numbers = arrays_of(values)
            if numbers is not None:
                return self._sums_on_host(*numbers)
        return F.embedding_bag(self.places, values, self.starts, mode="sum")

    def _sums_on_host(self, values: npt.NDArray[Any]) -> Tensor:
        from torchest.kernels import rows

        sums = np.empty((len(self.starts), values.shape[1]), values.dtype)
        rows.add_up(values, self.places.numpy(), self.starts.numpy(), sums)
        return torch.from_numpy(sums)


@dataclass(frozen=True)
class RowGradient:
    """The gradient of some rows of a table; the gradient of all others is 0.

    Attributes:
        rows: int64 [n], row numbers. A row may occur several times: its gradient is the sum.
        values: [n, dimension], the gradient of each of them, in the table's dtype.
        order: How to sum them, if that is known already.
    """

    rows: Tensor
    values: Tensor
    order: RowOrder | None = None


def look_up(weight: Tensor, ids: Tensor, order: RowOrder | None = None) -> Tensor:
    """Rows of a table.

    Args:
        weight: The table, [rows, dimension].
        ids: int64, of any shape; every id is a row number.
        order: That of the flattened ids, if it is known already.

    Returns:
        [*ids.shape, dimension]. Its backward pass adds a `RowGradient` to the pending ones of the table,
        and leaves `weight.grad` alone.
    """
    if weight.requires_grad and torch.is_grad_enabled():
        vectors: Tensor = _LookUp.apply(weight, ids, order)  # type: ignore[no-untyped-call]
        return vectors
    return _gather(weight, ids)


def look_up_sums(weight: Tensor, ids: Tensor, order: RowOrder | None = None) -> Tensor:
    """The sums of rows of a table, such as the linear model's of an example.

    Args:
        weight: The table, [rows, dimension].
        ids: int64 [batch, n]; every id is a row number.
        order: That of the flattened ids, if it is known already.

    Returns:
        [batch, dimension]: `look_up(weight, ids, order).sum(1)`, with its gradients.
    """
    arrays = arrays_of(weight) if ids.is_contiguous() else None
    if arrays is None:
        return look_up(weight, ids, order).sum(1)
    if weight.requires_grad and torch.is_grad_enabled():
        sums: Tensor = _LookUpSums.apply(weight, ids, order)  # type: ignore[no-untyped-call]
        return sums
    return _sums_of_rows(arrays[0], ids)


def pending(parameter: Tensor) -> list[RowGradient]:
    """The row gradients of a parameter, or of a holder, since they were last cleared, one per backward look-up.

    Those of look-ups in shared storage come down to its parameters, or up from them, as they are asked for.
    """
    shared = storage_of(parameter)
    if shared is not None:
        if parameter is shared.tensor:
            _raise(shared)
        else:
            _lower(shared)
    return _own(parameter)


def holders(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The tensors that the pending row gradients of some parameters hang on, each once.

    That is the parameter itself, or the tensor of the storage that it shares with others of these parameters.
    `pending`, `summed` and `clear` take holders like parameters. Another process with the same model finds them
    in the same order.
    """
    parameters = list(parameters)
    found: dict[int, Tensor] = {}
    whole: dict[SharedStorage, bool] = {}
    known: set[int] | None = None
    for parameter in parameters:
        shared = storage_of(parameter)
        if shared is not None and shared not in whole:
            known = set(map(id, parameters)) if known is None else known
            whole[shared] = known.issuperset(map(id, shared.members)) and shared.holds()
        holder = shared.tensor if shared is not None and whole[shared] else parameter
        found[id(holder)] = holder
    return list(found.values())


class Holders:
    """The holders of the same parameters step by step, which are looked for only where something has changed.

    Args:
        parameters: The parameters.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = list(parameters)
        self._storages_made = -1
        self._holders: list[Tensor] = []
        self._storages: list[weakref.ref[SharedStorage]] = []
        self._lists: list[list[RowGradient]] = []
        self._lists_at = -1

    def are_of(self, parameters: Sequence[Tensor]) -> bool:
        """Whether these are the parameters."""
        return len(parameters) == len(self._parameters) and all(
            map(operator.is_, parameters, self._parameters)
        )

    def now(self) -> list[Tensor]:
        """See `holders`."""
        if self._storages_made != SharedStorage.made or not all(map(_holds, self._storages)):
            self._storages_made = SharedStorage.made
            self._holders = holders(self._parameters)
            found = {storage_of(parameter) for parameter in self._parameters}
            self._storages = [weakref.ref(storage) for storage in found if storage is not None]
        return self._holders

    def clear(self) -> None:
        """Forgets the pending row gradients of the parameters."""
        if self._lists_at != SharedStorage.made:
            self._lists_at = SharedStorage.made
            storages = {storage_of(parameter) for parameter in self._parameters} - {None}
            shared = [storage.tensor for storage in storages if storage is not None]
            self._lists = [_own(tensor) for tensor in (*self._parameters, *shared)]
        for of_tensor in self._lists:
            of_tensor.clear()


def _holds(storage: weakref.ref[SharedStorage]) -> bool:
    found = storage()
    return found is not None and found.holds()


def reaches_all(shared: SharedStorage) -> bool:
    """Whether a look-up in the whole of a storage is pending, not only look-ups in some of its parameters."""
    return len(_own(shared.tensor)) > 0


def clear(parameters: Iterable[Tensor]) -> None:
    """Forgets the pending row gradients of the parameters."""
    for holder in holders(parameters):
        pending(holder).clear()


def summed(parameter: Tensor) -> RowGradient | None:
    """All pending row gradients of a parameter or a holder in one, with each row once, in ascending order.

    Sums are taken in a fixed order: the same look-ups give the same bits. On XLA, which compiles every
    shape anew, a row that was looked up several times comes several times, each time with the whole sum:
    write rows back by copying (`index_copy_`), not by adding.

    Returns:
        None if there are none.
    """
    parts = pending(parameter)
    return _total(parts, len(parameter)) if parts else None


def _total(parts: Sequence[RowGradient], table_rows: int) -> RowGradient:
    if len(parts) == 1:
        rows, values, order = parts[0].rows, parts[0].values, parts[0].order
    else:
        rows = torch.cat([part.rows for part in parts])
        values, order = torch.cat([part.values for part in parts]), None
    if len(rows) == 0:
        return RowGradient(rows, values)
    if rows.device.type == "xla":
        return summed_in_fixed_shape(rows, values)
    order = order or RowOrder.of(rows, table_rows)
    return RowGradient(order.rows, order.sums(values))


def _own(tensor: Tensor) -> list[RowGradient]:
    """What hangs on the tensor itself."""
    found: list[RowGradient] | None = getattr(tensor, _ATTRIBUTE, None)
    if found is None:
        found = []
        setattr(tensor, _ATTRIBUTE, found)
    return found


def _raise(shared: SharedStorage) -> None:
    """Moves the row gradients of members to the tensor that they share."""
    if shared.pending_of_members is None:
        shared.pending_of_members = [_own(member) for member in shared.members]
    if not any(shared.pending_of_members):
        return
    for member, start in zip(shared.members, shared.starts, strict=True):
        parts = _own(member)
        if parts:
            _own(shared.tensor).extend(
                RowGradient(part.rows + start, part.values) for part in parts
            )
            parts.clear()


def _lower(shared: SharedStorage) -> None:
    """Moves the row gradients of a shared tensor to its members."""
    parts = _own(shared.tensor)
    if not parts:
        return
    total = _total(parts, len(shared.tensor))
    parts.clear()
    ends = (*shared.starts[1:], len(shared.tensor))
    bounds = torch.searchsorted(total.rows, torch.tensor(ends, device=total.rows.device)).tolist()
    for member, start, first, last in zip(
        shared.members, shared.starts, [0, *bounds], bounds, strict=False
    ):
        _own(member).append(RowGradient(total.rows[first:last] - start, total.values[first:last]))


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


def _grouped(
    rows: npt.NDArray[np.int64], table_rows: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The distinct rows, the places of each, and where those begin; see `RowOrder`.

    A row number and its place, of so many bits, are one number: sorting numbers alone is several times as fast.
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


def arrays_of(*tensors: Tensor) -> list[npt.NDArray[Any]] | None:
    """Tensors as the arrays that compiled loops take, in the same memory; None if they are no such tensors."""
    return [tensor.detach().numpy() for tensor in tensors] if suit_loops(tensors) else None


def suit_loops(tensors: Sequence[Tensor]) -> bool:
    """Whether compiled loops can take the memory of tensors: all of one type, each in one piece, on the CPU."""
    return (
        set(map(type, tensors)) <= _PLAIN
        and set(map(dtype_of, tensors)) == {tensors[0].dtype}
        and all(map(_is_on_cpu, tensors))
        and number_type(tensors[0].dtype) is not None
        and all(map(Tensor.is_contiguous, tensors))
        and not any(map(Tensor.is_neg, tensors))
        and not is_traced()
    )


def number_type(dtype: torch.dtype) -> type[np.floating[Any]] | None:
    """What compiled loops calculate with for tensors of this dtype; None if there are no such loops."""
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
        values: [n, dimension], in the table's dtype; the same for a row that comes several times.
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
    """Adds the pending row gradients of a parameter to its dense `grad`, and forgets them."""
    parts = pending(parameter)
    if not parts:
        return
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    for part in parts:
        parameter.grad.index_add_(0, part.rows, part.values)
    parts.clear()


class _LookUpSums(torch.autograd.Function):
    """The sum of several rows for each example; its backward pass hands the gradient to the table as rows."""

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


def _sums_of_rows(table: npt.NDArray[Any], ids: Tensor) -> Tensor:
    from torchest.kernels import rows

    sums = np.empty((len(ids), table.shape[1]), table.dtype)
    if not rows.add_up_rows(table, ids.numpy(), sums):
        raise IndexError(
            f"An id is out of range: ids from {ids.min()} to {ids.max()} are looked up in a table of {len(table)} rows."
        )
    return torch.from_numpy(sums)


class _LookUp(torch.autograd.Function):
    """A gather whose backward pass hands the gradient to the table as rows."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, order: RowOrder | None) -> Tensor:
        ctx.weight = weight
        ctx.order = order
        ctx.save_for_backward(ids)
        return _gather(weight, ids)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        (ids,) = ctx.saved_tensors
        weight = ctx.weight
        values = gradient.reshape(-1, weight.shape[1]).to(weight.dtype)
        pending(weight).append(RowGradient(ids.reshape(-1), values, ctx.order))
        return None, None, None


def _gather(weight: Tensor, ids: Tensor) -> Tensor:
    if (
        weight.shape[1] == 1 and weight.is_contiguous()
    ):  # of numbers rather than of rows of one: three times as fast
        return weight.view(-1).index_select(0, ids.reshape(-1)).view(*ids.shape, 1)
    return F.embedding(ids, weight)
