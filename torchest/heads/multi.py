"""MultiHead: several heads of one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchest.export_outputs import (
    PREDICT,
    SERVING_DEFAULT,
    PredictOutput,
    checked_export_outputs,
)
from torchest.heads.arguments import (
    check_mode,
    check_predictions,
    scalars,
    wanted_keys,
)
from torchest.heads.base import BuiltInHead, Head, mean_over_batches
from torchest.heads.labels import kind_of
from torchest.keys import MetricKeys
from torchest.losses import Reduction
from torchest.metrics import values as metrics
from torchest.utils.checks import listed, number, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.export_outputs import ExportOutput
    from torchest.heads.base import Labels, Logits, Predictions, RawFeatures
    from torchest.metrics.values import Metric


class MultiHead(BuiltInHead):
    """Several heads, each with labels of its own, whose losses are added.

    All heads must have the same loss reduction.

    Labels are a dict by head name. Logits are one tensor, [batch, logits_dimension], the concatenation of those of
    the heads; or a dict of tensors by head name. Predictions have keys (head name, key), metrics have keys
    "key/<head name>", and the loss of each head is the metric "loss/<head name>".

    Args:
        heads: The heads, each with a name of its own.
        head_weights: Weight of the loss of each head. None: 1 each.

    Raises:
        ValueError: There are no heads, names are missing or repeat, two heads have different reductions or
            metrics of the same name, or there are not as many weights as heads.

    >>> from torchest.heads.binary import BinaryClassHead
    >>> from torchest.heads.regression import RegressionHead
    >>> head = MultiHead([BinaryClassHead(name="click"), RegressionHead(name="price")])
    >>> head.logits_dimension
    2
    >>> labels = {"click": torch.tensor([1]), "price": torch.tensor([3.0])}
    >>> head.loss(labels, torch.tensor([[0.0, 2.0]]))
    tensor(1.6931)
    """

    def __init__(self, heads: Sequence[Head], head_weights: Sequence[float] | None = None) -> None:
        self._heads = _checked_heads(heads)
        _check_reductions(self._heads)
        _check_metrics(self._heads)
        weights = [1.0] * len(self._heads) if head_weights is None else head_weights
        weights = listed("head_weights", weights, "numbers, one for each head")
        self._weights = [
            number(f"head_weights[{index}]", weight) for index, weight in enumerate(weights)
        ]
        if len(self._weights) != len(self._heads):
            raise ValueError(
                f"head_weights={shown(head_weights)} has {len(self._weights)} weights, but there are "
                f"{len(self._heads)} heads: give one for each."
            )

    @property
    def name(self) -> str:
        """The names of the heads, joined by "_"."""
        return "_".join(self._heads)

    @property
    def logits_dimension(self) -> int:
        """The sum of the dimensions of the heads."""
        return sum(head.logits_dimension for head in self._heads.values())

    @property
    def loss_reduction(self) -> str:
        """The reduction of all heads."""
        return next(iter(self._heads.values())).loss_reduction

    def loss(
        self,
        labels: Labels,
        logits: Logits,
        features: RawFeatures = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Computes the weighted sum of the losses of the heads; see `Head.loss`.

        Raises:
            ValueError: Labels or logits of a head are missing or invalid.
        """
        check_mode(mode)
        labels, logits = self._of_heads(labels, "labels"), self._split(logits)
        losses = {
            name: head.loss(labels[name], logits[name], features, mode)
            for name, head in self._heads.items()
        }
        return self._sum(losses, regularization_losses)

    def predictions(self, logits: Logits, keys: Sequence[Any] | None = None) -> dict[Any, Any]:
        """Computes the predictions of the heads, by (head name, key); see `Head.predictions`.

        Raises:
            ValueError: The logits are invalid, or there is no prediction of such a key.
        """
        parts = self._split(logits)
        available = {
            (name, key): value
            for name, head in self._heads.items()
            for key, value in head.predictions(parts[name]).items()
        }
        return {key: available[key] for key in wanted_keys(keys, available, "MultiHead")}

    def export_outputs(self, predictions: Predictions) -> dict[str, ExportOutput]:
        """Returns the signatures of each head as "<head>/<signature>", and its default as "<head>".

        "predict" has the predictions of all heads; the default is that of the first head.
        """
        check_predictions(predictions)
        signatures: dict[str, ExportOutput] = {}
        for name, head in self._heads.items():
            own = {
                key[1]: value
                for key, value in predictions.items()
                if isinstance(key, tuple) and key[0] == name
            }
            outputs = checked_export_outputs(head.export_outputs(own), own)
            signatures.setdefault(SERVING_DEFAULT, outputs[SERVING_DEFAULT])
            signatures[name] = outputs.pop(SERVING_DEFAULT)
            signatures |= {f"{name}/{signature}": output for signature, output in outputs.items()}
        return signatures | {PREDICT: PredictOutput(predictions)}

    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Metric]:
        """Returns the metrics before the first batch; see `Head.metrics`."""
        by_key: dict[str, Metric] = {}
        if scalars(regularization_losses) is not None:
            by_key[f"{MetricKeys.LOSS_REGULARIZATION}/{self.name}"] = metrics.Mean.empty()
        for name, head in self._heads.items():
            by_key[f"{MetricKeys.LOSS}/{name}"] = metrics.Mean.empty()
            by_key |= head.metrics()
        return by_key

    def _together(
        self,
        labels: Labels,
        logits: Logits,
        features: RawFeatures,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, dict[str, Metric]]:
        labels, logits = self._of_heads(labels, "labels"), self._split(logits)
        losses: dict[str, Tensor] = {}
        by_key: dict[str, Metric] = {}
        for name, head in self._heads.items():
            loss, of_head = head._loss_and_metrics(labels[name], logits[name], features, None)
            losses[name] = loss
            by_key[f"{MetricKeys.LOSS}/{name}"] = mean_over_batches(loss, logits[name])
            by_key |= of_head
        added = scalars(regularization_losses)
        if added is not None:
            key = f"{MetricKeys.LOSS_REGULARIZATION}/{self.name}"
            total = sum(added, torch.zeros(()))
            by_key[key] = mean_over_batches(total, next(iter(logits.values())))
        return self._sum(losses, regularization_losses), by_key

    def _sum(
        self, losses: Mapping[str, Tensor], regularization_losses: Sequence[Tensor] | None
    ) -> Tensor:
        weighted = [
            weight * loss for weight, loss in zip(self._weights, losses.values(), strict=True)
        ]
        total = torch.stack(weighted).sum()
        return sum(scalars(regularization_losses) or (), total)

    def _split(self, logits: Logits) -> Mapping[str, Tensor]:
        """The logits of each head."""
        if isinstance(logits, Mapping):
            return self._of_heads(logits, "logits")
        dimensions = {name: head.logits_dimension for name, head in self._heads.items()}
        total = self.logits_dimension
        is_tensor = isinstance(logits, Tensor)
        if not is_tensor or logits.dim() < 2 or logits.shape[-1] != total:
            what = f"have shape {list(logits.shape)}" if is_tensor else f"are {kind_of(logits)}"
            addends = " + ".join(f"{size} of {name!r}" for name, size in dimensions.items())
            raise ValueError(
                f"MultiHead: logits {what}, but their shape must be [batch, {total}]: {addends}."
            )
        blocks = torch.split(logits, list(dimensions.values()), dim=-1)
        return dict(zip(dimensions, blocks, strict=True))

    def _of_heads(self, by_head: object, what: str) -> Mapping[str, Any]:
        """Labels or logits as a dict that has an item for each head."""
        names = ", ".join(map(repr, self._heads))
        if not isinstance(by_head, Mapping):
            kind = "missing" if by_head is None else f"a {type(by_head).__name__}"
            raise ValueError(
                f"MultiHead: {what} must be a dict by the names of the heads, {names}; they are {kind}."
            )
        for name in self._heads:
            if name not in by_head:
                present = f"have {', '.join(map(repr, by_head))}" if by_head else "are empty"
                raise ValueError(
                    f"MultiHead: {what} have nothing for the head {name!r}; they need one item for each of {names}, "
                    f"and {present}."
                )
        return by_head


