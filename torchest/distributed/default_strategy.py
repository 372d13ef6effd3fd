"""The strategy of estimators whose RunConfig names none: that of the processes that train together."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from torchest.distributed.environment import cluster_of_environment
from torchest.distributed.strategy import Strategy

if TYPE_CHECKING:
    from torchest.distributed.cluster import Cluster


def strategy_of_environment() -> Strategy:
    """`DataParallel`, one for all estimators, if several processes train together; else `Strategy`."""
    cluster = cluster_of_environment()
    return _data_parallel(cluster) if cluster.is_distributed else Strategy()


@functools.cache
def _data_parallel(cluster: Cluster) -> Strategy:
    from torchest.distributed.calls import calls_of_group
    from torchest.distributed.data_parallel import DataParallel

    strategy = DataParallel(cluster)
    calls_of_group()  # from now on, others are told how this program ends
    return strategy
