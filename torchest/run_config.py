"""RunConfig: how an estimator runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from torchest.distributed.distribute_config import DistributeConfig
from torchest.distributed.environment import cluster_of_environment
from torchest.distributed.strategy import Strategy
from torchest.distributed.tf_config import TFConfig
from torchest.distributed.waiting import Patience
from torchest.errors import suggest
from torchest.utils import files
from torchest.utils.checks import (
    boolean,
    function,
    number,
    one_of,
    path,
    shown,
    whole_number,
)

if TYPE_CHECKING:
    from torchest.utils.json_form import JSON

FLOAT32, BFLOAT16, FLOAT16 = PRECISIONS = ("float32", "bf16", "fp16")
_Check: TypeAlias = Callable[[str, object], object]


class _UseDefault:
    def __repr__(self) -> str:
        return "<default>"


USE_DEFAULT: Final[Any] = _UseDefault()
_DEFAULT_SAVE_SECS = 600
_MEANINGLESS = ("session_config", "device_fn", "protocol", "experimental_max_worker_delay_secs")


@dataclass(frozen=True)
class RunConfig:
    """The configuration of an estimator: intervals and directories of checkpoints and events, devices and precision.

    Attributes:
        model_dir: The directory of checkpoints and events, or a URL for fsspec such as 'gs://bucket/models/a'. None:
            that of TF_CONFIG, the estimator's argument, or a temporary directory.
        tf_random_seed: The seed of initial weights, dropout and shuffling. None: torch's global random state is used,
            and input is shuffled differently in every run.
        save_summary_steps: Steps between two summaries; None or 0: none.
        save_checkpoints_steps: Steps between two checkpoints, counted from the step that training starts at.
        save_checkpoints_secs: Seconds between two checkpoints (600 if neither is given). Setting one of the two to
            None, without the other, turns checkpoints off.
        session_config: Has no effect; logged.
        keep_checkpoint_max: The number of checkpoints to keep; None or 0 keeps all.
        keep_checkpoint_every_n_hours: Of older checkpoints, one for each such period is kept forever; None: none.
        log_step_count_steps: Steps between two log lines of the loss and the speed; None: none.
        train_distribute: A `torchest.distributed.Strategy` for training, such as `MirroredStrategy()`. None: the
            processes that were started together, or one process, on the first GPU or else the CPU.
        device_fn: Has no effect; logged.
        protocol: Has no effect; logged.
        eval_distribute: The strategy for evaluation and prediction.
        experimental_distribute: A `torchest.distributed.DistributeConfig`, whose strategies become `train_distribute`
            and `eval_distribute`.
        experimental_max_worker_delay_secs: Has no effect; logged.
        session_creation_timeout_secs: Seconds that several processes wait for each other at the beginning of a call
            such as `train`.
        checkpoint_save_graph_def: Has no effect.
        clip_norm: The largest global norm of the gradients of a step's optimizers, after they were accumulated and
            added up over processes; see `torch.nn.utils.clip_grad_norm_`. None: gradients are not clipped.
        accumulate_steps: The number of batches in a step. Their gradients, each divided by this number, are added up
            before the optimizers take one step, which is one global step. The last step of an input may have fewer
            batches.
        precision: Precision of matrix products and other operations that tolerate it: "float32", "bf16" or "fp16"
            (`torch.autocast`). Weights, tables, gradients of rows, losses and metrics are float32 in all of them. With
            "fp16" the loss is scaled while gradients are computed (`torch.amp.GradScaler`), which needs a train_op that
            is an optimizer or a list of optimizers. A step with an infinite gradient changes no weight; it counts as a
            global step.
        ddp_comm_hook: How several processes add up dense gradients: a function of (state, bucket) that averages a
            bucket, such as `bf16_compress_hook` of `torch.distributed.algorithms.ddp_comm_hooks.default_hooks`, which
            halves the bytes. Its state is None: write `lambda _, bucket: hook(state, bucket)` for another. It needs a
            train_op that is an optimizer or a list of optimizers. Gradients of rows of tables are not compressed.
            None: gradients are added up in their own precision.
        sync_batch_norm: Whether layers of batch normalisation use the batches of all processes in training, instead of
            that of their process. They are those of `batch_norm=True`, and torch.nn.BatchNorm1d, 2d and 3d in modules
            made with `get_or_create`.
        compile: Whether `torch.compile` compiles modules made with `get_or_create`, which needs a C++ compiler on a
            CPU and makes the first steps slow.
        step_timeout_secs: Seconds that a process waits for others in a step. A warning says for which after 60
            seconds, and an error after these.
        chief_timeout_secs: Seconds that processes wait while the chief evaluates, exports or saves a checkpoint.

    Raises:
        ValueError: An argument is out of range, both intervals of saving are set, or TF_CONFIG is wrong or has another
            `model_dir`.

    >>> RunConfig(save_checkpoints_steps=100).save_checkpoints_secs is None
    True
    >>> RunConfig().save_checkpoints_secs
    600
    """

    model_dir: str | None = None
    tf_random_seed: int | None = None
    save_summary_steps: int | None = 100
    save_checkpoints_steps: int | None = USE_DEFAULT
    save_checkpoints_secs: int | None = USE_DEFAULT
    session_config: object = None
    keep_checkpoint_max: int | None = 5
    keep_checkpoint_every_n_hours: float | None = 10000
    log_step_count_steps: int | None = 100
    train_distribute: Strategy | None = None
    device_fn: object = None
    protocol: object = None
    eval_distribute: Strategy | None = None
    experimental_distribute: DistributeConfig | None = None
    experimental_max_worker_delay_secs: object = None
    session_creation_timeout_secs: int = 7200
    checkpoint_save_graph_def: bool = True
    clip_norm: float | None = None
    accumulate_steps: int = 1
    precision: str = FLOAT32
    ddp_comm_hook: Callable[..., Any] | None = None
    sync_batch_norm: bool = False
    compile: bool = False
    step_timeout_secs: float = 1800
    chief_timeout_secs: float = 86400

    def __post_init__(self) -> None:
        self._set("model_dir", self._directory())
        self._resolve_saving()
        self._resolve_strategies()
        for name, check in _CHECKS.items():
            self._set(name, check(f"RunConfig: {name}", getattr(self, name)))

    def replace(self, **changes: Any) -> RunConfig:
        """A copy with some fields changed.

        Setting one of `save_checkpoints_steps` and `save_checkpoints_secs` clears the other.

        Raises:
            ValueError: A field is unknown, or its value is out of range.
        """
        fields = [each.name for each in dataclasses.fields(self)]
        for name in changes:
            if name not in fields:
                raise ValueError(
                    f"RunConfig.replace: {name!r} is not a field.{suggest(name, fields)}"
                )
        saving = ("save_checkpoints_steps", "save_checkpoints_secs")
        for changed, other in (saving, saving[::-1]):
            if changes.get(changed) is not None and other not in changes:
                changes[other] = None
        return dataclasses.replace(self, **changes)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints and events: rank 0, or the chief or worker 0 of TF_CONFIG."""
        return cluster_of_environment().is_chief

    @property
    def global_id_in_cluster(self) -> int | None:
        """The number of this process in the cluster, the chief first; None for an evaluator."""
        return cluster_of_environment().global_id

    @property
    def num_worker_replicas(self) -> int:
        """The number of processes that train, including the chief."""
        return cluster_of_environment().num_workers

    @property
    def num_ps_replicas(self) -> int:
        """The number of parameter servers in TF_CONFIG; torchest trains with none."""
        return cluster_of_environment().num_parameter_servers

    @property
    def task_type(self) -> str:
        """`"chief"` or `"worker"`, or the type in TF_CONFIG; `"worker"` for a single process."""
        return cluster_of_environment().task_type

    @property
    def task_id(self) -> int:
        """The number of this process among those of its `task_type`, from 0."""
        return cluster_of_environment().task_id

    @property
    def cluster_spec(self) -> dict[str, list[str]]:
        """By `task_type`, the ranks of the processes or the addresses in TF_CONFIG; empty for a single process."""
        return cluster_of_environment().spec

    @property
    def master(self) -> str:
        """The address of this task in TF_CONFIG, if there are others; has no effect."""
        return cluster_of_environment().master

    @property
    def evaluation_master(self) -> str:
        """`eval_session_master` in TF_CONFIG; has no effect."""
        return TFConfig.of_environment().evaluation_master

    @property
    def service(self) -> JSON | None:
        """`service` in TF_CONFIG; has no effect."""
        return TFConfig.of_environment().service

    @property
    def patience(self) -> Patience:
        """How long processes wait for each other."""
        return Patience(
            self.session_creation_timeout_secs, self.step_timeout_secs, self.chief_timeout_secs
        )

    def as_markdown(self) -> str:
        """A table of all fields, for TensorBoard."""
        rows = [f"| {name} | `{value!r}` |" for name, value in vars(self).items()]
        return "\n".join(["| RunConfig | |", "|---|---|", *rows])

    def ignored(self) -> list[str]:
        """The names of fields that were set although they have no effect on PyTorch."""
        return [name for name in _MEANINGLESS if getattr(self, name) is not None]

    def _resolve_saving(self) -> None:
        steps, secs = self.save_checkpoints_steps, self.save_checkpoints_secs
        if steps is USE_DEFAULT and secs is USE_DEFAULT:
            steps, secs = None, _DEFAULT_SAVE_SECS
        steps = None if steps is USE_DEFAULT else steps
        secs = None if secs is USE_DEFAULT else secs
        if steps is not None and secs is not None:
            raise ValueError(
                f"save_checkpoints_steps={steps} and save_checkpoints_secs={secs} cannot both be "
                "given: checkpoints are saved by steps or by seconds. Leave one out."
            )
        self._set("save_checkpoints_steps", steps)
        self._set("save_checkpoints_secs", secs)

    def _resolve_strategies(self) -> None:
        """Moves the strategies of `experimental_distribute` into the fields for them."""
        both = self.experimental_distribute
        if both is None:
            return
        if not isinstance(both, DistributeConfig):
            raise ValueError(
                f"RunConfig: experimental_distribute={shown(both)} must be a torchest.distributed.DistributeConfig, or "
                "None."
            )
        for name in ("train_distribute", "eval_distribute"):
            strategy, other = getattr(self, name), getattr(both, name)
            if strategy not in (None, other) and other is not None:
                raise ValueError(
                    f"RunConfig: {name}={shown(strategy)} and experimental_distribute.{name}={shown(other)} differ: "
                    "give one of them."
                )
            self._set(name, other if strategy is None else strategy)
        self._set("experimental_distribute", None)

    def _directory(self) -> str | None:
        """The argument `model_dir`, or that of TF_CONFIG."""
        named = TFConfig.of_environment().model_dir
        directory = named if self.model_dir is None else self.model_dir
        if directory is None:
            return None
        directory = files.normal(path("RunConfig: model_dir", directory))
        if named is not None and not files.same(directory, files.normal(named)):
            raise ValueError(
                f"RunConfig: model_dir={directory!r} and the model_dir {named!r} in TF_CONFIG differ: give one of them."
            )
        return directory

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _steps(at_least: int) -> _Check:
    """Checks a number of steps, such as 1000 or 1e3, or None."""

    def check(argument: str, value: object) -> int | None:
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if value is None:
            return None
        way_out = " None switches it off."
        return whole_number(argument, whole, way_out, at_least=at_least)

    return check


