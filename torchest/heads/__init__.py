"""Heads: turn the logits of a model into a loss, metrics and predictions."""

from typing import TYPE_CHECKING

from torchest.heads.base import Head
from torchest.heads.binary import BinaryClassHead
from torchest.heads.multi import MultiHead
from torchest.heads.multi_class import MultiClassHead
from torchest.heads.multi_label import MultiLabelHead
from torchest.heads.regression import LogisticRegressionHead, PoissonRegressionHead, RegressionHead
from torchest.utils.namespaces import namespace

__all__ = [
    "BinaryClassHead",
    "Head",
    "LogisticRegressionHead",
    "MultiClassHead",
    "MultiHead",
    "MultiLabelHead",
    "PoissonRegressionHead",
    "RegressionHead",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
