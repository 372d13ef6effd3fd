"""BinaryClassHead: two classes, one logit."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING

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
from torchest.metrics.sums import MetricSums, Place, places_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torchest.export_outputs import ExportOutput
    from torchest.heads.base import Labels, Predictions
    from torchest.heads.classes import ComputePrediction
    from torchest.heads.weights import WeightColumn
    from torchest.metrics.values import Metric
    from torchest.utils.arrays import NumpyArray

_THRESHOLDS = 200


class BinaryClassHead(SingleHead):
    """Binary classification with sigmoid cross entropy.

    Labels are 0 and 1 (numbers between are probabilities), or strings of `label_vocabulary`; of shape [batch] or
    [batch, 1]. A logit above 0 means class 1.

    Args:
        weight_column: The key of a feature, or a numeric column, with the weights of the examples,
            [batch] or [batch, 1]. None: 1 each.
        thresholds: Further probability thresholds for class 1, between 0 and 1. Accuracy, precision and recall are
            reported for each.
        label_vocabulary: The two class names, if labels are strings.
        loss_reduction: How the losses of a batch are reduced: one of `torchest.losses.Reduction` but
            NONE. The default divides by the number of examples, not by the sum of their weights.
        loss_fn: Instead of sigmoid cross entropy: a function of `labels` and `logits`, [batch, 1] each,
            and optionally `features`, that returns one loss per example, [batch, 1].
        name: Suffix of the metric keys, as in "auc/<name>".

    Raises:
        ValueError: An argument is invalid.

    >>> head = BinaryClassHead()
    >>> head.loss(torch.tensor([0, 1]), torch.zeros(2, 1))
    tensor(0.6931)
    >>> list(head.predictions(torch.zeros(2, 1), keys=["logistic", "class_ids"]))
    ['logistic', 'class_ids']
    """

    def __init__(
        self,
        weight_column: WeightColumn = None,
        thresholds: Sequence[float] | None = None,
        label_vocabulary: Sequence[str] | None = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        loss_fn: Callable[..., Tensor] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(weight_column, loss_reduction, loss_fn, name)
        self._thresholds = probability_thresholds(thresholds)
        self._classes = Classes(2, label_vocabulary)
        self._places = _places(self._suffix, self._summation_method)

    # of the areas under curves
    _summation_method = "interpolation"

    @property
    def logits_dimension(self) -> int:
        """Always 1."""
        return 1

    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
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
        class_ids = _class_ids(batch.logits)
        return {
            MetricKeys.ACCURACY: metrics.accuracy(labels, class_ids, weights),
            MetricKeys.PRECISION: metrics.precision(labels, class_ids, weights),
            MetricKeys.RECALL: metrics.recall(labels, class_ids, weights),
            MetricKeys.PREDICTION_MEAN: metrics.mean(logistic, weights),
            MetricKeys.LABEL_MEAN: metrics.mean(labels, weights),
            MetricKeys.ACCURACY_BASELINE: metrics.accuracy_baseline(labels, weights),
            MetricKeys.AUC: self._area(metrics.auc(labels, logistic, weights, "ROC", _THRESHOLDS)),
            MetricKeys.AUC_PR: self._area(
                metrics.auc(labels, logistic, weights, "PR", _THRESHOLDS)
            ),
            **metrics_at_thresholds(self._thresholds, labels, logistic, weights),
        }

    def _area(self, curve: metrics.AUC) -> metrics.AUC:
        return dataclasses.replace(curve, summation_method=self._summation_method)

    def _score(
        self, labels: NumpyArray, logits: NumpyArray, weights: NumpyArray, loss: float
    ) -> MetricSums | None:
        if self._thresholds:
            return None
        from torchest.kernels import scores

        probabilities = torch.from_numpy(logits).sigmoid().numpy()
        sums = np.zeros(scores.BINARY + 2 * _THRESHOLDS)
        scores.score_binary(labels, logits.reshape(-1), probabilities.reshape(-1), weights, sums)
        sums[0] = loss
        return MetricSums(torch.from_numpy(sums), self._places)

    def export_outputs(self, predictions: Predictions) -> dict[str, ExportOutput]:
        """Returns the classes as classification, the probability of class 1 as regression, and all predictions."""
        check_predictions(predictions, PredictionKeys.LOGISTIC)
        return {
            **classification_outputs(predictions, PredictionKeys.ALL_CLASSES),
            REGRESSION: RegressionOutput(predictions[PredictionKeys.LOGISTIC]),
        }

    def _predictions(self, logits: Tensor) -> Mapping[str, ComputePrediction]:
        def probabilities() -> Tensor:
            # the softmax of [0, logit]; torch's function wakes all threads even for a few examples
            return torch.cat([-logits, logits], dim=-1).sigmoid()

        return {
            PredictionKeys.LOGITS: lambda: logits,
            PredictionKeys.LOGISTIC: logits.sigmoid,
            PredictionKeys.PROBABILITIES: probabilities,
            **self._classes.predictions(logits, lambda: _class_ids(logits)),
        }


def _class_ids(logits: Tensor) -> Tensor:
    return (logits > 0).long()


def _area_of(statistics: Tensor, curve: str, summation_method: str) -> Metric:
    return metrics.AUC(statistics.view(2, _THRESHOLDS), curve, summation_method)


def _places(suffix: str, summation_method: str) -> dict[str, Place]:
    """Where `kernels.scores.score_binary` writes the statistics of each metric."""
    places = places_of(
        {
            MetricKeys.AVERAGE_LOSS: metrics.Mean,
            MetricKeys.ACCURACY: metrics.Mean,
            MetricKeys.PRECISION: metrics.Mean,
            MetricKeys.RECALL: metrics.Mean,
            MetricKeys.PREDICTION_MEAN: metrics.Mean,
            MetricKeys.LABEL_MEAN: metrics.Mean,
        },
        suffix,
    )
    labelled, count = places[MetricKeys.LABEL_MEAN + suffix], 2 * len(places)
    end = count + 2 * _THRESHOLDS
    area = partial(_area_of, summation_method=summation_method)
    return {
        **places,
        MetricKeys.ACCURACY_BASELINE + suffix: labelled._replace(make=metrics.MajorityShare),
        MetricKeys.AUC + suffix: Place(count, end, partial(area, curve="ROC")),
        MetricKeys.AUC_PR + suffix: Place(count, end, partial(area, curve="PR")),
    }


def metrics_at_thresholds(
    thresholds: Sequence[float], labels: Tensor, probabilities: Tensor, weights: Tensor | None
) -> dict[str, Metric]:
    """Returns accuracy, precision and recall at each threshold, by key."""
    functions: dict[str, Callable[..., Metric]] = {
        MetricKeys.ACCURACY_AT_THRESHOLD: metrics.binary_accuracy,
        MetricKeys.PRECISION_AT_THRESHOLD: metrics.precision,
        MetricKeys.RECALL_AT_THRESHOLD: metrics.recall,
    }
    return {
        key.format(threshold): function(labels, probabilities, weights, threshold)
        for threshold in thresholds
        for key, function in functions.items()
    }
