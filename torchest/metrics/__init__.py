"""Metrics as values: computed for each batch, merged over batches, and evaluated at the end."""

from typing import TYPE_CHECKING

from torchest.metrics.at_k import (
    average_precision_at_k,
    precision_at_k,
    precision_at_top_k,
    recall_at_k,
    recall_at_top_k,
)
from torchest.metrics.confusion import (
    false_negatives,
    false_negatives_at_thresholds,
    false_positives,
    false_positives_at_thresholds,
    mean_iou,
    mean_per_class_accuracy,
    precision_at_thresholds,
    recall_at_thresholds,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
    true_negatives,
    true_negatives_at_thresholds,
    true_positives,
    true_positives_at_thresholds,
)
from torchest.metrics.functions import (
    accuracy,
    accuracy_baseline,
    auc,
    binary_accuracy,
    mean,
    mean_absolute_error,
    mean_cosine_distance,
    mean_relative_error,
    mean_squared_error,
    mean_tensor,
    percentage_below,
    precision,
    recall,
    root_mean_squared_error,
)
from torchest.metrics.values import (
    AUC,
    MajorityShare,
    Mean,
    Metric,
    RootMean,
)
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
    "average_precision_at_k",
    "binary_accuracy",
    "false_negatives",
    "false_negatives_at_thresholds",
    "false_positives",
    "false_positives_at_thresholds",
    "mean",
    "mean_absolute_error",
    "mean_cosine_distance",
    "mean_iou",
    "mean_per_class_accuracy",
    "mean_relative_error",
    "mean_squared_error",
    "mean_tensor",
    "percentage_below",
    "precision",
    "precision_at_k",
    "precision_at_thresholds",
    "precision_at_top_k",
    "recall",
    "recall_at_k",
    "recall_at_thresholds",
    "recall_at_top_k",
    "root_mean_squared_error",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "true_negatives",
    "true_negatives_at_thresholds",
    "true_positives",
    "true_positives_at_thresholds",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
