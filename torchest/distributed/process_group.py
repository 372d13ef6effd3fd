"""Connects the processes that torchrun started, until the program ends."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from torchest.distributed.cluster import Cluster

# The death of a process breaks the connections of all others at once. The time limit is for waiting for a living
# process, such as a chief that writes a checkpoint or exports.
_PATIENCE = timedelta(days=1)


def connect(cluster: Cluster) -> torch.device:
    """Connects the processes, unless they are connected.

    Flags, numbers of examples and objects go over gloo. Gradients on CUDA devices go over NCCL, unless
    processes share a device, which NCCL refuses.

    Returns:
        The device of this process.
    """
    device = _device(cluster)
    if not dist.is_initialized():
        has_own_device = (
            device.type == "cuda" and cluster.local_world_size <= torch.cuda.device_count()
        )
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if has_own_device else "gloo",
            store=_store(cluster),
            rank=cluster.rank,
            world_size=cluster.world_size,
            timeout=_PATIENCE,
            device_id=device if has_own_device else None,
        )
        atexit.register(_disconnect)
    return device


def _device(cluster: Cluster) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", cluster.local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def _store(cluster: Cluster) -> Any:
    """The store in which processes find each other.

    When torchrun starts all processes again after a death, its store still has the addresses of the former ones, so
    each attempt gets a prefix. The number of the attempt is the same only for processes on one machine.
    """
    is_torchruns = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = TCPStore(
        os.environ.get("MASTER_ADDR", "localhost"),
        int(os.environ.get("MASTER_PORT", "29500")),
        cluster.world_size,
        is_master=cluster.rank == 0 and not is_torchruns,
    )
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT")
    if attempt is None or cluster.local_world_size < cluster.world_size:
        return store
    return PrefixStore(f"torchest/{attempt}", store)


def _disconnect() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
