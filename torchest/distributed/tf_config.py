"""The environment variable TF_CONFIG: the tasks of a cluster, and which of them this process is.

torchrun starts the processes that train together. TF_CONFIG tells a trainer from an evaluator, and may name the
cluster that torchrun started; it starts nothing itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torchest.distributed.cluster import Cluster
from torchest.utils.checks import is_whole, shown
from torchest.utils.json_form import Form, check_form, object_or_none, optional, text_or_none

CHIEF, MASTER, WORKER, PS, EVALUATOR = "chief", "master", "worker", "ps", "evaluator"
_TRAINERS = (CHIEF, MASTER, WORKER)
_ORDER = {task_type: place for place, task_type in enumerate((*_TRAINERS, PS))}
_EXAMPLE = '{"cluster": {"chief": ["host"]}, "task": {"type": "evaluator"}}'

_FORM: Form = {
    "cluster": optional(dict),
    "task": optional({"type": optional(text_or_none)}),
    "model_dir": optional(text_or_none),
    "session_master": optional(str),
    "eval_session_master": optional(str),
    "service": optional(object_or_none),
    "rpc_layer": optional(str),
}


@dataclass(frozen=True)
class TFConfig:
    """The contents of TF_CONFIG. Its properties are those of `RunConfig`, with TensorFlow's values.

    Attributes:
        tasks: The addresses by task type and index, without the evaluator; empty without a cluster.
        named_type: The type of this task; None if TF_CONFIG has none.
        task_id: The index of this task.
        model_dir: The model_dir of all tasks; None if TF_CONFIG has none.
        session_master: Overrides `master`.
        evaluation_master: Has no effect.
        service: Has no effect.
        rpc_layer: The first part of `master`.
    """

    tasks: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    named_type: str | None = None
    task_id: int = 0
    model_dir: str | None = None
    session_master: str = ""
    evaluation_master: str = ""
    service: dict[str, Any] | None = None
    rpc_layer: str = "grpc"

    @classmethod
    def of_environment(cls) -> TFConfig:
        """Reads the environment variable; without it, there is a single process.

        Raises:
            ValueError: The variable is invalid.
        """
        text = os.environ.get("TF_CONFIG") or "{}"
        try:
            return _parsed(text)
        except (ValueError, RecursionError) as error:
            problem = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise ValueError(
                f"The environment has TF_CONFIG={shown(text)}, which should be JSON such as {_EXAMPLE}: {problem}. "
                "Correct it, or unset it."
            ) from None

    @property
    def task_type(self) -> str:
        """The type of this task; "worker" if TF_CONFIG has none."""
        return self.named_type or WORKER

    @property
    def is_evaluator(self) -> bool:
        """Whether this process evaluates, and does not train."""
        return self.named_type == EVALUATOR

    @property
    def is_chief(self) -> bool:
        """Whether this is the task that writes."""
        return not self.is_evaluator and (not self.tasks or self.task_type in (CHIEF, MASTER))

    @property
    def global_id(self) -> int | None:
        """The number of this task in the cluster, the chief first; None for the evaluator."""
        if self.is_evaluator:
            return None
        here = (self.task_type, self.task_id)
        return self.members.index(here) if here in self.members else 0

    @property
    def num_workers(self) -> int:
        """The number of tasks that train, without parameter servers."""
        if self.is_evaluator:
            return 0
        return sum(len(self.tasks.get(kind, ())) for kind in _TRAINERS) if self.tasks else 1

    @property
    def num_parameter_servers(self) -> int:
        """How many parameter servers there are."""
        return 0 if self.is_evaluator else len(self.tasks.get(PS, ()))

    @property
    def cluster_spec(self) -> dict[str, list[str]]:
        """The addresses by task type; empty for the evaluator."""
        if self.is_evaluator:
            return {}
        return {kind: list(addresses.values()) for kind, addresses in self.tasks.items()}

    @property
    def master(self) -> str:
        """The address of this task; empty if it is the only one."""
        if self.session_master or self.is_evaluator or len(self.members) < 2:
            return self.session_master
        return f"{self.rpc_layer}://{self.tasks[self.task_type][self.task_id]}"

    @property
    def members(self) -> list[tuple[str, int]]:
        """The type and index of each task of the cluster except the evaluator, the chief first."""
        kinds = sorted(self.tasks, key=lambda kind: (_ORDER.get(kind, len(_ORDER)), kind))
        return [(kind, index) for kind in kinds for index in sorted(self.tasks[kind])]

    def check_may_train(self) -> None:
        """Raises if several tasks train and torchrun did not start them.

        Raises:
            ValueError: This process would train a separate model.
        """
        if self.is_evaluator:
            raise ValueError(
                'TF_CONFIG says that this process is the task "evaluator", which does not train: call '
                "train_and_evaluate in it, as in the chief, or evaluate; or correct TF_CONFIG."
            )
        if len(self.members) > 1:
            self._check_is_joined(Cluster.of_environment())
        if self.tasks and self.named_type is None:
            raise ValueError(
                f"TF_CONFIG has a cluster ({self._listed()}) and does not say which of its tasks this process is: add "
                '"task": {"type": "chief", "index": 0}, or "evaluator".'
            )
        if self.task_type not in _TRAINERS:
            raise ValueError(
                f"TF_CONFIG says that this process is the task {self.task_type!r}, and only "
                f"{', '.join(map(repr, _TRAINERS))} train; torchest has no parameter servers. Do not start this "
                "process, and leave the task out of TF_CONFIG."
            )

    def _check_is_joined(self, cluster: Cluster) -> None:
        foreign = sorted(set(self.tasks) - set(_TRAINERS))
        way_out = (
            "Start the training by torchrun on each machine, and leave only the chief and the evaluator in "
            "TF_CONFIG."
        )
        if foreign:
            way_out = (
                f"torchest has no tasks of the type {', '.join(map(repr, foreign))}. {way_out}"
            )
        if not cluster.is_distributed or foreign:
            raise ValueError(
                f"TF_CONFIG names {len(self.members)} processes that train together ({self._listed()}), and this one "
                f"({self._here()}) was not started by torchrun with them: it would train a separate model in the "
                f"model_dir. {way_out}"
            )
        # one task is a process, or all processes of a machine
        machines = cluster.world_size // cluster.local_world_size
        machine = cluster.rank // cluster.local_world_size
        places = [(cluster.world_size, cluster.rank), (machines, machine)]
        if self.named_type is None or (len(self.members), self.global_id) not in places:
            raise ValueError(
                f"TF_CONFIG and torchrun contradict each other: TF_CONFIG names {len(self.members)} tasks that train "
                f"({self._listed()}), of which this process is {self._here()}; torchrun has set RANK={cluster.rank}, "
                f"WORLD_SIZE={cluster.world_size} and LOCAL_WORLD_SIZE={cluster.local_world_size}. Leave only the "
                "chief and the evaluator in TF_CONFIG: torchrun says which process is which."
            )

    def _listed(self) -> str:
        kinds = sorted(self.tasks, key=lambda kind: (_ORDER.get(kind, len(_ORDER)), kind))
        return ", ".join(f"{len(self.tasks[kind])} {kind}" for kind in kinds)

    def _here(self) -> str:
        return "no task" if self.named_type is None else f"{self.named_type} {self.task_id}"


def place_of_environment() -> Cluster | TFConfig:
    """The place of this process in the cluster, from torchrun or else from TF_CONFIG.

    Raises:
        ValueError: The environment is invalid.
    """
    cluster = Cluster.of_environment()
    return cluster if cluster.is_distributed else TFConfig.of_environment()


def _parsed(text: str) -> TFConfig:
    try:
        config = json.loads(text)
    except ValueError:
        raise ValueError("it is not JSON") from None
    check_form(config, _FORM)
    tasks = {
        kind: _addresses(kind, listed)
        for kind, listed in config.get("cluster", {}).items()
        if listed != []
    }
    tasks.pop(EVALUATOR, None)
    task = config.get("task", {})
    named_type, task_id = task.get("type"), _index(task.get("index", 0))
    if named_type == "":
        raise ValueError("the type of the task is empty")
    if config.get("model_dir") == "":
        raise ValueError("model_dir is empty")
    _check_task(named_type, task_id, tasks)
    return TFConfig(
        tasks=tasks,
        named_type=named_type,
        task_id=task_id,
        model_dir=config.get("model_dir"),
        session_master=config.get("session_master", ""),
        evaluation_master=config.get("eval_session_master", ""),
        service=config.get("service"),
        rpc_layer=config.get("rpc_layer", "grpc"),
    )


def _check_task(
    named_type: str | None, task_id: int, tasks: Mapping[str, Mapping[int, str]]
) -> None:
    """Raises an error if the cluster has no such task."""
    if named_type in (None, EVALUATOR):
        return
    if not tasks:
        if named_type not in _TRAINERS or task_id:
            raise ValueError(f"the task is {named_type} {task_id}, but there is no cluster")
        return
    if named_type not in tasks:
        raise ValueError(
            f"the type of the task is {named_type!r}, but the cluster has {', '.join(map(repr, tasks))}"
        )
    if task_id not in tasks[named_type]:
        raise ValueError(
            f"the index of the task is {task_id}, but the cluster has {len(tasks[named_type])} of the type "
            f"{named_type!r}, counted from 0"
        )


def _addresses(kind: str, listed: object) -> dict[int, str]:
    """The addresses of one type of tasks by index, from a list, or from an object by index."""
    if isinstance(listed, Sequence) and not isinstance(listed, str):
        by_index = dict(enumerate(listed))
    elif isinstance(listed, dict):
        by_index = {_index(index): address for index, address in listed.items()}
    else:
        by_index = {}
    if not by_index or not all(isinstance(address, str) for address in by_index.values()):
        raise ValueError(f"cluster: {kind} is {shown(listed)} and not a list of addresses")
    return by_index


def _index(value: object) -> int:
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        value = int(value)
    if not is_whole(value) or value < 0:
        raise ValueError(f"the index of a task is {shown(value)}, and they are counted from 0")
    return value
