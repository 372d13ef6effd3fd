"""MultiClassHead: one of more than two classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from torchest import losses
from torchest.heads.classes import Classes, classification_outputs
from torchest.heads.labels import check_class_ids, fit_to_logits, numeric_labels
from torchest.heads.single import Scored, SingleHead
from torchest.keys import MetricKeys, PredictionKeys
from torchest.losses import Reduction
from torchest.metrics import values as metrics
from torchest.metrics.sums import MetricSums, places_of
from torchest.utils.checks import is_whole, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torchest.export_outputs import ExportOutput
    from torchest.heads.base import Labels, Predictions
    from torchest.heads.classes import ComputePrediction
    from torchest.heads.weights import WeightColumn
    from torchest.metrics.values import Metric
    from torchest.utils.arrays import NumpyArray


class MultiClassHead(SingleHead):
    """Classification with softmax cross entropy.

    Labels are class ids from 0 to n_classes − 1, or strings of `label_vocabulary`; of shape [batch] or
    [batch, 1].

    Args:
        n_classes: Number of classes, more than 2.
        weight_column: As for `BinaryClassHead`.
        label_vocabulary: The names of the classes, if labels are strings.
        loss_reduction: As for `BinaryClassHead`.
        loss_fn: Instead of softmax cross entropy: a function of `labels` [batch, 1], `logits`
            [batch, n_classes] and optionally `features` that returns one loss per example, [batch, 1].
        name: Suffix of the metric keys, as in "accuracy/<name>".

    Raises:
        ValueError: An argument is invalid.

    >>> head = MultiClassHead(3)
    >>> head.loss(torch.tensor([0, 2]), torch.zeros(2, 3))
    tensor(1.0986)
    """

    def __init__(
        self,
        n_classes: int,
        weight_column: WeightColumn = None,
        label_vocabulary: Sequence[str] | None = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        loss_fn: Callable[..., Tensor] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(weight_column, loss_reduction, loss_fn, name)
        is_binary = is_whole(n_classes) and n_classes == 2
        way_out = " Use BinaryClassHead for 2 classes." if is_binary else ""
        count = whole_number("n_classes", n_classes, way_out, at_least=3)
        self._classes = Classes(count, label_vocabulary)
        means = {MetricKeys.AVERAGE_LOSS: metrics.Mean, MetricKeys.ACCURACY: metrics.Mean}
        self._places = places_of(means, self._suffix)

    @property
    def logits_dimension(self) -> int:
        """The number of classes."""
        return self._classes.count

    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
        if self._classes.vocabulary is not None:
            ids = self._classes.vocabulary.class_ids(labels)
            return fit_to_logits(ids, logits, 1, self._title)
        ids = fit_to_logits(numeric_labels(labels, self._title), logits, 1, self._title)
        return check_class_ids(ids, self._classes.count, self._title)

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        return losses.softmax_cross_entropy(labels, logits)

    def _metrics(self, batch: Scored) -> dict[str, Metric]:
        class_ids = _class_ids(batch.logits)
        return {MetricKeys.ACCURACY: metrics.accuracy(batch.labels, class_ids, batch.weights)}

    def _score(
        self, labels: NumpyArray, logits: NumpyArray, weights: NumpyArray, loss: float
    ) -> MetricSums:
        from torchest.kernels import scores

        sums = np.empty(4)
        scores.score_classes(labels, logits.reshape(-1, self._classes.count), weights, sums)
        sums[0] = loss
        return MetricSums(torch.from_numpy(sums), self._places)

    def export_outputs(self, predictions: Predictions) -> dict[str, ExportOutput]:
        """Returns the classes as classification, and all predictions."""
        return classification_outputs(predictions, PredictionKeys.ALL_CLASSES)

    def _predictions(self, logits: Tensor) -> Mapping[str, ComputePrediction]:
        return {
            PredictionKeys.LOGITS: lambda: logits,
            PredictionKeys.PROBABILITIES: lambda: logits.softmax(-1),
            **self._classes.predictions(logits, lambda: _class_ids(logits)),
        }


def _class_ids(logits: Tensor) -> Tensor:
    return torch.argmax(logits, dim=-1, keepdim=True)
