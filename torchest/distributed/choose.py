"""The default strategy."""

from __future__ import annotations

import functools

from torchest.distributed.cluster import Cluster
from torchest.distributed.strategy import Strategy


def strategy_of_environment() -> Strategy:
    """`DataParallel`, one for all estimators, if torchrun started several processes; else `Strategy`."""
    cluster = Cluster.of_environment()
    return _data_parallel(cluster) if cluster.is_distributed else Strategy()


@functools.cache
def _data_parallel(cluster: Cluster) -> Strategy:
    from torchest.distributed.data_parallel import DataParallel

    return DataParallel(cluster)
