"""Metrics as values: built from one batch, merged with those of other batches, computed at the end."""

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
