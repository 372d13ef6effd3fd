"""The models of the canned estimators as plain modules, from features by key to logits."""

from typing import TYPE_CHECKING

from torchest.models.baseline import BaselineModel
from torchest.models.dnn import DNNModel
from torchest.models.linear import LinearModel
from torchest.utils.namespaces import namespace

__all__ = ["BaselineModel", "DNNModel", "LinearModel"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
