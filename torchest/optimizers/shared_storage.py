"""Parameters of one width that are slices of one tensor, so that a step is a few kernels for all of them.

    storage = SharedStorage([first, second])     # the parameters stay; their data moves into one tensor
    storage.tensor                               # [rows of both, width]
    storage.starts                               # (0, rows of the first)

The parameters stay what they were to everybody else: `state_dict`, optimizers, checkpoints. Whatever gives one of
them other data (`module.to`, say) takes it out of the storage; `holds` tells.
"""

from __future__ import annotations

import itertools
import math
import weakref
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

_LARGE = 1 << 22  # bytes
_CACHE_LINE = 64
_LINK = "_torchest_shared_storage"
_requires_grad = attrgetter("requires_grad")


class SharedStorage:
    """One tensor for several parameters, which have all but their number of rows in common.

    Args:
        members: Parameters [rows, width] of one dtype, on one device, that all are trained or all are not.

    Attributes:
        tensor: [rows of all, width]. Row gradients of look-ups in it hang on it.
        members: The parameters.
        starts: The row of the tensor at which each of them begins.
        pending_of_members: What row gradients keep of them, once they were asked for it.
        made: How many storages there have been in this process.
    """

    made = 0

    def __init__(self, members: Sequence[Tensor]) -> None:
        SharedStorage.made += 1
        lengths = [len(member) for member in members]
        first = members[0]
        with torch.inference_mode(False), torch.no_grad():
            tensor = new_empty(first, [sum(lengths), *first.shape[1:]])
            for member, part in zip(members, torch.split(tensor, lengths), strict=True):
                member.data = part.copy_(member)  # the old data goes before the next is copied
        self.tensor = tensor.requires_grad_(first.requires_grad)
        self.members = tuple(members)
        self.starts = tuple(itertools.accumulate(lengths[:-1], initial=0))
        self.pending_of_members: list[list[Any]] | None = None
        self._addresses = tuple(map(Tensor.data_ptr, members))
        for shared in (self.tensor, *members):
            setattr(shared, _LINK, _Link(self))
        for member in members:
            member.__reduce_ex__ = _Reduce(member)  # type: ignore[method-assign]

    def holds(self) -> bool:
        """Whether the parameters are still slices of the tensor, and trained as they were."""
        return tuple(map(Tensor.data_ptr, self.members)) == self._addresses and list(
            map(_requires_grad, self.members)
        ).count(self.tensor.requires_grad) == len(self.members)

    def __reduce__(self) -> tuple[Any, ...]:
        return _nothing, ()  # a copy has parameters of its own, whose data is not together yet


def storage_of(tensor: Tensor) -> SharedStorage | None:
    """The storage that a tensor was made a member of, or is the tensor of."""
    link: _Link | None = getattr(tensor, _LINK, None)
    return None if link is None else link.storage()


def can_share(tensor: Tensor) -> bool:
    """Whether a tensor's device has addresses that tell which tensors lie side by side."""
    return tensor.device.type in ("cpu", "cuda")


def joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    """The tensor [number of elements] that lies under parts which follow each other in memory, or None."""
    first = parts[0]
    if first is None:
        return None
    start = address = first.data_ptr()
    for part in parts:
        if part is None or part.data_ptr() != address or not part.is_contiguous():
            return None
        address += part.nbytes
    storage = first.untyped_storage()
    if address > storage.data_ptr() + storage.nbytes():
        return None  # neighbours by chance
    return first.as_strided(((address - start) // first.itemsize,), (1,), first.storage_offset())


def join(parts: Sequence[Tensor | None], like: Sequence[Tensor], whole: Tensor) -> list[Tensor]:
    """Lets parts lie one after the other in a tensor.

    Args:
        parts: What they hold; None for what the tensor holds.
        like: Tensors of the shapes of the parts.
        whole: A contiguous tensor of as many elements.

    Returns:
        The parts, as views of the tensor.
    """
    pieces = torch.split(whole.view(-1), [tensor.numel() for tensor in like])
    views = [piece.view(tensor.shape) for piece, tensor in zip(pieces, like, strict=True)]
    for part, view in zip(parts, views, strict=True):
        if part is not None:
            view.copy_(part)
    return views


def new_empty(like: Tensor, shape: Sequence[int]) -> Tensor:
    """An uninitialised tensor of the dtype and on the device of another one.

    Large ones on the CPU lie in huge pages where the system has them (numpy asks for them, torch does not):
    rows here and there in a table of hundreds of megabytes are then found twice as fast.
    """
    count = math.prod(shape) * like.itemsize
    if like.device.type != "cpu" or count < _LARGE:
        return like.new_empty(shape)
    memory = np.empty(count + _CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE
    aligned = torch.from_numpy(memory[start : start + count])
    return aligned.view(like.dtype).view(*shape)


class _Link:
    """Leads to a storage, which lives as long as the module that made it, and does not travel with a copy."""

    def __init__(self, storage: SharedStorage) -> None:
        self.storage = weakref.ref(storage)

    def __reduce__(self) -> tuple[Any, ...]:
        return _nothing, ()


class _Reduce:
    """Pickles a parameter alone; with the storage that it shares, each parameter would bring all of them."""

    def __init__(self, parameter: Tensor) -> None:
        self._parameter = weakref.ref(parameter)

    def __call__(self, _: Any) -> tuple[Any, ...]:
        parameter = self._parameter()
        assert parameter is not None  # it is being pickled
        return _parameter, (parameter.detach().clone(), parameter.requires_grad)


def _parameter(data: Tensor, requires_grad: bool) -> torch.nn.Parameter:
    return torch.nn.Parameter(data, requires_grad)


def _nothing() -> None:
    """What a copy has."""
