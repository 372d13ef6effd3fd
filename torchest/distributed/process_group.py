"""Connects the processes that train together, until the program ends."""

from __future__ import annotations

import atexit
import dataclasses
import json
import logging
import os
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from torchest.distributed.devices import Seen, devices_of
from torchest.distributed.meeting import meet, store_of

if TYPE_CHECKING:
    from torchest.distributed.cluster import Cluster

_log = logging.getLogger("torchest")
# Until the first call of an estimator, which sets its own limits.
_PATIENCE = timedelta(days=1)


def connect(cluster: Cluster) -> torch.device:
    """Connects the processes, unless the program has connected them itself.

    Flags, numbers of examples and objects go over gloo. Gradients on CUDA devices go over NCCL where that is possible
    for all processes.

    Returns:
        The device of this process.

    Raises:
        ValueError: The process group that the program has made does not serve, or nothing says where processes meet.
        RuntimeError: A process does not come.
    """
    if dist.is_initialized():
        return _device_in_group(cluster)
    _log.info(
        "Process %d of %d, by %s, meets the others at %s.",
        cluster.rank, cluster.world_size, cluster.launcher, cluster.address,
    )  # fmt: skip
    store = store_of(cluster, is_launchers=os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True")
    here = json.dumps(dataclasses.asdict(Seen.here(cluster.local_rank)))
    store, messages = meet(store, cluster.rank, cluster.world_size, here)
    processes = [Seen(**json.loads(message)) for message in messages]
    devices = devices_of(processes)
    index = devices.indices[cluster.rank]
    device = torch.device("cpu") if index is None else _set(index)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if devices.over_nccl else "gloo",
        store=store,
        rank=cluster.rank,
        world_size=cluster.world_size,
        timeout=_PATIENCE,
        device_id=device if devices.over_nccl else None,
    )
    atexit.register(_disconnect)
    _log.info(
        "The %d processes are connected, on %s; gradients go over %s, as %s.",
        cluster.world_size, _listed(sorted({seen.host for seen in processes})),
        "NCCL" if devices.over_nccl else "gloo", devices.reason,
    )  # fmt: skip
    return device


def _device_in_group(cluster: Cluster) -> torch.device:
    """The device of this process in a process group that the program has made."""
    backends = dict(each.split(":") for each in dist.get_backend_config().split(","))
    needed = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    missing = [kind for kind in needed if kind not in backends]
    if missing:
        raise ValueError(
            f"The program has made a process group with the backends {dist.get_backend_config()!r}, which has none for "
            f"{' and '.join(missing)}: torchest needs one for the CPU, and for CUDA if there is a GPU. Call "
            'init_process_group("cpu:gloo,cuda:nccl"), or leave the group to torchest.'
        )
    _log.info("Training uses the process group that the program has made.")
    if "cuda" not in needed:
        return torch.device("cpu")
    # the program has set another device than the first, or leaves the choice
    chosen = torch.cuda.current_device() or (cluster.local_rank or 0) % torch.cuda.device_count()
    return _set(chosen)


def _set(index: int) -> torch.device:
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _disconnect() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
