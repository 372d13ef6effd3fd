"""Reads which processes train together, from what started them: torchrun, TF_CONFIG, srun, or RANK and WORLD_SIZE."""

from __future__ import annotations

import dataclasses
import os
import re

import torch.distributed as dist

from torchest.distributed.cluster import Cluster
from torchest.distributed.tf_config import TFConfig
from torchest.utils.checks import shown

_WAY_OUT = "Correct them, or unset them and start the program by torchrun."


def cluster_of_environment() -> Cluster:
    """The group of processes that train together, and the task of this one; a single process if nothing says more.

    RANK and WORLD_SIZE come first, which torchrun sets, or a job of Kubernetes. Next is a TF_CONFIG in which several
    tasks train, and then a step of srun. A process group that the program has made must have the same ranks.

    Raises:
        ValueError: A variable is invalid, or two of them contradict each other.
    """
    config = TFConfig.of_environment()
    names_several = len(config.trainers) > 1
    launched = _of_ranks() or (None if names_several else _of_slurm())
    alone = Cluster(tf_config=config)
    if alone.is_evaluator or alone.is_parameter_server:
        _check_is_outside(alone, launched or _of_group())
        return alone
    cluster = alone
    if launched is not None:
        _check_agree(launched, config)
        cluster = dataclasses.replace(launched, tf_config=config)
    elif names_several:
        cluster = Cluster(
            rank=config.rank,
            world_size=len(config.trainers),
            launcher="TF_CONFIG",
            address=config.chief_address,
            tf_config=config,
        )
    return _checked_against_group(cluster)


def _of_ranks() -> Cluster | None:
    """The processes according to RANK and WORLD_SIZE, if they are set."""
    missing = [name for name in ("RANK", "WORLD_SIZE") if name not in os.environ]
    if len(missing) == 2:
        return None
    if missing == ["RANK"]:
        # scripts for SLURM set WORLD_SIZE for all tasks, and leave their ranks to srun
        slurm = _of_slurm()
        if slurm is not None and slurm.world_size == _number("WORLD_SIZE"):
            return slurm
    if missing:
        named = "WORLD_SIZE" if missing == ["RANK"] else "RANK"
        raise ValueError(
            f"The environment has {named}={shown(os.environ[named])}, but no {missing[0]}: this process, and others "
            "beside it, would train alone. Set both, or unset both and start the program by torchrun."
        )
    rank, size = _number("RANK"), _number("WORLD_SIZE")
    _check_range("RANK", rank, "WORLD_SIZE", size)
    local_rank, local_size = _optional("LOCAL_RANK"), _optional("LOCAL_WORLD_SIZE")
    if local_size is not None:
        if not 0 < local_size <= size:
            raise ValueError(
                f"The environment has LOCAL_WORLD_SIZE={local_size} and WORLD_SIZE={size}: LOCAL_WORLD_SIZE must be "
                f"from 1 to WORLD_SIZE. {_WAY_OUT}"
            )
        if local_rank is not None:
            _check_range("LOCAL_RANK", local_rank, "LOCAL_WORLD_SIZE", local_size)
    return Cluster(
        rank=rank,
        world_size=size,
        local_rank=local_rank,
        local_world_size=local_size,
        launcher="torchrun" if "TORCHELASTIC_RUN_ID" in os.environ else "RANK and WORLD_SIZE",
        address=_master_address(),
    )


def _of_slurm() -> Cluster | None:
    """The tasks of a step of srun, if it has several.

    The shells of sbatch and salloc have the numbers of the job, but not those of a step.
    """
    if "SLURM_PROCID" not in os.environ or "SLURM_STEP_NUM_TASKS" not in os.environ:
        return None
    rank, size = _number("SLURM_PROCID"), _number("SLURM_STEP_NUM_TASKS")
    if size < 2:
        return None
    _check_range("SLURM_PROCID", rank, "SLURM_STEP_NUM_TASKS", size)
    return Cluster(
        rank=rank,
        world_size=size,
        local_rank=_optional("SLURM_LOCALID"),
        launcher="srun",
        address=_slurm_address(),
    )


def _of_group() -> Cluster | None:
    """The process group that has been made, if there is one."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    return Cluster(
        rank=dist.get_rank(),
        world_size=dist.get_world_size(),
        local_rank=_optional("LOCAL_RANK"),
        launcher="a process group",
    )


def _checked_against_group(cluster: Cluster) -> Cluster:
    """The cluster, which is that of the process group where the environment says nothing."""
    group = _of_group()
    if group is None or (group.rank, group.world_size) == (cluster.rank, cluster.world_size):
        return cluster
    if cluster.is_distributed:
        raise ValueError(
            f"The program has made a process group in which this process is rank {group.rank} of {group.world_size}, "
            f"but by {cluster.launcher} it is rank {cluster.rank} of {cluster.world_size}: make the group of all of "
            "them, or leave it to torchest."
        )
    _check_agree(group, cluster.tf_config)
    return dataclasses.replace(group, tf_config=cluster.tf_config)


def _check_is_outside(alone: Cluster, launched: Cluster | None) -> None:
    if launched is not None and launched.is_distributed:
        raise ValueError(
            f'TF_CONFIG says that this process is the task "{alone.task_type}", which is outside the group of '
            f"processes that train, but by {launched.launcher} it is rank {launched.rank} of {launched.world_size}: "
            "start it as a process of its own."
        )


def _check_agree(launched: Cluster, config: TFConfig) -> None:
    """Checks that the tasks of TF_CONFIG, if several train, are the processes that were started, or their machines."""
    if len(config.trainers) < 2:
        return
    size = len(config.trainers)
    local_size = launched.local_world_size or 1
    places = [(launched.world_size // each, launched.rank // each) for each in (1, local_size)]
    if (size, config.rank) not in places:
        on_each = f", with {local_size} on each machine" if local_size > 1 else ""
        raise ValueError(
            f"TF_CONFIG has {config}, so rank {config.rank} of {size}, but by {launched.launcher} it is rank "
            f"{launched.rank} of {launched.world_size}{on_each}. Unset TF_CONFIG, or leave only the chief and the "
            "evaluator in it."
        )


def _master_address() -> str | None:
    host, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    return _joined(host, port) if host and port else None


def _slurm_address() -> str | None:
    """MASTER_ADDR and MASTER_PORT where they are set, else the first machine, and a port made from the job's number."""
    # node[07-09,12],gpu1 begins with node07
    nodes = re.sub(r"\[(\w+)[^\]]*\]", r"\1", os.environ.get("SLURM_STEP_NODELIST", ""))
    host = os.environ.get("MASTER_ADDR") or nodes.split(",")[0]
    job, step = _optional("SLURM_JOB_ID") or 0, _optional("SLURM_STEP_ID") or 0
    port = os.environ.get("MASTER_PORT") or 15000 + (job + step) % 15000
    return _joined(host, port) if host else None


def _joined(host: str, port: object) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_range(name: str, rank: int, size_name: str, size: int) -> None:
    if not 0 <= rank < size:
        raise ValueError(
            f"The environment has {name}={rank} and {size_name}={size}: ranks go from 0 to {size_name} − 1. {_WAY_OUT}"
        )


def _optional(name: str) -> int | None:
    return _number(name) if name in os.environ else None


def _number(name: str) -> int:
    value = os.environ[name]
    try:
        return int(value)
    except ValueError:
        raise ValueError(
            f"The environment has {name}={shown(value)}, which must be a whole number. Correct it, or unset it."
        ) from None
