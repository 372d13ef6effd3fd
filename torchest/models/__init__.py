"""The models of the premade estimators as plain modules: features by key to logits."""

from torchest.models.baseline import BaselineModel
from torchest.models.dnn import DNNModel
from torchest.models.linear import LinearModel

__all__ = ["BaselineModel", "DNNModel", "LinearModel"]
