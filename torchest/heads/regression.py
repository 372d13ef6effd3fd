"""RegressionHead: numbers, by squared error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest import losses
from torchest.export_outputs import (
    PREDICT,
    REGRESSION,
    SERVING_DEFAULT,
    PredictOutput,
    RegressionOutput,
)
from torchest.heads.arguments import check_predictions
from torchest.heads.labels import fit_to_logits, numeric_labels
from torchest.heads.single import Scored, SingleHead
from torchest.keys import MetricKeys, PredictionKeys
from torchest.losses import Reduction
from torchest.metrics import values as metrics
from torchest.utils.checks import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from torchest.columns.base import FeatureColumn
    from torchest.export_outputs import ExportOutput
    from torchest.metrics.values import Metric


class RegressionHead(SingleHead):
    """Regression by squared error.

    Labels are numbers, [batch, label_dimension]; for one label also [batch].

    Args:
        label_dimension: How many numbers an example has as labels.
        weight_column: The key of a feature, or a numeric column, with the weights of the examples:
            [batch], [batch, 1], or one for each label, [batch, label_dimension]. None: all weigh 1.
        loss_reduction: How the losses of a batch become one: one of `torchest.losses.Reduction` but
            NONE. The default divides by the number of labels, not by the sum of weights.
        loss_fn: Instead of squared error: a function of `labels` and `logits`,
            [batch, label_dimension] each, and perhaps `features`, that returns one loss per label,
            [batch, label_dimension].
        inverse_link_fn: Makes predictions of logits, such as `torch.exp`. The loss is of the logits.
        name: Ends the keys of metrics, as in "label/mean/<name>".

    Raises:
        ValueError: An argument is wrong.

    >>> import torch
    >>> head = RegressionHead()
    >>> head.loss(torch.tensor([1.0, 2.0]), torch.tensor([[1.5], [0.0]]))
    tensor(2.1250)
    """

    def __init__(
        self,
        label_dimension: int = 1,
        weight_column: str | FeatureColumn | None = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        loss_fn: Callable[..., Tensor] | None = None,
        inverse_link_fn: Callable[[Tensor], Tensor] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(weight_column, loss_reduction, loss_fn, name)
        if inverse_link_fn is not None and not callable(inverse_link_fn):
            raise ValueError(
                f"inverse_link_fn={inverse_link_fn!r} must be a function of logits, such as torch.exp."
            )
        self._dimension = whole_number("label_dimension", label_dimension, at_least=1)
        self._inverse_link_fn = inverse_link_fn

    @property
    def logits_dimension(self) -> int:
        """The number of labels of an example."""
        return self._dimension

    @property
    def _label_dimension(self) -> int:
        return self._dimension

    @property
    def _losses_per_example(self) -> int:
        return self._dimension

    def _labels(self, labels: Any, logits: Tensor) -> Tensor:
        found = numeric_labels(labels, self._title, of_classes=False)
        more = "For several numbers per example, give label_dimension."
        return fit_to_logits(found, logits, self._dimension, self._title, more).to(logits.dtype)

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        return losses.squared_error(labels, logits)

    def _metrics(self, batch: Scored) -> dict[str, Metric]:
        predicted = self._predicted(batch.logits)
        return {
            MetricKeys.PREDICTION_MEAN: metrics.mean(predicted, batch.weights),
            MetricKeys.LABEL_MEAN: metrics.mean(batch.labels, batch.weights),
        }

    def export_outputs(self, predictions: Mapping[Any, Any]) -> dict[str, ExportOutput]:
        """Regression, and all predictions."""
        check_predictions(predictions, PredictionKeys.PREDICTIONS)
        regression = RegressionOutput(predictions[PredictionKeys.PREDICTIONS])
        return {
            SERVING_DEFAULT: regression,
            REGRESSION: regression,
            PREDICT: PredictOutput(predictions),
        }

    def _predictions(self, logits: Tensor) -> Mapping[str, Callable[[], Any]]:
        found: dict[str, Callable[[], Any]] = {
            PredictionKeys.PREDICTIONS: lambda: self._predicted(logits)
        }
        if self._inverse_link_fn is not None:
            found[PredictionKeys.LOGITS] = lambda: logits
        return found

    def _predicted(self, logits: Tensor) -> Tensor:
        return logits if self._inverse_link_fn is None else self._inverse_link_fn(logits)
