"""The processes that train one model together, and the place of this one among them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from torchest.distributed.tf_config import CHIEF, EVALUATOR, MASTER, PS, WORKER, TFConfig

_log = logging.getLogger("torchest")


@dataclass(frozen=True)
class Cluster:
    """Who is who: the group of processes that train together, and the task of this one.

    `cluster_of_environment` makes it. Its properties are those of `RunConfig`. An evaluator and a parameter server are
    outside the group: each is a single process, whose `task_type` says what it is.

    Attributes:
        rank: The number of this process in the group, from 0. The first one is the chief.
        world_size: The number of processes in the group.
        local_rank: The number of this process on its machine, from 0; None if it is not known yet.
        local_world_size: The number of processes on this machine; None if it is not known.
        launcher: What started the processes: "torchrun", "TF_CONFIG", "srun", "RANK and WORLD_SIZE", or "a process
            group" that the program made itself; empty for a single process.
        address: Host and port where the processes meet, such as "host:2222"; None if the launcher names none.
        tf_config: The contents of TF_CONFIG.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int | None = None
    local_world_size: int | None = None
    launcher: str = ""
    address: str | None = None
    tf_config: TFConfig = field(default_factory=TFConfig, compare=False)

    @property
    def is_distributed(self) -> bool:
        """Whether this process trains together with others."""
        return self.world_size > 1

    @property
    def is_evaluator(self) -> bool:
        """Whether this process evaluates what others train."""
        return self.tf_config.task_type == EVALUATOR

    @property
    def is_parameter_server(self) -> bool:
        """Whether this process is a parameter server, which has nothing to do."""
        return self.tf_config.task_type == PS

    @property
    def leaves_evaluation_to_another(self) -> bool:
        """Whether `train_and_evaluate` only trains here: TF_CONFIG has a cluster, whose evaluator does the rest.

        In clusters with the task "master", which tf.estimator uses without an evaluator, training and evaluation
        alternate.
        """
        return bool(self.tf_config.tasks) and MASTER not in self.tf_config.tasks

    @property
    def task_type(self) -> str:
        """The type of this process: "chief" or "worker", or that in TF_CONFIG; "worker" if it is the only one."""
        if self._is_in_tf_config:
            return self.tf_config.task_type
        return CHIEF if self.rank == 0 else WORKER

    @property
    def task_id(self) -> int:
        """The number of this process among those of its type."""
        return self.tf_config.task_id if self._is_in_tf_config else max(self.rank - 1, 0)

    @property
    def is_chief(self) -> bool:
        """Whether this is the process that writes."""
        return self.tf_config.is_chief if self._is_in_tf_config else self.rank == 0

    @property
    def global_id(self) -> int | None:
        """The number of this process in the cluster, the chief first; None for the evaluator."""
        return self.tf_config.global_id if self._is_in_tf_config else self.rank

    @property
    def num_workers(self) -> int:
        """The number of processes that train, including the chief."""
        return self.tf_config.num_workers if self._is_in_tf_config else self.world_size

    @property
    def num_parameter_servers(self) -> int:
        """The number of parameter servers."""
        return self.tf_config.num_parameter_servers if self._is_in_tf_config else 0

    @property
    def spec(self) -> dict[str, list[str]]:
        """By task type, the addresses in TF_CONFIG or the ranks of the processes; empty for a single process."""
        if self._is_in_tf_config:
            return self.tf_config.cluster_spec
        return {
            CHIEF: ["rank 0"],
            WORKER: [f"rank {rank}" for rank in range(1, self.world_size)],
        }

    @property
    def master(self) -> str:
        """The address of this task in TF_CONFIG; empty if it is the only one."""
        return self.tf_config.master if self._is_in_tf_config else self.tf_config.session_master

    def check_trains(self, call: str) -> None:
        """Raises in an evaluator, and ends a parameter server.

        Args:
            call: What the program calls, for the message.

        Raises:
            ValueError: This process is the evaluator.
            SystemExit: This process is a parameter server; the exit code is 0.
        """
        self.end_parameter_server(call)
        if self.is_evaluator:
            raise ValueError(
                f'{call}: TF_CONFIG says that this process is the task "evaluator", which does not train: call '
                "train_and_evaluate in it, as in the chief, or evaluate; or correct TF_CONFIG."
            )

    def end_parameter_server(self, call: str) -> None:
        """Ends a parameter server, as its tables are in the processes that train.

        TensorFlow's parameter servers do not come back from train_and_evaluate either: they serve until they are
        stopped, so what follows the call is not meant for them.

        Args:
            call: What the program calls, for the log.

        Raises:
            SystemExit: This process is a parameter server; the exit code is 0.
        """
        if not self.is_parameter_server:
            return
        _log.warning(
            "%s: this process is the task ps %d in TF_CONFIG, and ends now: the chief and the workers hold all "
            "parameters and train without parameter servers.",
            call, self.task_id,
        )  # fmt: skip
        raise SystemExit(0)

    @property
    def _is_in_tf_config(self) -> bool:
        """Whether each process of the group is a task of TF_CONFIG, which therefore says what it is."""
        return self.world_size == max(len(self.tf_config.trainers), 1) or (
            self.is_evaluator or self.is_parameter_server
        )
