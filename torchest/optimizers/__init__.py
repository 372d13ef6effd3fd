"""Optimizers with TensorFlow's formulas, which touch only the rows of tables that a batch used.

    optimizer = optimizers.Adagrad(net.parameters(), lr=0.1)
    model = torchest.DNNClassifier([16], columns, optimizer=optimizers.Adagrad(learning_rate=0.1))
    optimizer = torchest.get_or_create("optimizer", lambda: optimizers.Adagrad(learning_rate=0.1))

Without `params`, a class makes an optimizer without parameters: estimators give it those of their model,
`get_or_create` those of all modules made so far, and `with_parameters` any. It may be used for several models.

`lr` may be a function of the number of steps so far: one of `schedules`, or such as
`lambda step: 0.1 * 0.5 ** (step / 1000)`. All optimizers take, by keyword:

    learning_rate   another name of `lr`
    decay           in step t, from 0, the learning rate is divided by 1 + decay · t
    clipnorm        scales the gradient of each parameter so that its norm is at most this; for all parameters together
                    there is `RunConfig(clip_norm=...)`
    clipvalue       clips each element of gradients to at most this, and at least the negative of it; before `clipnorm`

The default learning rates are those of Keras (TensorFlow 2); `torchest.v1.train` has the optimizers of TensorFlow 1.
"""

from typing import TYPE_CHECKING

from torchest.optimizers import schedules
from torchest.optimizers.adadelta import Adadelta
from torchest.optimizers.adagrad import Adagrad
from torchest.optimizers.adam import Adam
from torchest.optimizers.adamax import Adamax
from torchest.optimizers.ftrl import Ftrl
from torchest.optimizers.nadam import Nadam
from torchest.optimizers.rmsprop import RMSProp
from torchest.optimizers.sgd import SGD
from torchest.utils.namespaces import namespace

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "RMSProp", "schedules"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
