"""What the heads with one set of labels share: weights, reduction of the loss, names of metrics."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchest import losses
from torchest.columns.numeric import NumericColumn
from torchest.heads.arguments import check_mode, merged, scalars, wanted_keys
from torchest.heads.base import Head, mean_over_batches
from torchest.heads.labels import check_logits, check_present
from torchest.heads.weights import weights_of
from torchest.keys import MetricKeys
from torchest.losses import Reduction
from torchest.metrics import values as metrics
from torchest.utils.checks import one_of, shown
from torchest.utils.host_copies import on_host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torchest.columns.base import FeatureColumn
    from torchest.metrics.values import Metric

    LossFn = Callable[..., Tensor]

_REDUCTIONS = (Reduction.AUTO, Reduction.SUM, Reduction.SUM_OVER_BATCH_SIZE)


@dataclass(frozen=True)
class Scored:
    """A batch that was checked, with its losses.

    Attributes:
        labels: [batch, ..., label dimension]; class ids or numbers.
        logits: [batch, ..., logits_dimension].
        losses: [batch, ..., 1], or one for each of several labels; unweighted.
        weights: [batch, ..., 1], or None where all examples count 1.
    """

    labels: Tensor
    logits: Tensor
    losses: Tensor
    weights: Tensor | None


class SingleHead(Head):
    """A head with one set of labels. A subclass says what a label is, its loss, metrics and predictions.

    Args:
        weight_column: The key of a feature, or a numeric column, with the weights of the examples.
        loss_reduction: How the losses of a batch become one.
        loss_fn: The user's loss: a function of `labels`, `logits` and perhaps `features`.
        name: Ends the keys of the metrics.
    """

    def __init__(
        self,
        weight_column: str | FeatureColumn | None,
        loss_reduction: str,
        loss_fn: LossFn | None,
        name: str | None,
    ) -> None:
        one_of("loss_reduction", loss_reduction, _REDUCTIONS)
        if not isinstance(weight_column, (str, NumericColumn, NoneType)):
            raise ValueError(
                f"weight_column={weight_column!r} must be the key of a feature or a numeric column, not a "
                f"{type(weight_column).__name__}."
            )
        if not isinstance(name, (str, NoneType)):
            raise ValueError(f"name={name!r} must be a string, or None.")
        self._weight_column = weight_column
        self._loss_reduction = loss_reduction
        self._loss_fn = None if loss_fn is None else _LossFn(loss_fn)
        self._name = name

    @property
    def _title(self) -> str:
        """The head, for error messages."""
        return type(self).__name__ + (f" {self._name!r}" if self._name else "")

    @property
    def _label_dimension(self) -> int:
        """The size of the last dimension of `Scored.labels`."""
        return 1

    @property
    def _losses_per_example(self) -> int:
        """The size of the last dimension of `Scored.losses`."""
        return 1

    @property
    def name(self) -> str | None:
        """The name of the head."""
        return self._name

    @property
    def loss_reduction(self) -> str:
        """How the losses of a batch become one."""
        return self._loss_reduction

    @abstractmethod
    def _labels(self, labels: Any, logits: Tensor) -> Tensor:
        """Labels as `Scored.labels`, checked."""

    @abstractmethod
    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        """The losses of the examples, as `Scored.losses`."""

    @abstractmethod
    def _metrics(self, batch: Scored) -> dict[str, Metric]:
        """The metrics of a batch by key, without the head's name; those of the loss are there already."""

    @abstractmethod
    def _predictions(self, logits: Tensor) -> Mapping[str, Callable[[], Any]]:
        """What there is to predict, by key, computed when called."""

    def loss(
        self,
        labels: Any,
        logits: Any,
        features: Any = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """The loss of a batch, a scalar; see `Head.loss`.

        Raises:
            ValueError: Labels, logits or weights are not as they must be.
        """
        check_mode(mode)
        batch = self._scored(labels, logits, features)
        return self._reduced(batch, regularization_losses)

    def predictions(self, logits: Any, keys: Sequence[str] | None = None) -> dict[str, Any]:
        """What the logits of a batch predict; see `Head.predictions`.

        Raises:
            ValueError: The logits are not as they must be, or a key is no prediction of this head.
        """
        logits = check_logits(logits, self.logits_dimension, self._title)
        available = self._predictions(logits)
        return {key: available[key]() for key in wanted_keys(keys, available, self._title)}

    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Metric]:
        """The metrics of no examples; see `Head.metrics`."""
        no_logits = torch.zeros(0, self.logits_dimension)
        no_labels = torch.zeros(0, self._label_dimension)
        no_losses = torch.zeros(0, self._losses_per_example)
        nothing = Scored(no_labels, no_logits, no_losses, None)
        return self._all_metrics(nothing, regularization_losses)

    def update_metrics(  # type: ignore[override] # the order of TensorFlow's heads, which their base class has not
        self,
        eval_metrics: Mapping[str, Metric],
        features: Any,
        logits: Any,
        labels: Any,
        regularization_losses: Sequence[Tensor] | None = None,
        mode: str | None = None,
    ) -> dict[str, Metric]:
        """The metrics of the examples so far and of one more batch; see `Head.update_metrics`."""
        check_mode(mode)
        batch = self._scored(labels, logits, features)
        more = self._all_metrics(batch, regularization_losses)
        return merged(eval_metrics, more)

    def _loss_and_metrics(
        self,
        labels: Any,
        logits: Any,
        features: Any,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, dict[str, Metric]]:
        batch = self._scored(labels, logits, features)
        loss = self._reduced(batch, regularization_losses)
        return loss, self._all_metrics(batch, regularization_losses)

    def _scored(self, labels: Any, logits: Any, features: Any) -> Scored:
        logits = check_logits(logits, self.logits_dimension, self._title)
        check_present(labels, self._title)
        if isinstance(labels, Tensor):
            labels = on_host(labels)  # a check of values on another device would wait for it
        labels = self._labels(labels, logits).to(logits.device, non_blocking=True)
        weights = weights_of(features, self._weight_column, logits, self._losses_per_example)
        if self._loss_fn is None:
            of_examples = self._losses(labels, logits)
        else:
            shape = (*logits.shape[:-1], self._losses_per_example)
            of_examples = self._loss_fn(labels, logits, features, shape)
        return Scored(labels, logits, of_examples, weights)

    def _reduced(self, batch: Scored, regularization_losses: Sequence[Tensor] | None) -> Tensor:
        loss = losses.reduce(batch.losses, batch.weights, self._loss_reduction)
        for more in scalars(regularization_losses) or ():
            loss = loss + more
        return loss

    def _all_metrics(
        self, batch: Scored, regularization_losses: Sequence[Tensor] | None
    ) -> dict[str, Metric]:
        found: dict[str, Metric] = {
            MetricKeys.AVERAGE_LOSS: metrics.mean(batch.losses, batch.weights)
        }
        added = scalars(regularization_losses)
        if added is not None:
            total = sum(added, torch.zeros(()))
            found[MetricKeys.LOSS_REGULARIZATION] = mean_over_batches(total, batch.logits)
        found |= self._metrics(batch)
        suffix = f"/{self._name}" if self._name else ""
        return {f"{key}{suffix}": metric for key, metric in found.items()}


