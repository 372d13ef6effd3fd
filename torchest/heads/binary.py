"""BinaryClassHead: two classes, one logit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest import losses
from torchest.export_outputs import REGRESSION, RegressionOutput
from torchest.heads.arguments import check_predictions, probability_thresholds
from torchest.heads.classes import Classes, classification_outputs
from torchest.heads.labels import check_range, fit_to_logits, numeric_labels
from torchest.heads.single import Scored, SingleHead
from torchest.keys import MetricKeys, PredictionKeys
from torchest.losses import Reduction
from torchest.metrics import values as metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from torchest.columns.base import FeatureColumn
    from torchest.export_outputs import ExportOutput
    from torchest.metrics.values import Metric

_THRESHOLDS = 200


class BinaryClassHead(SingleHead):
    """Binary classification by sigmoid cross entropy.

    Labels are 0 and 1 (numbers between are taken as probabilities), or strings of `label_vocabulary`; of
    shape [batch] or [batch, 1]. A logit above 0 means class 1.

    Args:
        weight_column: The key of a feature, or a numeric column, with the weights of the examples,
            [batch] or [batch, 1]. None: all weigh 1.
        thresholds: Numbers between 0 and 1: accuracy, precision and recall are also reported for each
            of them as the least probability of class 1.
        label_vocabulary: The two class names, where labels are strings.
        loss_reduction: How the losses of a batch become one: one of `torchest.losses.Reduction` but
            NONE. The default divides by the number of examples, not by the sum of their weights.
        loss_fn: Instead of sigmoid cross entropy: a function of `labels` and `logits`, [batch, 1] each,
            and perhaps `features`, that returns one loss per example, [batch, 1].
        name: Ends the keys of metrics, as in "auc/<name>".

    Raises:
        ValueError: An argument is wrong.

    >>> head = BinaryClassHead()
    >>> head.loss(torch.tensor([0, 1]), torch.zeros(2, 1))
    tensor(0.6931)
    >>> list(head.predictions(torch.zeros(2, 1), keys=["logistic", "class_ids"]))
    ['logistic', 'class_ids']
    """

    def __init__(
        self,
        weight_column: str | FeatureColumn | None = None,
        thresholds: Sequence[float] | None = None,
        label_vocabulary: Sequence[str] | None = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        loss_fn: Callable[..., Tensor] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(weight_column, loss_reduction, loss_fn, name)
        self._thresholds = probability_thresholds(thresholds)
        self._classes = Classes(2, label_vocabulary)

    @property
    def logits_dimension(self) -> int:
        """1."""
        return 1

    def _labels(self, labels: Any, logits: Tensor) -> Tensor:
        name = self._title
        if self._classes.vocabulary is not None:
            class_ids = self._classes.vocabulary.class_ids(labels)
            return fit_to_logits(class_ids, logits, 1, name).to(logits.dtype)
        numbers = fit_to_logits(numeric_labels(labels, name), logits, 1, name)
        check_range(numbers, 2, name, may_be_names=True)
        return numbers.to(logits.dtype)

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        return losses.sigmoid_cross_entropy(labels, logits)

    def _metrics(self, batch: Scored) -> dict[str, Metric]:
        labels, weights, logistic = batch.labels, batch.weights, batch.logits.sigmoid()
        found = binary_metrics(labels, batch.logits, logistic, weights)
        return found | metrics_at_thresholds(self._thresholds, labels, logistic, weights)

    def export_outputs(self, predictions: Mapping[Any, Any]) -> dict[str, ExportOutput]:
        """Classification; the probability of class 1 as regression; and all predictions."""
        check_predictions(predictions, PredictionKeys.LOGISTIC)
        return {
            **classification_outputs(predictions, PredictionKeys.ALL_CLASSES),
            REGRESSION: RegressionOutput(predictions[PredictionKeys.LOGISTIC]),
        }

    def _predictions(self, logits: Tensor) -> Mapping[str, Callable[[], Any]]:
        def probabilities() -> Tensor:
            return torch.cat([torch.zeros_like(logits), logits], dim=-1).softmax(-1)

        return {
            PredictionKeys.LOGITS: lambda: logits,
            PredictionKeys.LOGISTIC: logits.sigmoid,
            PredictionKeys.PROBABILITIES: probabilities,
            **self._classes.predictions(logits, lambda: _class_ids(logits)),
        }


def _class_ids(logits: Tensor) -> Tensor:
    return (logits > 0).long()


def binary_metrics(
    labels: Tensor, logits: Tensor, probabilities: Tensor, weights: Tensor | None
) -> dict[str, Metric]:
    """The metrics of a batch by key.

    Args:
        labels: [batch, ..., 1], of the logits' dtype; 0 for negative, anything else is positive.
        logits: [batch, ..., 1]; one above 0 means class 1.
        probabilities: [batch, ..., 1], of class 1.
        weights: [batch, ..., 1], of the logits' dtype, or None where all examples weigh 1.
    """
    on_host = logits.device.type == "cpu" and logits.dtype in (torch.float32, torch.float64)
    return (_in_one_pass if on_host else _one_by_one)(labels, logits, probabilities, weights)


def _one_by_one(
    labels: Tensor, logits: Tensor, probabilities: Tensor, weights: Tensor | None
) -> dict[str, Metric]:
    class_ids = (logits > 0).long()
    return {
        MetricKeys.ACCURACY: metrics.accuracy(labels, class_ids, weights),
        MetricKeys.PRECISION: metrics.precision(labels, class_ids, weights),
        MetricKeys.RECALL: metrics.recall(labels, class_ids, weights),
        MetricKeys.PREDICTION_MEAN: metrics.mean(probabilities, weights),
        MetricKeys.LABEL_MEAN: metrics.mean(labels, weights),
        MetricKeys.ACCURACY_BASELINE: metrics.accuracy_baseline(labels, weights),
        MetricKeys.AUC: metrics.auc(labels, probabilities, weights, num_thresholds=_THRESHOLDS),
        MetricKeys.AUC_PR: metrics.auc(labels, probabilities, weights, "PR", _THRESHOLDS),
    }


def _in_one_pass(
    labels: Tensor, logits: Tensor, probabilities: Tensor, weights: Tensor | None
) -> dict[str, Metric]:
    """As `_one_by_one`, on the host."""
    from torchest.kernels import scores

    sums, above = np.zeros(7), np.zeros((2, _THRESHOLDS))
    scores.score(
        _array(labels),
        _array(logits),
        _array(probabilities),
        _array(labels.new_empty(0) if weights is None else weights.expand(labels.shape)),
        sums,
        above,
    )
    both = torch.from_numpy(above)
    of_pairs = torch.from_numpy(sums[[1, 0, 2, 3, 2, 4, 5, 0, 6, 0]]).reshape(5, 2).unbind()
    correct, precision, recall, predicted, labelled = of_pairs
    return {
        MetricKeys.ACCURACY: metrics.Mean(correct),
        MetricKeys.PRECISION: metrics.Mean(precision),
        MetricKeys.RECALL: metrics.Mean(recall),
        MetricKeys.PREDICTION_MEAN: metrics.Mean(predicted),
        MetricKeys.LABEL_MEAN: metrics.Mean(labelled),
        MetricKeys.ACCURACY_BASELINE: metrics.MajorityShare(labelled),
        MetricKeys.AUC: metrics.AUC(both),
        MetricKeys.AUC_PR: metrics.AUC(both, "PR"),
    }


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    return tensor.detach().reshape(-1).numpy()


def metrics_at_thresholds(
    thresholds: Sequence[float], labels: Tensor, probabilities: Tensor, weights: Tensor | None
) -> dict[str, Metric]:
    """Accuracy, precision and recall by key for each threshold."""
    found: dict[str, Metric] = {}
    for threshold in thresholds:
        given = labels, probabilities, weights, threshold
        found |= {
            MetricKeys.ACCURACY_AT_THRESHOLD.format(threshold): metrics.binary_accuracy(*given),
            MetricKeys.PRECISION_AT_THRESHOLD.format(threshold): metrics.precision(*given),
            MetricKeys.RECALL_AT_THRESHOLD.format(threshold): metrics.recall(*given),
        }
    return found
