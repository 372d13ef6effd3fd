"""Heads that predict numbers: RegressionHead, PoissonRegressionHead, LogisticRegressionHead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

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
from torchest.metrics.sums import MetricSums, places_of
from torchest.utils.checks import boolean, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from torchest.export_outputs import ExportOutput
    from torchest.heads.base import Labels, Predictions
    from torchest.heads.classes import ComputePrediction
    from torchest.heads.weights import WeightColumn
    from torchest.metrics.values import Metric
    from torchest.utils.arrays import NumpyArray


class RegressionHead(SingleHead):
    """Regression with squared error.

    Labels are numbers, [batch, label_dimension]; for one label also [batch].

    Args:
        label_dimension: Number of labels of an example.
        weight_column: The key of a feature, or a numeric column, with the weights of the examples:
            [batch], [batch, 1], or one for each label, [batch, label_dimension]. None: 1 each.
        loss_reduction: How the losses of a batch are reduced: one of `torchest.losses.Reduction` but
            NONE. The default divides by the number of labels, not by the sum of weights.
        loss_fn: Instead of squared error: a function of `labels` and `logits`,
            [batch, label_dimension] each, and optionally `features`, that returns one loss per label,
            [batch, label_dimension].
        inverse_link_fn: Computes predictions from logits, such as `torch.exp`. The loss is of the logits.
        name: Suffix of the metric keys, as in "label/mean/<name>".

    Raises:
        ValueError: An argument is invalid.

    >>> import torch
    >>> head = RegressionHead()
    >>> head.loss(torch.tensor([1.0, 2.0]), torch.tensor([[1.5], [0.0]]))
    tensor(2.1250)
    """

    def __init__(
        self,
        label_dimension: int = 1,
        weight_column: WeightColumn = None,
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
        keys = (MetricKeys.AVERAGE_LOSS, MetricKeys.PREDICTION_MEAN, MetricKeys.LABEL_MEAN)
        self._places = places_of(dict.fromkeys(keys, metrics.Mean), self._suffix)

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

    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
        numbers = numeric_labels(labels, self._title, of_classes=False)
        more = "For several numbers per example, give label_dimension."
        fitted = fit_to_logits(numbers, logits, self._dimension, self._title, more)
        return fitted.to(logits.dtype)

    def _require(self, valid: Tensor, labels: Tensor, expected: str) -> Tensor:
        """Returns the labels, and raises unless all are valid."""
        wrong = labels[~valid]
        if len(wrong):
            raise ValueError(
                f"{self._title}: labels must be {expected}; found {wrong[0].item():g} in {len(wrong)} of "
                f"{labels.numel()} labels."
            )
        return labels

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        return losses.squared_error(labels, logits)

    def _metrics(self, batch: Scored) -> dict[str, Metric]:
        predicted = self._predicted(batch.logits)
        return {
            MetricKeys.PREDICTION_MEAN: metrics.mean(predicted, batch.weights),
            MetricKeys.LABEL_MEAN: metrics.mean(batch.labels, batch.weights),
        }

    def _score(
        self, labels: NumpyArray, logits: NumpyArray, weights: NumpyArray, loss: float
    ) -> MetricSums | None:
        from torchest.kernels import scores

        predicted = self._predicted(torch.from_numpy(logits))
        if predicted.shape != logits.shape or predicted.dtype not in (torch.float32, torch.float64):
            return None
        sums = np.empty(6)
        numbers = predicted.detach().reshape(-1).numpy()
        scores.score_numbers(labels, numbers, weights, sums)
        sums[0] = loss
        return MetricSums(torch.from_numpy(sums), self._places)

    def export_outputs(self, predictions: Predictions) -> dict[str, ExportOutput]:
        """Returns the predictions as regression, and all of them."""
        check_predictions(predictions, PredictionKeys.PREDICTIONS)
        regression = RegressionOutput(predictions[PredictionKeys.PREDICTIONS])
        return {
            SERVING_DEFAULT: regression,
            REGRESSION: regression,
            PREDICT: PredictOutput(predictions),
        }

    def _predictions(self, logits: Tensor) -> Mapping[str, ComputePrediction]:
        predictions: dict[str, ComputePrediction] = {
            PredictionKeys.PREDICTIONS: lambda: self._predicted(logits)
        }
        if self._inverse_link_fn is not None:
            predictions[PredictionKeys.LOGITS] = lambda: logits
        return predictions

    def _predicted(self, logits: Tensor) -> Tensor:
        return logits if self._inverse_link_fn is None else self._inverse_link_fn(logits)


class PoissonRegressionHead(RegressionHead):
    """Regression of counts with Poisson loss: a logit is the logarithm of the expected count.

    Labels are numbers of at least 0, [batch, label_dimension]; for one label also [batch].

    Args:
        label_dimension: Number of counts per example.
        weight_column: As for `RegressionHead`.
        loss_reduction: As for `RegressionHead`.
        compute_full_loss: Whether to add the part of the loss that depends on the labels only; see
            `torchest.losses.poisson`.
        name: As for `RegressionHead`.

    Raises:
        ValueError: An argument is invalid.

    >>> head = PoissonRegressionHead()
    >>> head.predictions(torch.zeros(1, 1))["predictions"]
    tensor([[1.]])
    """

    def __init__(
        self,
        label_dimension: int = 1,
        weight_column: WeightColumn = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        compute_full_loss: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(
            label_dimension, weight_column, loss_reduction, inverse_link_fn=torch.exp, name=name
        )
        self._compute_full_loss = boolean("compute_full_loss", compute_full_loss)

    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
        counts = super()._labels(labels, logits)
        return self._require(counts >= 0, counts, "counts of at least 0")

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        return losses.poisson(labels, logits, compute_full_loss=self._compute_full_loss)


class LogisticRegressionHead(RegressionHead):
    """Regression of probabilities with sigmoid cross entropy.

    Labels are numbers from 0 to 1, [batch] or [batch, 1]. Metrics and predictions are those of a regression; for
    classes use `BinaryClassHead`.

    Args:
        weight_column: As for `RegressionHead`.
        loss_reduction: As for `RegressionHead`.
        name: As for `RegressionHead`.

    Raises:
        ValueError: An argument is invalid.

    >>> head = LogisticRegressionHead()
    >>> head.predictions(torch.zeros(1, 1))["predictions"]
    tensor([[0.5000]])
    """

    def __init__(
        self,
        weight_column: WeightColumn = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        name: str | None = None,
    ) -> None:
        super().__init__(1, weight_column, loss_reduction, None, torch.sigmoid, name)

    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
        shares = super()._labels(labels, logits)
        return self._require((shares >= 0) & (shares <= 1), shares, "probabilities from 0 to 1")

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        return losses.sigmoid_cross_entropy(labels, logits)
