"""Heads: what the logits of a model mean, as loss, metrics and predictions."""

from torchest.heads.base import Head
from torchest.heads.binary import BinaryClassHead
from torchest.heads.multi_class import MultiClassHead

__all__ = ["BinaryClassHead", "Head", "MultiClassHead"]
