"""The objects of `torchest.distributed` under TensorFlow's module name, `tf.distribute`.

import torchest as tf

strategy = tf.distribute.MirroredStrategy()
"""

from typing import TYPE_CHECKING

from torchest.distribute import experimental
from torchest.distributed import *  # noqa: F403
from torchest.distributed import __all__ as _of_distributed
from torchest.utils.namespaces import namespace

__all__ = ["experimental"]
__all__ += _of_distributed

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, sorted(__all__))
