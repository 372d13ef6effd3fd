"""Public names of torchest.distributed."""

from torchest.distributed.xla import XLAStrategy

__all__ = ["XLAStrategy"]
