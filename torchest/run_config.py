"""RunConfig: how an estimator runs, apart from what it computes."""

from __future__ import annotations

import dataclasses
import numbers
import os
from dataclasses import dataclass
from typing import Any, Final

from torchest import files
from torchest.distributed.cluster import Cluster
from torchest.distributed.strategy import Strategy
from torchest.execution import FLOAT32, PRECISIONS


class _UseDefault:
    def __repr__(self) -> str:
        return "<default>"


USE_DEFAULT: Final[Any] = _UseDefault()
_DEFAULT_SAVE_SECS = 600
_MEANINGLESS = ("session_config", "device_fn", "protocol", "experimental_max_worker_delay_secs")


@dataclass(frozen=True)
class RunConfig:
    """How an estimator runs: where it writes, how often, how much it keeps.

    Attributes:
        model_dir: Where checkpoints and events go: a directory, or a URL that fsspec understands, such as
            'gs://bucket/models/a'. None: what the estimator is given, or a temporary directory.
        tf_random_seed: The seed of initial weights, dropout and shuffling. None: torch's global random
            state is used as it stands, and input is shuffled differently in every run.
        save_summary_steps: Write summaries every so many steps; None or 0 switches them off.
        save_checkpoints_steps: Save every so many steps, counted from the step training starts at.
        save_checkpoints_secs: Save every so many seconds (600 if neither is given). Setting one of the
            two to None, without giving the other, switches checkpoints off.
        session_config: Means nothing here; accepted so that old code runs, and logged.
        keep_checkpoint_max: How many checkpoints to keep; None or 0 keeps all.
        keep_checkpoint_every_n_hours: Of the checkpoints beyond `keep_checkpoint_max`, one for each so
            many hours of training stays for ever.
        log_step_count_steps: Log the loss and the speed every so many steps; None switches it off.
        train_distribute: Where training runs, if not on the first GPU or else the CPU:
            `torchest.distributed.XLAStrategy()`.
        device_fn: Means nothing here; accepted and logged.
        protocol: Means nothing here; accepted and logged.
        eval_distribute: The same for evaluation and prediction.
        experimental_distribute: Means nothing here; processes are started by torchrun.
        experimental_max_worker_delay_secs: Means nothing here; accepted and logged.
        session_creation_timeout_secs: Means nothing here; accepted.
        checkpoint_save_graph_def: Means nothing here; accepted.
        clip_norm: How long the gradient of all parameters of a step's optimizers may be; a longer one is
            made as long, as by `torch.nn.utils.clip_grad_norm_`, after gradients were accumulated and those
            of all processes added up. None: as long as it is.
        accumulate_steps: How many batches a step has: their gradients are added up, each divided by
            this number, before the optimizers take one step, which is one global step. The last step of
            an input may have fewer batches.
        precision: Of matrix products and what else bears it: "float32", or "bf16" (`torch.autocast`).
            Weights, tables, gradients of rows, losses and metrics are float32 in both.
        compile: Whether modules made with `get_or_create` are compiled by `torch.compile`, which needs a
            C++ compiler on a CPU. The first steps take long then.

    Raises:
        ValueError: An argument is out of its range, or both ways of saving are given.

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
    session_config: Any = None
    keep_checkpoint_max: int | None = 5
    keep_checkpoint_every_n_hours: float = 10000
    log_step_count_steps: int | None = 100
    train_distribute: Strategy | None = None
    device_fn: Any = None
    protocol: Any = None
    eval_distribute: Strategy | None = None
    experimental_distribute: Any = None
    experimental_max_worker_delay_secs: Any = None
    session_creation_timeout_secs: int = 7200
    checkpoint_save_graph_def: bool = True
    clip_norm: float | None = None
    accumulate_steps: int = 1
    precision: str = FLOAT32
    compile: bool = False

    def __post_init__(self) -> None:
        if self.model_dir is not None:
            object.__setattr__(self, "model_dir", self._path("model_dir"))
        self._resolve_saving()
        for name in ("save_checkpoints_steps", "save_checkpoints_secs", "log_step_count_steps"):
            self._check(name, self._is_none_or(name, at_least=1), "a number above 0, or None")
        for name in ("save_summary_steps", "keep_checkpoint_max"):
            self._check(name, self._is_none_or(name, at_least=0), "a number of at least 0, or None")
        self._check(
            "keep_checkpoint_max",
            isinstance(self.keep_checkpoint_max, numbers.Integral | None),
            "a whole number, or None",
        )
        hours = self.keep_checkpoint_every_n_hours
        self._check(
            "keep_checkpoint_every_n_hours",
            _is_number(hours) and hours > 0,
            "a number of hours above 0",
        )
        self._check(
            "clip_norm",
            self.clip_norm is None or (_is_number(self.clip_norm) and self.clip_norm > 0),
            "a number above 0, or None",
        )
        self._check(
            "accumulate_steps",
            isinstance(self.accumulate_steps, int)
            and _is_number(self.accumulate_steps)
            and self.accumulate_steps >= 1,
            "a whole number of at least 1",
        )
        self._check("precision", self.precision in PRECISIONS, " or ".join(map(repr, PRECISIONS)))
        self._check("compile", isinstance(self.compile, bool), "True or False")
        for name in ("train_distribute", "eval_distribute"):
            self._check(
                name,
                isinstance(getattr(self, name), Strategy | None),
                "a strategy such as torchest.distributed.XLAStrategy(), or None; processes are started by torchrun",
            )
        self._check(
            "tf_random_seed",
            self.tf_random_seed is None or isinstance(self.tf_random_seed, int),
            "a whole number, or None",
        )

    def replace(self, **changes: Any) -> RunConfig:
        """A copy with some fields changed.

        Giving one of `save_checkpoints_steps` and `save_checkpoints_secs` clears the other.
        """
        saving = ("save_checkpoints_steps", "save_checkpoints_secs")
        for given, other in (saving, saving[::-1]):
            if changes.get(given) is not None and other not in changes:
                changes[other] = None
        return dataclasses.replace(self, **changes)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints and events: that of rank 0."""
        return self.global_id_in_cluster == 0

    @property
    def global_id_in_cluster(self) -> int:
        """The rank of this process."""
        return Cluster.of_environment().rank

    @property
    def num_worker_replicas(self) -> int:
        """How many processes train, the chief among them."""
        return Cluster.of_environment().world_size

    @property
    def num_ps_replicas(self) -> int:
        """How many parameter servers there are: always 0."""
        return 0

    @property
    def task_type(self) -> str:
        """`"chief"` or `"worker"`; `"worker"` for a process alone."""
        return Cluster.of_environment().task_type

    @property
    def task_id(self) -> int:
        """The number of this process among those of its `task_type`, from 0."""
        return Cluster.of_environment().task_id

    @property
    def cluster_spec(self) -> dict[str, list[str]]:
        """The ranks of the processes by `task_type`; empty for a process alone."""
        return Cluster.of_environment().tasks()

    @property
    def master(self) -> str:
        """Means nothing here: always empty."""
        return ""

    @property
    def evaluation_master(self) -> str:
        """Means nothing here: always empty."""
        return ""

    @property
    def service(self) -> None:
        """Means nothing here: always None."""
        return

    def as_markdown(self) -> str:
        """A table of all fields, for TensorBoard."""
        rows = [f"| {name} | `{value!r}` |" for name, value in vars(self).items()]
        return "\n".join(["| RunConfig | |", "|---|---|", *rows])

    def ignored(self) -> list[str]:
        """The names of fields that were set and mean nothing on PyTorch."""
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
        object.__setattr__(self, "save_checkpoints_steps", steps)
        object.__setattr__(self, "save_checkpoints_secs", secs)

    def _path(self, name: str) -> str:
        value = getattr(self, name)
        self._check(name, isinstance(value, str | os.PathLike), "the path of a directory, or None")
        return files.normal(value)

    def _is_none_or(self, name: str, at_least: int) -> bool:
        value = getattr(self, name)
        return value is None or (isinstance(value, numbers.Real) and float(value) >= at_least)

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"RunConfig: {name}={getattr(self, name)!r} must be {expected}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
