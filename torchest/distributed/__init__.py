"""Public names of torchest.distributed."""

from torchest.distributed.input_context import InputContext
from torchest.distributed.strategy import Strategy
from torchest.distributed.xla import XLAStrategy

__all__ = ["InputContext", "Strategy", "XLAStrategy"]
