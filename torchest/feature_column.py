"""The objects of `torchest.columns` under TensorFlow's module name, `tf.feature_column`."""

from typing import TYPE_CHECKING

from torchest.columns import *  # noqa: F403
from torchest.columns import __all__
from torchest.utils.namespaces import namespace

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
