"""The objects of `torchest.distributed` under TensorFlow's module name: `tf.distribute.MirroredStrategy()`."""

from typing import TYPE_CHECKING

from torchest import distributed
from torchest.distribute import experimental
from torchest.distributed import *  # noqa: F403
from torchest.utils.namespaces import namespace

__all__ = ["experimental"]
__all__ += distributed.__all__

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, sorted(__all__))
