"""Public names of torchest.distributed."""

from typing import TYPE_CHECKING

from torchest.distributed.distribute_config import DistributeConfig
from torchest.distributed.input_context import InputContext
from torchest.distributed.mirrored import (
    CentralStorageStrategy,
    MirroredStrategy,
    MultiWorkerMirroredStrategy,
)
from torchest.distributed.parameter_server import ParameterServerStrategy
from torchest.distributed.strategy import Strategy
from torchest.distributed.xla import TPUStrategy
from torchest.utils.namespaces import namespace

__all__ = [
    "CentralStorageStrategy",
    "DistributeConfig",
    "InputContext",
    "MirroredStrategy",
    "MultiWorkerMirroredStrategy",
    "ParameterServerStrategy",
    "Strategy",
    "TPUStrategy",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
