"""SingleHead: the base of heads with one set of labels."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchest import losses
from torchest.columns.numeric import NumericColumn
from torchest.heads.arguments import check_mode, scalars, wanted_keys
from torchest.heads.base import BuiltInHead, mean_over_batches
from torchest.heads.labels import check_logits, check_present
from torchest.heads.weights import weights_of
from torchest.keys import MetricKeys, ModeKeys
from torchest.metrics import values as metrics
from torchest.spec import Outputs
from torchest.utils.checks import shown, text
from torchest.utils.deferred import Deferred
from torchest.utils.host_copies import on_host
from torchest.utils.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from torchest.heads.base import Labels, Logits, RawFeatures
    from torchest.heads.classes import ComputePrediction
    from torchest.heads.weights import WeightColumn
    from torchest.metrics.sums import MetricSums
    from torchest.metrics.values import Metric
    from torchest.spec import EstimatorSpec
    from torchest.utils.arrays import NumpyArray

    LossFn = Callable[..., Tensor]

_OF_LOOPS = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Scored:
    """A validated batch and its losses."""

    labels: Tensor  # class ids or numbers, [batch, ..., label dimension]
    logits: Tensor  # [batch, ..., logits_dimension]
    losses: Tensor  # unweighted, [batch, ..., 1], or one for each of several labels
    weights: Tensor | None  # [batch, ..., 1]; None: 1 each


class SingleHead(BuiltInHead):
    """A head with one set of labels. A subclass defines its labels, losses, metrics and predictions."""

    def __init__(
        self,
        weight_column: WeightColumn,
        loss_reduction: str,
        loss_fn: LossFn | None,
        name: str | None,
    ) -> None:
        self._loss_reduction = losses.reduction_named("loss_reduction", loss_reduction)
        if not isinstance(weight_column, str | NumericColumn | None):
            raise ValueError(
                f"weight_column={weight_column!r} must be the key of a feature or a numeric column, not a "
                f"{type(weight_column).__name__}."
            )
        if name is not None:
            text("name", name, " None is allowed, too.", empty=True)
        self._weight_column = weight_column
        self._loss_fn = None if loss_fn is None else _LossFn(loss_fn)
        self._name = name

    @property
    def _title(self) -> str:
        """The name of the head in error messages."""
        return type(self).__name__ + (f" {self._name!r}" if self._name else "")

    @property
    def _suffix(self) -> str:
        """The end of the keys of metrics."""
        return f"/{self._name}" if self._name else ""

    @property
    def _label_dimension(self) -> int:
        """Size of the last dimension of `Scored.labels`."""
        return 1

    @property
    def _losses_per_example(self) -> int:
        """Size of the last dimension of `Scored.losses`."""
        return 1

    @property
    def name(self) -> str | None:
        """The name of the head."""
        return self._name

    @property
    def loss_reduction(self) -> str:
        """How the losses of a batch are reduced."""
        return self._loss_reduction

    @abstractmethod
    def _labels(self, labels: Labels, logits: Tensor) -> Tensor:
        """Validates labels, and converts them to `Scored.labels`."""

    @abstractmethod
    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        """The losses of the examples, as `Scored.losses`."""

    @abstractmethod
    def _metrics(self, batch: Scored) -> dict[str, Metric]:
        """The metrics of a batch by key, without suffix; `average_loss` is added to them."""

    def _sums(self, batch: Scored) -> MetricSums | None:
        """All metrics of a batch by a compiled loop; None if there is none for it."""
        dtype, shape = batch.logits.dtype, batch.losses.shape
        is_plain = dtype in _OF_LOOPS and batch.logits.is_cpu and self._is_as_made()
        if not is_plain or is_traced():
            return None
        labels, losses = batch.labels.detach().reshape(-1), batch.losses.detach().double()
        weights = torch.empty(0, dtype=dtype)
        if batch.weights is not None:
            weights = batch.weights.detach().expand(shape).reshape(-1)
            losses = losses.reshape(-1) * weights
        numbers = labels.double() if labels.is_floating_point() else labels
        logits = batch.logits.detach().contiguous().numpy()
        return self._score(numbers.numpy(), logits, weights.numpy(), losses.sum().item())

    def _score(
        self,
        labels: NumpyArray,  # noqa: ARG002 - for those who have a loop
        logits: NumpyArray,  # noqa: ARG002
        weights: NumpyArray,  # noqa: ARG002
        loss: float,  # noqa: ARG002
    ) -> MetricSums | None:
        """All metrics of a batch by a compiled loop; None if there is none.

        Args:
            labels: float64, or int64 for class ids; [number of labels].
            logits: As in `Scored`.
            weights: One for each loss, or [0] for 1 each.
            loss: The weighted sum of the losses.
        """
        return None

    @abstractmethod
    def _predictions(self, logits: Tensor) -> Mapping[str, ComputePrediction]:
        """A function for each prediction, by key."""

    def loss(
        self,
        labels: Labels,
        logits: Logits,
        features: RawFeatures = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Computes the loss of a batch, a scalar; see `Head.loss`.

        Raises:
            ValueError: Labels, logits or weights are invalid.
        """
        check_mode(mode)
        return self._reduced(self._scored(labels, logits, features), regularization_losses)

    def predictions(self, logits: Logits, keys: Sequence[str] | None = None) -> dict[str, Any]:
        """Computes the predictions of a batch; see `Head.predictions`.

        Raises:
            ValueError: The logits are invalid, or the head has no prediction of such a key.
        """
        logits = check_logits(logits, self.logits_dimension, self._title)
        available = self._predictions(logits)
        return {key: available[key]() for key in wanted_keys(keys, available, self._title)}

    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Metric]:
        """Returns the metrics before the first batch; see `Head.metrics`."""
        no_logits = torch.zeros(0, self.logits_dimension)
        no_labels = torch.zeros(0, self._label_dimension)
        no_losses = torch.zeros(0, self._losses_per_example)
        nothing = Scored(no_labels, no_logits, no_losses, None)
        return self._all_metrics(nothing, regularization_losses)

    def _outputs(
        self, features: RawFeatures, mode: str, logits: Logits, labels: Labels
    ) -> Outputs | EstimatorSpec:
        """What evaluation and prediction use of `create_estimator_spec`, with the same arguments."""
        if not self._is_as_made():
            return self.create_estimator_spec(features, mode, logits, labels)
        if mode == ModeKeys.PREDICT:
            return Outputs(self.predictions(logits), None, {})
        loss, of_batch = self._loss_and_metrics(labels, logits, features, None)
        return Outputs(Deferred(lambda: self.predictions(logits)), loss, of_batch)

    def _together(
        self,
        labels: Labels,
        logits: Logits,
        features: RawFeatures,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, MutableMapping[str, Metric]]:
        batch = self._scored(labels, logits, features)
        loss = self._reduced(batch, regularization_losses)
        sums = self._sums(batch) if regularization_losses is None else None
        return loss, self._all_metrics(batch, regularization_losses) if sums is None else sums

    def _scored(self, labels: Labels, logits: Logits, features: RawFeatures) -> Scored:
        logits = check_logits(logits, self.logits_dimension, self._title)
        check_present(labels, self._title)
        if isinstance(labels, Tensor):
            labels = on_host(labels)  # checking values on another device would wait for it
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
        return sum(scalars(regularization_losses) or (), loss)

    def _all_metrics(
        self, batch: Scored, regularization_losses: Sequence[Tensor] | None
    ) -> dict[str, Metric]:
        by_key: dict[str, Metric] = {
            MetricKeys.AVERAGE_LOSS: metrics.mean(batch.losses, batch.weights)
        }
        added = scalars(regularization_losses)
        if added is not None:
            total = sum(added, torch.zeros(()))
            by_key[MetricKeys.LOSS_REGULARIZATION] = mean_over_batches(total, batch.logits)
        by_key |= self._metrics(batch)
        return {f"{key}{self._suffix}": metric for key, metric in by_key.items()}


