"""TensorFlow 1's estimators and optimizers: a program for TensorFlow 1 imports this module as `tf`.

    import torchest.v1 as tf

    model = tf.estimator.DNNClassifier(hidden_units=[16], feature_columns=[tf.feature_column.numeric_column("age")])

The canned estimators are those of `tf.compat.v1.estimator`: with the same arguments they train with TensorFlow 1's
losses (sums over a batch), optimizers and metrics, while those of `torchest` itself have the defaults of TensorFlow 2.
`v1.train` has TensorFlow 1's optimizers, schedules of learning rates, hooks and functions of checkpoints; `v1.losses`
has its reductions, `v1.metrics` its areas under curves. All other names are those of `torchest`; `v1.estimator` has all
of those in `tf.estimator`.
"""

from typing import TYPE_CHECKING

from torchest import distribute, feature_column, summary
from torchest.utils.namespaces import namespace
from torchest.v1 import estimator, losses, metrics, train
from torchest.v1.estimator import *  # noqa: F403

__all__ = ["distribute", "estimator", "feature_column", "losses", "metrics", "summary", "train"]
__all__ += estimator.__all__

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
