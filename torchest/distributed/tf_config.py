"""The environment variable TF_CONFIG: the tasks of a cluster, and which of them this process is."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torchest.errors import suggest
from torchest.utils.checks import is_whole, shown
from torchest.utils.json_form import Form, check_form, object_or_none, optional, text_or_none

CHIEF, MASTER, WORKER, PS, EVALUATOR = "chief", "master", "worker", "ps", "evaluator"
_TRAINERS = (CHIEF, MASTER, WORKER)
_ORDER = (CHIEF, MASTER, EVALUATOR, WORKER, PS)  # of the tasks in a cluster
_EXAMPLE = (
    '{"cluster": {"chief": ["host0:2222"], "worker": ["host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)

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
        tasks: The addresses by task type and index; empty without a cluster.
        task_type: The type of this task.
        task_id: The index of this task.
        model_dir: The model_dir of all tasks; None if TF_CONFIG has none.
        session_master: Overrides `master`.
        evaluation_master: Has no effect.
        service: Has no effect.
        rpc_layer: The first part of `master`.
    """

    tasks: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    task_type: str = WORKER
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
                f"The environment has TF_CONFIG={shown(text)}: {problem}. Correct it, or unset it; an example is "
                f"{_EXAMPLE}"
            ) from None

    @property
    def is_chief(self) -> bool:
        """Whether this is the task that writes: the chief or master, or worker 0 in a cluster of workers."""
        return (self.task_type, self.task_id) == (self.trainers or [(WORKER, 0)])[0]

    @property
    def global_id(self) -> int | None:
        """The number of this task among the members, as TensorFlow has it; None for the evaluator."""
        if self.task_type == EVALUATOR:
            return None
        here = (self.task_type, self.task_id)
        return self.members.index(here) if here in self.members else 0

    @property
    def num_workers(self) -> int:
        """The number of tasks that train, without parameter servers."""
        if self.task_type == EVALUATOR:
            return 0
        return len(self.trainers) if self.tasks else 1

    @property
    def num_parameter_servers(self) -> int:
        """How many parameter servers there are."""
        return 0 if self.task_type == EVALUATOR else len(self.tasks.get(PS, ()))

    @property
    def cluster_spec(self) -> dict[str, list[str]]:
        """The addresses by task type; empty for the evaluator."""
        if self.task_type == EVALUATOR:
            return {}
        return {kind: list(addresses.values()) for kind, addresses in self.tasks.items()}

    @property
    def master(self) -> str:
        """The address of this task; empty if it is the only one."""
        if self.session_master or self.task_type == EVALUATOR or len(self.members) < 2:
            return self.session_master
        return f"{self.rpc_layer}://{self.tasks[self.task_type][self.task_id]}"

    @property
    def members(self) -> list[tuple[str, int]]:
        """Type and index of each task in the cluster: the chief first, parameter servers last."""
        return [(kind, index) for kind in _ORDER for index in sorted(self.tasks.get(kind, ()))]

    @property
    def trainers(self) -> list[tuple[str, int]]:
        """The type and index of each task that trains, the chief first."""
        return [member for member in self.members if member[0] in _TRAINERS]

    @property
    def rank(self) -> int:
        """The number of this task among those that train, the chief first; 0 if it does not train."""
        here = (self.task_type, self.task_id)
        return self.trainers.index(here) if here in self.trainers else 0

    @property
    def chief_address(self) -> str:
        """The address of the first task that trains, as written."""
        kind, index = self.trainers[0]
        return self.tasks[kind][index]

    def __str__(self) -> str:
        """The tasks and this one, for messages: "1 chief, 2 worker; this process is worker 1"."""
        counts = [f"{len(self.tasks[kind])} {kind}" for kind in _ORDER if kind in self.tasks]
        return f"{', '.join(counts)}; this process is {self.task_type} {self.task_id}"


def _parsed(text: str) -> TFConfig:
    try:
        config = json.loads(text)
    except ValueError:
        raise ValueError("it is not JSON") from None
    check_form(config, _FORM)
    _check_keys(config)
    tasks = {
        kind: _addresses(kind, listed)
        for kind, listed in config.get("cluster", {}).items()
        if listed != []
    }
    if config.get("model_dir") == "":
        raise ValueError("model_dir is empty")
    _check_cluster(tasks)
    task_type, task_id = _task(config.get("task", {}), tasks)
    return TFConfig(
        tasks=tasks,
        task_type=task_type,
        task_id=task_id,
        model_dir=config.get("model_dir"),
        session_master=config.get("session_master", ""),
        evaluation_master=config.get("eval_session_master", ""),
        service=config.get("service"),
        rpc_layer=config.get("rpc_layer", "grpc"),
    )


def _check_keys(config: Mapping[str, object]) -> None:
    """Raises an error if "cluster" or "task" is misspelt, as a process without a cluster would train alone.

    Other unknown keys are those of services that start TensorFlow, such as "environment".
    """
    keys = {key.lower(): key for key in config}
    for key in ("cluster", "task"):
        near = difflib.get_close_matches(key, keys, 1)
        if key not in config and near:
            raise ValueError(f"it has the key {keys[near[0]]!r}, which should be {key!r}")


def _check_cluster(tasks: Mapping[str, Mapping[int, str]]) -> None:
    """Raises an error unless one task of the cluster is the chief."""
    for kind in tasks:
        if kind not in _ORDER:
            known = suggest(kind, _ORDER).removesuffix(".")
            raise ValueError(f"the cluster has the unknown task type {kind!r}.{known}")
    if CHIEF in tasks and MASTER in tasks:
        raise ValueError("the cluster has both a 'chief' and a 'master', which mean the same task")
    for kind in (CHIEF, MASTER):
        if len(tasks.get(kind, ())) > 1:
            raise ValueError(f"the cluster has {len(tasks[kind])} of the type {kind!r}, not one")
    if tasks and not set(_TRAINERS) & set(tasks):
        raise ValueError("the cluster has neither a 'chief' nor a 'worker'")


def _task(task: Mapping[str, Any], tasks: Mapping[str, Mapping[int, str]]) -> tuple[str, int]:
    """The type and index of this task.

    Raises:
        ValueError: The cluster has no such task, or several that could be meant.
    """
    kind = task.get("type")
    if kind == "":
        raise ValueError("the type of the task is empty")
    index = _index(task.get("index", 0))
    if kind == EVALUATOR:
        if MASTER in tasks:
            raise ValueError(
                "the cluster has a 'master', which evaluates itself, and so no 'evaluator'"
            )
        return kind, index
    if not tasks:
        if kind not in (None, WORKER) or index:
            raise ValueError(f"the task is {kind or WORKER} {index}, but there is no cluster")
        return WORKER, 0
    if kind is None:
        raise ValueError(
            "there is a cluster, and nothing says which of its tasks this process is: add "
            '"task": {"type": "chief", "index": 0}, or the like'
        )
    if kind not in tasks:
        known = suggest(kind, tasks).removesuffix(".")
        raise ValueError(f"the cluster has no task of the type {kind!r}.{known}")
    if "index" not in task and len(tasks[kind]) > 1:
        raise ValueError(
            f"the task has no index, and the cluster has {len(tasks[kind])} of the type {kind!r}"
        )
    if index not in tasks[kind]:
        raise ValueError(
            f"the index of the task is {index}, but the cluster has {len(tasks[kind])} of the type "
            f"{kind!r}, counted from 0"
        )
    return kind, index


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