def _number(argument: str, value: object) -> object:
    """Checks a number above 0, or None; an int stays an int."""
    if value is not None:
        number(argument, value, " None switches it off.", above=0)
    return value


def _seconds(argument: str, value: object) -> object:
    number(argument, value, above=0)
    return value


def _keep_max(argument: str, value: object) -> int | None:
    if value is None:
        return None
    return whole_number(argument, value, " None keeps all.", at_least=0)


def _seed(argument: str, value: object) -> int | None:
    return (
        None
        if value is None
        else whole_number(argument, value, at_least=-(2**63), at_most=2**64 - 1)
    )


def _strategy(argument: str, value: object) -> Strategy | None:
    if not isinstance(value, Strategy | None):
        raise ValueError(
            f"{argument}={shown(value)} must be a strategy such as torchest.distributed.MirroredStrategy(), or None."
        )
    return value


def _function(argument: str, value: object) -> object:
    return None if value is None else function(argument, value, "a function, or None")


_CHECKS: Final[dict[str, _Check]] = {
    "tf_random_seed": _seed,
    "save_summary_steps": _steps(at_least=0),
    "save_checkpoints_steps": _steps(at_least=1),
    "save_checkpoints_secs": _number,
    "keep_checkpoint_max": _keep_max,
    "keep_checkpoint_every_n_hours": _number,
    "log_step_count_steps": _steps(at_least=1),
    "train_distribute": _strategy,
    "device_fn": _function,
    "protocol": lambda name, value: one_of(name, value, (None, "grpc", "grpc+verbs")),
    "eval_distribute": _strategy,
    "experimental_max_worker_delay_secs": _number,
    "session_creation_timeout_secs": _seconds,
    "step_timeout_secs": _seconds,
    "chief_timeout_secs": _seconds,
    "checkpoint_save_graph_def": boolean,
    "clip_norm": _number,
    "accumulate_steps": lambda name, value: whole_number(name, value, at_least=1),
    "precision": lambda name, value: one_of(name, value, PRECISIONS),
    "ddp_comm_hook": _function,
    "sync_batch_norm": boolean,
    "compile": boolean,
}
