"""Heads: what the logits of a model mean, as loss, metrics and predictions."""

from torchest.heads.base import Head
from torchest.heads.binary import BinaryClassHead
from torchest.heads.logistic import LogisticRegressionHead
from torchest.heads.multi import MultiHead
from torchest.heads.multi_class import MultiClassHead
from torchest.heads.multi_label import MultiLabelHead
from torchest.heads.poisson import PoissonRegressionHead
from torchest.heads.regression import RegressionHead

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
