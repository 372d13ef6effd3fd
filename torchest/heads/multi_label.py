"""MultiLabelHead: any number of classes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest import losses
from torchest.errors import suggest
from torchest.heads.arguments import probability_thresholds
from torchest.heads.binary import metrics_at_thresholds
from torchest.heads.classes import Classes, classification_outputs
from torchest.heads.labels import check_range, fit_to_logits
from torchest.heads.multi_hot import multi_hot
from torchest.heads.single import Scored, SingleHead
from torchest.heads.vocabulary import shown
from torchest.keys import MetricKeys, PredictionKeys
from torchest.losses import Reduction
from torchest.metrics import values as metrics
from torchest.utils.checks import is_whole, listed, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from torchest.export_outputs import ExportOutput
    from torchest.heads.base import Labels, Predictions
    from torchest.heads.classes import ComputePrediction
    from torchest.heads.weights import WeightColumn
    from torchest.metrics.values import Metric


_WATCHED = "classes_for_class_based_metrics"


class MultiLabelHead(SingleHead):
    """Multi-label classification with one sigmoid cross entropy per class.

    Labels are multi-hot, [batch, n_classes] of 0 and 1 (numbers between are probabilities); or they list the
    classes of each example: Arrow lists of class ids or `torchest.columns.Ids`, and with `label_vocabulary` lists of
    strings, padded with "". A sparse tensor of integers lists class ids, [batch, any number], as in TensorFlow; one
    of floating point numbers or booleans is multi-hot.

    Args:
        n_classes: Number of classes, at least 2.
        weight_column: As for `BinaryClassHead`.
        thresholds: As for `BinaryClassHead`.
        label_vocabulary: The names of the classes, if labels are strings.
        loss_reduction: How the losses of a batch are reduced: one of `torchest.losses.Reduction` but
            NONE. The loss of an example is the mean over the classes.
        loss_fn: Instead of sigmoid cross entropy: a function of `labels` and `logits`,
            [batch, n_classes] each, and optionally `features`, that returns one loss per example,
            [batch, 1].
        classes_for_class_based_metrics: Classes, by id or name, for each of which the mean probability
            and the areas under both curves are reported too.
        name: Suffix of the metric keys, as in "auc/<name>".

    Raises:
        ValueError: An argument is invalid.

    >>> import torch
    >>> head = MultiLabelHead(3)
    >>> head.loss(torch.tensor([[1, 0, 1], [0, 0, 0]]), torch.zeros(2, 3))
    tensor(0.6931)
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        n_classes: int,
        weight_column: WeightColumn = None,
        thresholds: Sequence[float] | None = None,
        label_vocabulary: Sequence[str] | None = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        loss_fn: Callable[..., Tensor] | None = None,
        classes_for_class_based_metrics: Sequence[int | str] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(weight_column, loss_reduction, loss_fn, name)
        self._classes = Classes(whole_number("n_classes", n_classes, at_least=2), label_vocabulary)
        self._thresholds = probability_thresholds(thresholds)
        chosen = listed(_WATCHED, classes_for_class_based_metrics, "classes")
        self._watched = [self._class_id(each) for each in chosen]

    @property
    def logits_dimension(self) -> int:
        """The number of classes."""
        return self._classes.count

    @property
    def _label_dimension(self) -> int:
        return self._classes.count

    def _class_id(self, chosen: object) -> int:
        """The id of a class, from its id or name."""
        names, count = self._classes.names, self._classes.count
        if isinstance(chosen, str | bytes):
            name = chosen.encode() if isinstance(chosen, str) else chosen
            if self._classes.vocabulary is None:
                raise ValueError(
                    f"{_WATCHED} has {chosen!r}, but there is no label_vocabulary: give class ids, or label_vocabulary."
                )
            if name not in names:
                hint = suggest(str(chosen), map(shown, names))
                raise ValueError(f"{_WATCHED} has {chosen!r}, which is not a class.{hint}")
            return names.index(name)
        if not is_whole(chosen) or not 0 <= int(chosen) < count:
            raise ValueError(f"{_WATCHED} has {chosen!r}: class ids are from 0 to {count - 1}.")
        return int(chosen)

    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
        hot = multi_hot(labels, self._classes, self._title)
        hot = fit_to_logits(hot, logits, self._classes.count, self._title)
        check_range(hot, 2, self._title)
        return hot.to(logits.dtype)

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        return losses.sigmoid_cross_entropy(labels, logits).mean(-1, keepdim=True)

    def _metrics(self, batch: Scored) -> dict[str, Metric]:
        labels, weights = batch.labels, batch.weights
        probabilities = batch.logits.sigmoid()
        by_key: dict[str, Metric] = {
            MetricKeys.AUC: metrics.auc(labels, probabilities, weights),
            MetricKeys.AUC_PR: metrics.auc(labels, probabilities, weights, curve="PR"),
        }
        by_key |= metrics_at_thresholds(self._thresholds, labels, probabilities, weights)
        for watched in self._watched:
            one = slice(watched, watched + 1)
            label, probability = labels[..., one], probabilities[..., one]
            name = self._name_in_metrics(watched)
            by_key |= {
                f"{MetricKeys.PROBABILITY_MEAN}/{name}": metrics.mean(probability, weights),
                f"{MetricKeys.AUC}/{name}": metrics.auc(label, probability, weights),
                f"{MetricKeys.AUC_PR}/{name}": metrics.auc(label, probability, weights, curve="PR"),
            }
        return by_key

    def _name_in_metrics(self, class_id: int) -> str:
        if self._classes.vocabulary is None:
            return f"class{class_id}"
        return shown(self._classes.names[class_id])

    def export_outputs(self, predictions: Predictions) -> dict[str, ExportOutput]:
        """Returns the classes as classification, and all predictions."""
        return classification_outputs(predictions, PredictionKeys.CLASSES)

    def _predictions(self, logits: Tensor) -> Mapping[str, ComputePrediction]:
        return {
            PredictionKeys.LOGITS: lambda: logits,
            PredictionKeys.PROBABILITIES: logits.sigmoid,
            PredictionKeys.CLASSES: self._classes.all_classes(logits)[PredictionKeys.ALL_CLASSES],
        }
