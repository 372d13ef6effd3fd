"""Public names of torchest.export."""

from typing import TYPE_CHECKING

from torchest.export.loading import ExportedModel, load
from torchest.export.placeholders import (
    placeholder,
    placeholder_with_default,
    sparse_placeholder,
)
from torchest.export.receivers import (
    ServingInputReceiver,
    SupervisedInputReceiver,
    TensorServingInputReceiver,
    build_parsing_serving_input_receiver_fn,
    build_raw_serving_input_receiver_fn,
)
from torchest.export_outputs import (
    ClassificationOutput,
    EvalOutput,
    ExportOutput,
    PredictOutput,
    RegressionOutput,
)
from torchest.utils.indexed_strings import indexed_strings
from torchest.utils.namespaces import namespace

__all__ = [
    "ClassificationOutput",
    "EvalOutput",
    "ExportOutput",
    "ExportedModel",
    "PredictOutput",
    "RegressionOutput",
    "ServingInputReceiver",
    "SupervisedInputReceiver",
    "TensorServingInputReceiver",
    "build_parsing_serving_input_receiver_fn",
    "build_raw_serving_input_receiver_fn",
    "indexed_strings",
    "load",
    "placeholder",
    "placeholder_with_default",
    "sparse_placeholder",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
