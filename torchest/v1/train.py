"""`tf.train` of TensorFlow 1: optimizers, learning rates that decay, hooks and checkpoints.

optimizer = train.AdamOptimizer(learning_rate=train.exponential_decay(0.01, train.get_global_step(), 1000, 0.9))
"""

from typing import TYPE_CHECKING

from torchest.checkpoint.directory import latest_checkpoint
from torchest.checkpoint.variables import (
    checkpoints_iterator,
    list_variables,
    load_checkpoint,
    load_variable,
)
from torchest.engine.hooks import (
    SessionRunArgs,
    SessionRunContext,
    SessionRunHook,
    SessionRunValues,
)
from torchest.errors import NanLossDuringTrainingError
from torchest.hooks.checkpoint_saver import CheckpointSaverHook, CheckpointSaverListener
from torchest.hooks.feed_fn import FeedFnHook
from torchest.hooks.final_ops import FinalOpsHook
from torchest.hooks.global_step_waiter import GlobalStepWaiterHook
from torchest.hooks.nan_loss import NanTensorHook
from torchest.hooks.profiler import ProfilerHook
from torchest.hooks.progress import LoggingTensorHook
from torchest.hooks.stop_at_step import StopAtStepHook
from torchest.hooks.summaries import StepCounterHook, SummarySaverHook
from torchest.hooks.timer import SecondOrStepTimer
from torchest.spec import Scaffold
from torchest.utils.namespaces import namespace
from torchest.v1.decay import (
    cosine_decay,
    exponential_decay,
    inverse_time_decay,
    natural_exp_decay,
    piecewise_constant,
    polynomial_decay,
)
from torchest.v1.global_step import get_global_step, get_or_create_global_step
from torchest.v1.optimizers import (
    AdadeltaOptimizer,
    AdagradOptimizer,
    AdamOptimizer,
    FtrlOptimizer,
    GradientDescentOptimizer,
    MomentumOptimizer,
    Optimizer,
    ProximalAdagradOptimizer,
    ProximalGradientDescentOptimizer,
    RMSPropOptimizer,
)
from torchest.warm_start.settings import VocabInfo

piecewise_constant_decay = piecewise_constant

__all__ = [
    "AdadeltaOptimizer",
    "AdagradOptimizer",
    "AdamOptimizer",
    "CheckpointSaverHook",
    "CheckpointSaverListener",
    "FeedFnHook",
    "FinalOpsHook",
    "FtrlOptimizer",
    "GlobalStepWaiterHook",
    "GradientDescentOptimizer",
    "LoggingTensorHook",
    "MomentumOptimizer",
    "NanLossDuringTrainingError",
    "NanTensorHook",
    "Optimizer",
    "ProfilerHook",
    "ProximalAdagradOptimizer",
    "ProximalGradientDescentOptimizer",
    "RMSPropOptimizer",
    "Scaffold",
    "SecondOrStepTimer",
    "SessionRunArgs",
    "SessionRunContext",
    "SessionRunHook",
    "SessionRunValues",
    "StepCounterHook",
    "StopAtStepHook",
    "SummarySaverHook",
    "VocabInfo",
    "checkpoints_iterator",
    "cosine_decay",
    "exponential_decay",
    "get_global_step",
    "get_or_create_global_step",
    "inverse_time_decay",
    "latest_checkpoint",
    "list_variables",
    "load_checkpoint",
    "load_variable",
    "natural_exp_decay",
    "piecewise_constant",
    "piecewise_constant_decay",
    "polynomial_decay",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
