"""The strategies that are in `tf.distribute.experimental`."""

from typing import TYPE_CHECKING

from torchest.distributed import (
    CentralStorageStrategy,
    MultiWorkerMirroredStrategy,
    ParameterServerStrategy,
    TPUStrategy,
)
from torchest.utils.namespaces import namespace

__all__ = [
    "CentralStorageStrategy",
    "MultiWorkerMirroredStrategy",
    "ParameterServerStrategy",
    "TPUStrategy",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
