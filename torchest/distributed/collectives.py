"""What processes tell each other. Numbers and objects of the host go over the CPU, tensors from where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Value = TypeVar("Value")
_HOST = torch.device("cpu")


def summed_numbers(numbers: Sequence[int]) -> list[int]:
    """The sums over all processes of some whole numbers."""
    total = torch.tensor(numbers, dtype=torch.int64)
    dist.all_reduce(total)
    return [int(number) for number in total]


def numbers_of_all(numbers: Sequence[int]) -> list[list[int]]:
    """Some whole numbers of each process, by rank; as many in each."""
    own = torch.tensor(numbers, dtype=torch.int64)
    found = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(found, own)
    return [each.tolist() for each in found]


def objects_of_all(value: Any) -> list[Any]:
    """An object of each process, by rank."""
    found = [None] * dist.get_world_size()
    dist.all_gather_object(found, value)
    return found


def object_of(rank: int, value: Value) -> Value:
    """The object of one process."""
    held = [value]
    dist.broadcast_object_list(held, rank, device=_HOST)
    return held[0]


def copy_from_chief(tensors: Iterable[Tensor]) -> None:
    """Fills tensors with those of the chief."""
    with torch.no_grad():
        for tensor in tensors:
            sent = tensor.detach().contiguous()
            dist.broadcast(sent, 0)
            if sent.data_ptr() != tensor.data_ptr():
                tensor.copy_(sent)


def summed(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    dist.all_reduce(tensor)
    return tensor


def joined(own: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    """A vector of each process, by rank.

    Args:
        own: That of this process.
        lengths: That of each process.
    """
    longest = max(lengths)
    if longest == 0:
        return [own for _ in lengths]
    padded = own.new_zeros(longest)
    padded[: len(own)] = own
    found = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(found, padded)
    return [each[:length] for each, length in zip(found, lengths, strict=True)]