class _LossFn:
    """A user's loss, called with the arguments that it takes."""

    def __init__(self, function: LossFn) -> None:
        if not callable(function):
            raise ValueError(f"loss_fn={function!r} must be a function of labels and logits.")
        try:
            arguments = inspect.signature(function).parameters
        except ValueError:  # a built-in class, such as int
            raise ValueError(
                f"loss_fn={shown(function)} must be a function of labels and logits."
            ) from None
        for name in ("labels", "logits"):
            if name not in arguments:
                raise ValueError(
                    f"loss_fn must take {name!r}; it takes ({', '.join(arguments)}). Its arguments are labels, logits "
                    "and, optionally, features."
                )
        for name in arguments:
            if name not in ("labels", "logits", "features"):
                raise ValueError(
                    f"loss_fn takes {name!r}, which no head passes: its arguments are labels, logits and, optionally, "
                    "features."
                )
        self._function = function
        self._takes_features = "features" in arguments

    def __call__(
        self, labels: Tensor, logits: Tensor, features: RawFeatures, shape: tuple[int, ...]
    ) -> Tensor:
        """The losses of the examples, which must have this shape."""
        more = {"features": features} if self._takes_features else {}
        result: object = self._function(labels=labels, logits=logits, **more)
        if isinstance(result, Tensor) and result.shape == shape:
            return result
        what = f"type {type(result).__name__}"
        if isinstance(result, Tensor):
            what = f"shape {list(result.shape)}"
        raise ValueError(
            f"loss_fn returned a result of {what}; it must return a tensor of shape {list(shape)}: one loss per "
            "example, before weights and reduction."
        )
