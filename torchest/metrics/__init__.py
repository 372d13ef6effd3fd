"""Metrics as values: computed for each batch, merged over batches, and evaluated at the end."""

from typing import TYPE_CHECKING

from torchest.metrics.functions import (
    accuracy,
    accuracy_baseline,
    auc,
    binary_accuracy,
    mean,
    mean_absolute_error,
    mean_squared_error,
    precision,
    recall,
    root_mean_squared_error,
)
from torchest.metrics.values import AUC, MajorityShare, Mean, Metric, RootMean
from torchest.utils.namespaces import namespace

__all__ = [
    "AUC",
    "MajorityShare",
    "Mean",
    "Metric",
    "RootMean",
    "accuracy",
    "accuracy_baseline",
    "auc",
    "binary_accuracy",
    "mean",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "recall",
    "root_mean_squared_error",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
