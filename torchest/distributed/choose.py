"""The strategy that fits where the program was started."""

from __future__ import annotations

from torchest.distributed.cluster import Cluster
from torchest.distributed.strategy import Strategy


def strategy_of_environment() -> Strategy:
    """`DataParallel` for one of several processes that torchrun started, else one process alone."""
    cluster = Cluster.of_environment()
    if not cluster.is_distributed:
        return Strategy()
    from torchest.distributed.data_parallel import DataParallel

    return DataParallel(cluster)
