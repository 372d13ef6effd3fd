"""DistributeConfig: the strategies of a RunConfig in one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchest.utils.checks import left_out

if TYPE_CHECKING:
    from torchest.distributed.strategy import Strategy


@dataclass(frozen=True)
class DistributeConfig:
    """The strategies of `RunConfig(experimental_distribute=...)`, another way to give them.

    Attributes:
        train_distribute: The strategy for training.
        eval_distribute: The strategy for evaluation and prediction.
        remote_cluster: None; torchrun, srun or TF_CONFIG says which processes train together.

    Raises:
        ValueError: `remote_cluster` is given. `RunConfig` checks the strategies.

    >>> import torchest
    >>> strategy = torchest.distributed.MirroredStrategy(["/cpu:0"])
    >>> both = torchest.distributed.DistributeConfig(strategy, strategy)
    >>> torchest.RunConfig(experimental_distribute=both).train_distribute is strategy
    True
    """

    train_distribute: Strategy | None = None
    eval_distribute: Strategy | None = None
    remote_cluster: None = None

    def __post_init__(self) -> None:
        why = "torchrun, srun or TF_CONFIG says which processes train together"
        left_out("DistributeConfig: remote_cluster", self.remote_cluster, why)
