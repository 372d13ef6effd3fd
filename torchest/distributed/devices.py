"""The device of each process, and the way of gradients between them: one decision for all, made from what each sees."""

from __future__ import annotations

import platform
from collections import defaultdict
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Seen:
    """What a process sees of its machine.

    Attributes:
        host: The name of the machine.
        local_rank: The number of the process on its machine; None if its launcher does not say.
        gpus: The UUIDs of the CUDA devices that the process may use.
        has_nccl: Whether its torch can use NCCL.
    """

    host: str
    local_rank: int | None
    gpus: list[str]
    has_nccl: bool

    @classmethod
    def here(cls, local_rank: int | None) -> Seen:
        """What this process sees."""
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        gpus = [str(torch.cuda.get_device_properties(index).uuid) for index in range(count)]
        return cls(platform.node(), local_rank, gpus, dist.is_nccl_available())


@dataclass(frozen=True)
class Devices:
    """The decision.

    Attributes:
        indices: By rank, the CUDA device of each process; None for the CPU.
        over_nccl: Whether gradients go over NCCL, or else over gloo, which may be slower and needs nothing.
        reason: Why, for the log.
    """

    indices: list[int | None]
    over_nccl: bool
    reason: str


def devices_of(processes: list[Seen]) -> Devices:
    """Gives each process a device; NCCL needs a GPU for each process that no other uses.

    Args:
        processes: What each process sees, by rank.
    """
    local_ranks = _local_ranks(processes)
    indices = [
        local_rank % len(seen.gpus) if seen.gpus else None
        for seen, local_rank in zip(processes, local_ranks, strict=True)
    ]
    obstacle = _obstacle(processes, indices)
    return Devices(indices, not obstacle, obstacle or "each process has a GPU of its own")


def _local_ranks(processes: list[Seen]) -> list[int]:
    """The numbers of processes on their machines, counted by rank where the launcher does not say them."""
    local_ranks, counts = [], defaultdict[str, int](int)
    for seen in processes:
        local_ranks.append(counts[seen.host] if seen.local_rank is None else seen.local_rank)
        counts[seen.host] += 1
    return local_ranks


def _obstacle(processes: list[Seen], indices: list[int | None]) -> str:
    """What forbids NCCL; empty if nothing does."""
    if not any(seen.gpus for seen in processes):
        return "there are no GPUs"
    user_of: dict[tuple[str, str], int] = {}
    for rank, (seen, index) in enumerate(zip(processes, indices, strict=True)):
        if index is None:
            return f"process {rank} on {seen.host} has no GPU"
        if not seen.has_nccl:
            return f"the torch of process {rank} on {seen.host} has no NCCL"
        gpu = seen.host, seen.gpus[index]
        if gpu in user_of:
            return f"processes {user_of[gpu]} and {rank} share the GPU {gpu[1]} of {seen.host}"
        user_of[gpu] = rank
    return ""
