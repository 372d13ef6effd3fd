"""The loss of a head and its gradient in one compiled pass, for the usual kinds of labels and weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest.heads.binary import BinaryClassHead
from torchest.heads.multi_class import MultiClassHead
from torchest.heads.regression import LogisticRegressionHead, PoissonRegressionHead, RegressionHead
from torchest.heads.single import SingleHead
from torchest.losses import BY_NONZERO_WEIGHTS, BY_WEIGHTS, Reduction

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from torchest.columns.base import FeatureColumn
    from torchest.columns.features import Features
    from torchest.heads.base import Head, Labels
    from torchest.metrics.sums import MetricSums

    Floats = npt.NDArray[np.float32]

_ALL_ONE = np.empty((0, 1), np.float32)
_WHOLE = (torch.int64, torch.int32)
_NUMBERS = {torch.float32, torch.float64, torch.bool, *_WHOLE}
_CLASSES = (BinaryClassHead, MultiClassHead)
_OF_HEADS: dict[type[Head], str] = {
    BinaryClassHead: "sigmoid_cross_entropy",
    LogisticRegressionHead: "sigmoid_cross_entropy",
    MultiClassHead: "softmax_cross_entropy",
    RegressionHead: "squared_error",
    PoissonRegressionHead: "poisson",
}


class PlannedLoss:
    """The reduced loss of a batch, with the numbers of `SingleHead.loss` up to rounding.

    Args:
        head: See `planned_loss`.
    """

    def __init__(self, head: SingleHead) -> None:
        from torchest.kernels import losses

        name = _loss_of(head)
        assert name is not None
        self._head = head
        if isinstance(head, PoissonRegressionHead) and head._compute_full_loss:
            name = "full_poisson"
        self._kernel: Callable[..., float] = getattr(losses, name)
        self._vocabulary = head._classes.vocabulary if isinstance(head, _CLASSES) else None
        self._has_classes = isinstance(head, MultiClassHead)
        self._weight_column = head._weight_column
        self._dimension = head._losses_per_example
        self._reduction = head.loss_reduction

    def __call__(
        self, labels: Labels, logits: Floats, features: Features
    ) -> tuple[float, Floats] | None:
        """The loss and its gradient.

        Args:
            labels: As the input gives them.
            logits: [batch, units].
            features: The features of the batch, for weights.

        Returns:
            The loss and its gradient by the logits; None if the loss is not finite, or if labels or weights are of
            other kinds than usual or invalid: the head itself says what is wrong with them.
        """
        batch = len(logits)
        inputs = self._inputs(labels, features, batch)
        if inputs is None:
            return None
        gradient = np.empty_like(logits)
        of_labels, weights = inputs
        scale = np.float32(1 / self._divisor(weights, batch))
        loss = self._kernel(of_labels, logits, weights, scale, gradient)
        return (loss, gradient) if math.isfinite(np.float32(loss)) else None

    def with_metrics(
        self, labels: Labels, logits: Floats, features: Features
    ) -> tuple[float, MetricSums] | None:
        """The reduced loss and the metrics of a batch; None as for a call, or if there is no loop for the metrics."""
        batch = len(logits)
        inputs = self._inputs(labels, features, batch)
        if inputs is None:
            return None
        of_labels, weights = inputs
        total = self._kernel(of_labels, logits, weights, np.float32(1), np.empty_like(logits))
        if not math.isfinite(np.float32(total)):
            return None
        loss = total / self._divisor(weights, batch)
        if weights.size not in (0, of_labels.size):
            weights = np.repeat(weights, self._dimension)
        sums = self._head._score(of_labels.reshape(-1), logits, weights.reshape(-1), total)
        return None if sums is None else (loss, sums)

    def _divisor(self, weights: Floats, batch: int) -> float:
        """What the sum of the weighted losses is divided by; see `losses.reduce`."""
        count = batch * self._dimension
        if self._reduction == Reduction.SUM:
            return 1
        if self._reduction in (BY_WEIGHTS, BY_NONZERO_WEIGHTS) and weights.size:
            is_sum = self._reduction == BY_WEIGHTS
            total = float(weights.sum()) if is_sum else np.count_nonzero(weights)
            return total * (count // weights.size) or math.inf
        return count

    def _inputs(
        self, labels: Labels, features: Features, batch: int
    ) -> tuple[npt.NDArray[Any], Floats] | None:
        """Labels and weights as the kernels take them; None if they are of other kinds than usual."""
        if self._vocabulary is not None:
            labels = self._vocabulary.class_ids(labels)
        of_labels = self._labels(labels, batch)
        column = self._weight_column
        weights = _ALL_ONE if column is None else self._weights(column, features, batch)
        if of_labels is None or weights is None or batch == 0:
            return None
        return of_labels, weights

    def _labels(self, labels: Any, batch: int) -> npt.NDArray[Any] | None:
        """Labels as the kernels take them; None if they have another type or shape than usual."""
        if type(labels) is not Tensor or labels.device.type != "cpu" or labels.requires_grad:
            return None
        shape = labels.shape
        fits = shape == (batch, self._dimension) or (self._dimension == 1 and shape == (batch,))
        if not fits or labels.layout is not torch.strided:
            return None
        if self._has_classes:
            is_whole = labels.dtype in _WHOLE
            return labels.reshape(-1).to(torch.int64).numpy() if is_whole else None
        if labels.dtype not in _NUMBERS:
            return None
        numbers = np.ascontiguousarray(labels.numpy(), np.float64)
        return numbers.reshape(batch, self._dimension)

    def _weights(
        self, column: str | FeatureColumn, features: Features, batch: int
    ) -> Floats | None:
        """The weights of a batch; None if they have another type or shape than usual."""
        weights: Any = features[column] if isinstance(column, str) else features.encoded(column)
        if type(weights) is not Tensor or weights.requires_grad or weights.is_complex():
            return None
        if weights.shape == (batch,):
            weights = weights.unsqueeze(1)
        if weights.shape not in ((batch, 1), (batch, self._dimension)):
            return None
        numbers: Floats = weights.to(torch.float32).contiguous().numpy()
        return numbers


def _loss_of(head: Head) -> str | None:
    """The name of the loss of a head, or of the built-in head that it derives from."""
    return next((_OF_HEADS[kind] for kind in type(head).__mro__ if kind in _OF_HEADS), None)


def planned_loss(head: Head) -> PlannedLoss | None:
    """Plans the losses of a head; None for heads of other classes, changed ones, and users' losses."""
    if not isinstance(head, SingleHead) or _loss_of(head) is None or not head._is_as_made():
        return None
    return PlannedLoss(head) if head._loss_fn is None else None
