"""The strategy that fits where the program was started."""

from __future__ import annotations

import functools

from torchest.distributed.cluster import Cluster
from torchest.distributed.strategy import Strategy


def strategy_of_environment() -> Strategy:
    """`DataParallel`, the same for all, in one of several processes that torchrun started; else one process alone."""
    cluster = Cluster.of_environment()
    return _data_parallel(cluster) if cluster.is_distributed else Strategy()


@functools.cache
def _data_parallel(cluster: Cluster) -> Strategy:
    from torchest.distributed.data_parallel import DataParallel

    return DataParallel(cluster)
