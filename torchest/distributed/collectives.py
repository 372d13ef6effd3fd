"""Messages between processes: numbers and objects over the CPU, tensors from their devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from torchest.distributed.traffic import sent
from torchest.distributed.waiting import message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Value = TypeVar("Value")
_HOST = torch.device("cpu")


def summed_numbers(numbers: Sequence[int]) -> list[int]:
    """The sums of whole numbers over all processes."""
    total = torch.tensor(numbers, dtype=torch.int64)
    with message("a sum of numbers"):
        dist.all_reduce(sent(total))
    return [int(number) for number in total]


def numbers_of_all(numbers: Sequence[int]) -> list[list[int]]:
    """The whole numbers of each process, by rank. All processes pass the same count."""
    own = torch.tensor(numbers, dtype=torch.int64)
    gathered = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    with message("numbers of all"):
        dist.all_gather(gathered, sent(own))
    return [each.tolist() for each in gathered]


def objects_of_all(value: Value) -> list[Value]:
    """The objects of all processes, by rank."""
    gathered = [value] * dist.get_world_size()
    with message("values of all"):
        dist.all_gather_object(gathered, value)
    return gathered


def object_of(rank: int, value: Value) -> Value:
    """The object of one process."""
    sent = [value]
    with message(f"a value of process {rank}"):
        dist.broadcast_object_list(sent, rank, device=_HOST)
    return sent[0]


def copy_from_chief(tensors: Iterable[Tensor]) -> None:
    """Copies the chief's values into tensors."""
    with torch.no_grad(), message("the chief's weights"):
        for tensor in tensors:
            sent = tensor.detach().contiguous()
            dist.broadcast(sent, 0)
            if sent.data_ptr() != tensor.data_ptr():
                tensor.copy_(sent)


def summed(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    with message("a sum of tensors"):
        dist.all_reduce(sent(tensor))
    return tensor


def summed_together(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The sums over all processes, in one message for each dtype. The tensors do not change."""
    sums = list(tensors)
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        places = [place for place, tensor in enumerate(tensors) if tensor.dtype == dtype]
        flat = summed(torch.cat([tensors[place].reshape(-1) for place in places]))
        parts = torch.split(flat, [tensors[place].numel() for place in places])
        for place, part in zip(places, parts, strict=True):
            sums[place] = part.reshape(tensors[place].shape)
    return sums
