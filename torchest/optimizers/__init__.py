"""Optimizers with TensorFlow's formulas, which touch only the rows of tables that a batch used.

lr may be a function of the number of steps so far, such as lambda step: 0.1 * 0.5 ** (step / 1000).
"""

from typing import TYPE_CHECKING

from torchest.optimizers.adagrad import Adagrad
from torchest.optimizers.adam import Adam
from torchest.optimizers.ftrl import Ftrl
from torchest.optimizers.rmsprop import RMSProp
from torchest.optimizers.sgd import SGD
from torchest.utils.namespaces import namespace

__all__ = ["SGD", "Adagrad", "Adam", "Ftrl", "RMSProp"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
