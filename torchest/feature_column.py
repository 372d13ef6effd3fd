"""The columns under the name that tf.feature_column has: the same objects as in `torchest.columns`."""

from torchest.columns import *  # noqa: F403
from torchest.columns import __all__  # noqa: F401
