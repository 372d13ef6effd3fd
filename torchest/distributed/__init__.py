"""Public names of torchest.distributed."""

from typing import TYPE_CHECKING

from torchest.distributed.input_context import InputContext
from torchest.distributed.strategy import Strategy
from torchest.distributed.xla import XLAStrategy
from torchest.utils.namespaces import namespace

__all__ = ["InputContext", "Strategy", "XLAStrategy"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
