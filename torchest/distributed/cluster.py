"""The processes that torchrun started, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Cluster:
    """The processes that train one model together, and the place of this one.

    Attributes:
        rank: The number of this process, from 0.
        world_size: The number of processes.
        local_rank: The number of this process on its machine, from 0.
        local_world_size: The number of processes on this machine.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1

    @classmethod
    def of_environment(cls) -> Cluster:
        """The processes that torchrun started; a single one if it did not start this one.

        Raises:
            ValueError: A variable has a value that torchrun never sets.
        """
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            return cls()
        rank, size = _number("RANK"), _number("WORLD_SIZE")
        if not 0 <= rank < size:
            raise ValueError(
                f"The environment has RANK={rank} and WORLD_SIZE={size}: ranks go from 0 to WORLD_SIZE − 1. "
                "Start the program by torchrun, or unset both."
            )
        local_size = _number("LOCAL_WORLD_SIZE", size)
        if not 0 < local_size <= size:
            raise ValueError(
                f"The environment has LOCAL_WORLD_SIZE={local_size} and WORLD_SIZE={size}: LOCAL_WORLD_SIZE must be "
                "from 1 to WORLD_SIZE. Start the program by torchrun, or unset both."
            )
        return cls(
            rank=rank,
            world_size=size,
            local_rank=_number("LOCAL_RANK", rank),
            local_world_size=local_size,
        )

    @property
    def task_type(self) -> str:
        """The type of this process: "chief" or "worker"; "worker" if it is the only one."""
        return "chief" if self.is_distributed and self.rank == 0 else "worker"

    @property
    def task_id(self) -> int:
        """The number of this process among those of its type."""
        return max(self.rank - 1, 0)

    @property
    def is_chief(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @property
    def global_id(self) -> int:
        """The rank of this process."""
        return self.rank

    @property
    def num_workers(self) -> int:
        """The number of processes that train, including the chief."""
        return self.world_size

    @property
    def num_parameter_servers(self) -> int:
        """The number of parameter servers: none."""
        return 0

    @property
    def cluster_spec(self) -> dict[str, list[str]]:
        """The ranks of all processes by type; empty for a single process."""
        if not self.is_distributed:
            return {}
        workers = [f"rank {rank}" for rank in range(1, self.world_size)]
        return {"chief": ["rank 0"], "worker": workers}

    @property
    def is_distributed(self) -> bool:
        """Whether there is more than one process."""
        return self.world_size > 1


def _number(name: str, default: int | None = None) -> int:
    value = os.environ.get(name, default)
    try:
        return int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(
            f"The environment has {name}={value!r}, which must be a whole number. Start the program by "
            "torchrun, or unset RANK and WORLD_SIZE."
        ) from None
