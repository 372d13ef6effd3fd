"""Names of modes, metrics and predictions."""

from __future__ import annotations


class ModeKeys:
    """Modes of a `model_fn`."""

    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "infer"


class MetricKeys:
    """Keys of the dict that `evaluate` returns."""

    LOSS = "loss"
    AVERAGE_LOSS = "average_loss"
    LOSS_REGULARIZATION = "regularization_loss"
    GLOBAL_STEP = "global_step"
    ACCURACY = "accuracy"
    ACCURACY_BASELINE = "accuracy_baseline"
    AUC = "auc"
    AUC_PR = "auc_precision_recall"
    PRECISION = "precision"
    RECALL = "recall"
    LABEL_MEAN = "label/mean"
    PREDICTION_MEAN = "prediction/mean"
    ACCURACY_AT_THRESHOLD = "accuracy/positive_threshold_{:g}"
    PRECISION_AT_THRESHOLD = "precision/positive_threshold_{:g}"
    PROBABILITY_MEAN = "probability_mean"
    RECALL_AT_THRESHOLD = "recall/positive_threshold_{:g}"


class PredictionKeys:
    """Keys of the dicts that `predict` yields."""

    LOGITS = "logits"
    LOGISTIC = "logistic"
    PREDICTIONS = "predictions"
    PROBABILITIES = "probabilities"
    CLASS_IDS = "class_ids"
    CLASSES = "classes"
    ALL_CLASS_IDS = "all_class_ids"
    ALL_CLASSES = "all_classes"