def _checked_heads(heads: Sequence[Head]) -> dict[str, Head]:
    named: dict[str, Head] = {}
    for head in listed("heads", heads, "heads"):
        if not isinstance(head, Head):
            raise ValueError(
                f"heads={heads!r}: {head!r} ({type(head).__name__}) is not a head; give a list of heads."
            )
        if not head.name:
            raise ValueError(
                f"heads has a {type(head).__name__} without a name: give each head a name, such as name='click'."
            )
        if head.name in named:
            raise ValueError(
                f"heads has two heads called {head.name!r}: give each a name of its own."
            )
        named[head.name] = head
    if not named:
        raise ValueError(f"heads={heads!r} must be a list of at least one head.")
    return named


def _check_reductions(heads: Mapping[str, Head]) -> None:
    """Raises unless all heads have the same reduction: the total would be neither a mean nor a sum."""
    first, *others = heads.items()
    for name, head in others:
        if _plain(head.loss_reduction) != _plain(first[1].loss_reduction):
            raise ValueError(
                f"heads: {first[0]!r} has loss_reduction={first[1].loss_reduction!r}, and {name!r} has "
                f"{head.loss_reduction!r}: give all heads of a MultiHead the same."
            )


def _plain(reduction: str) -> str:
    return Reduction.SUM_OVER_BATCH_SIZE if reduction == Reduction.AUTO else reduction


def _check_metrics(heads: Mapping[str, Head]) -> None:
    """Raises if two heads have metrics of the same name, as one would be lost."""
    owner: dict[str, str] = {}
    for name, head in heads.items():
        for key in (f"{MetricKeys.LOSS}/{name}", *head.metrics()):
            if key in owner:
                raise ValueError(
                    f"heads: {owner[key]!r} and {name!r} have a metric of one name, {key!r}: give one of them another "
                    "name."
                )
            owner[key] = name