class _LossFn:
    """A user's loss, called with the arguments that it takes."""

    def __init__(self, function: LossFn) -> None:
        if not callable(function):
            raise ValueError(f"loss_fn={function!r} must be a function of labels and logits.")
        try:
            taken = inspect.signature(function).parameters
        except ValueError:  # a class of Python's own, such as int
            raise ValueError(
                f"loss_fn={shown(function)} must be a function of labels and logits."
            ) from None
        for name in ("labels", "logits"):
            if name not in taken:
                raise ValueError(
                    f"loss_fn must take {name!r}; it takes ({', '.join(taken)}). Its arguments are labels, logits and, "
                    "if it wants them, features."
                )
        unknown = [name for name in taken if name not in ("labels", "logits", "features")]
        if unknown:
            raise ValueError(
                f"loss_fn takes {unknown[0]!r}, which is not there: its arguments are labels, logits and, if it wants "
                "them, features."
            )
        self._function = function
        self._takes_features = "features" in taken

    def __call__(
        self, labels: Tensor, logits: Tensor, features: Any, shape: tuple[int, ...]
    ) -> Tensor:
        """The losses of the examples, which must have this shape."""
        more = {"features": features} if self._takes_features else {}
        found = self._function(labels=labels, logits=logits, **more)
        if not isinstance(found, Tensor) or found.shape != shape:
            what = (
                f"shape {list(found.shape)}"
                if isinstance(found, Tensor)
                else f"type {type(found).__name__}"
            )
            raise ValueError(
                f"loss_fn returned a result of {what}; it must return a tensor of shape {list(shape)}: one loss per "
                "example, before weights and reduction."
            )
        return found
