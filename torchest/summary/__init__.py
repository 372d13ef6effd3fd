"""Event files for TensorBoard, and summaries of values in a model_fn."""

from typing import TYPE_CHECKING

from torchest.summary.in_model_fn import histogram, image, scalar, text
from torchest.summary.writer import SummaryWriter
from torchest.utils.namespaces import namespace

__all__ = ["SummaryWriter", "histogram", "image", "scalar", "text"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
