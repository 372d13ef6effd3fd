"""ParameterServerStrategy, which is still to come."""

from __future__ import annotations

from torchest.distributed.strategy import Strategy


class ParameterServerStrategy(Strategy):
    """Will divide tables that one machine cannot hold among processes.

    Args:
        cluster_resolver: As in TensorFlow.
        variable_partitioner: As in TensorFlow.

    Raises:
        NotImplementedError: Always, so far.
    """

    def __init__(
        self,
        cluster_resolver: object = None,
        variable_partitioner: object = None,
    ) -> None:
        raise NotImplementedError(
            "ParameterServerStrategy: torchest cannot divide tables among processes yet; MultiWorkerMirroredStrategy() "
            "trains with a copy of all tables in each process, and needs no parameter servers."
        )
