"""Public names of torchest.experimental."""

from typing import TYPE_CHECKING

from torchest.experimental.early_stopping import (
    make_early_stopping_hook,
    make_stop_at_checkpoint_step_hook,
    stop_if_higher_hook,
    stop_if_lower_hook,
    stop_if_no_decrease_hook,
    stop_if_no_increase_hook,
)
from torchest.experimental.in_memory_evaluator import InMemoryEvaluatorHook
from torchest.experimental.logit_fn import call_logit_fn
from torchest.experimental.rnn import RNNClassifier, RNNEstimator
from torchest.experimental.sdca import LinearSDCA
from torchest.export.receivers import build_raw_supervised_input_receiver_fn
from torchest.utils.namespaces import namespace

__all__ = [
    "InMemoryEvaluatorHook",
    "LinearSDCA",
    "RNNClassifier",
    "RNNEstimator",
    "build_raw_supervised_input_receiver_fn",
    "call_logit_fn",
    "make_early_stopping_hook",
    "make_stop_at_checkpoint_step_hook",
    "stop_if_higher_hook",
    "stop_if_lower_hook",
    "stop_if_no_decrease_hook",
    "stop_if_no_increase_hook",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
