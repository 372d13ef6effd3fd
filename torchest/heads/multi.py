"""MultiHead: several heads on one model."""

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
    merged,
    scalars,
    wanted_keys,
)
from torchest.heads.base import Head, mean_over_batches
from torchest.heads.labels import kind_of
from torchest.keys import MetricKeys
from torchest.losses import Reduction
from torchest.metrics import values as metrics
from torchest.utils.checks import listed, number, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.export_outputs import ExportOutput
    from torchest.metrics.values import Metric


class MultiHead(Head):
    """Several heads, each with labels of its own, whose losses are added.

    All of them reduce the losses of a batch alike.

    Labels are a dict by the names of the heads. Logits are one tensor, [batch, logits_dimension], in
    which the heads have their parts in the order given; or a dict of tensors by the names of the heads.
    Predictions have keys (head name, key), metrics have keys "key/<head name>", and the loss of each head
    is the metric "loss/<head name>".

    Args:
        heads: The heads. Each needs a name of its own.
        head_weights: What the loss of each head is multiplied by. None: 1.

    Raises:
        ValueError: There are no heads, names are missing or repeat, two heads reduce losses differently or
            have metrics of one name, or there are not as many weights as heads.

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
        self._weights = [
            number(f"head_weights[{index}]", weight)
            for index, weight in enumerate(
                listed("head_weights", weights, "numbers, one for each head")
            )
        ]
        if len(self._weights) != len(self._heads):
            raise ValueError(
                f"head_weights={shown(head_weights)} has {len(self._weights)} weights, and there are "
                f"{len(self._heads)} heads: give one for each."
            )

    @property
    def name(self) -> str:
        """The names of the heads, joined by "_"."""
        return "_".join(self._heads)

    @property
    def logits_dimension(self) -> int:
        """The sum of those of the heads."""
        return sum(head.logits_dimension for head in self._heads.values())

    @property
    def loss_reduction(self) -> str:
        """That of the heads."""
        return next(iter(self._heads.values())).loss_reduction

    def loss(
        self,
        labels: Any,
        logits: Any,
        features: Any = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """The weighted sum of the losses of the heads; see `Head.loss`.

        Raises:
            ValueError: Labels or logits of a head are missing, or not as they must be.
        """
        check_mode(mode)
        labels, logits = self._of_heads(labels, "labels"), self._split(logits)
        losses = {
            name: head.loss(labels[name], logits[name], features, mode)
            for name, head in self._heads.items()
        }
        return self._sum(losses, regularization_losses)

    def predictions(self, logits: Any, keys: Sequence[Any] | None = None) -> dict[Any, Any]:
        """What the heads predict, by (head name, key); see `Head.predictions`.

        Args:
            logits: See the class.
            keys: Which predictions are wanted, as (head name, key). None: all.

        Raises:
            ValueError: The logits are not as they must be, or a key is no prediction.
        """
        parts = self._split(logits)
        found = {
            (name, key): value
            for name, head in self._heads.items()
            for key, value in head.predictions(parts[name]).items()
        }
        return {key: found[key] for key in wanted_keys(keys, found, "MultiHead")}

    def export_outputs(self, predictions: Mapping[Any, Any]) -> dict[str, ExportOutput]:
        """The signatures of each head as "<head>/<signature>", and its default as "<head>".

        "predict" has the predictions of all heads; the default is that of the first head.
        """
        check_predictions(predictions)
        found: dict[str, ExportOutput] = {}
        for name, head in self._heads.items():
            own = {
                key[1]: value
                for key, value in predictions.items()
                if isinstance(key, tuple) and key[0] == name
            }
            outputs = checked_export_outputs(head.export_outputs(own), own)
            found.setdefault(SERVING_DEFAULT, outputs[SERVING_DEFAULT])
            found[name] = outputs.pop(SERVING_DEFAULT)
            found |= {f"{name}/{signature}": output for signature, output in outputs.items()}
        return found | {PREDICT: PredictOutput(predictions)}

    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Metric]:
        """The metrics of no examples; see `Head.metrics`."""
        found: dict[str, Metric] = {}
        if scalars(regularization_losses) is not None:
            found[f"{MetricKeys.LOSS_REGULARIZATION}/{self.name}"] = metrics.Mean.empty()
        for name, head in self._heads.items():
            found[f"{MetricKeys.LOSS}/{name}"] = metrics.Mean.empty()
            found |= head.metrics()
        return found

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
        _, more = self._loss_and_metrics(labels, logits, features, regularization_losses)
        return merged(eval_metrics, more)

    def _loss_and_metrics(
        self,
        labels: Any,
        logits: Any,
        features: Any,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, dict[str, Metric]]:
        labels, logits = self._of_heads(labels, "labels"), self._split(logits)
        losses: dict[str, Tensor] = {}
        found: dict[str, Metric] = {}
        for name, head in self._heads.items():
            losses[name], of_head = head._loss_and_metrics(
                labels[name], logits[name], features, None
            )
            found[f"{MetricKeys.LOSS}/{name}"] = mean_over_batches(losses[name], logits[name])
            found |= of_head
        added = scalars(regularization_losses)
        if added is not None:
            total = sum(added, torch.zeros(()))
            first = next(iter(logits.values()))
            found[f"{MetricKeys.LOSS_REGULARIZATION}/{self.name}"] = mean_over_batches(total, first)
        return self._sum(losses, regularization_losses), found

    def _sum(
        self, losses: Mapping[str, Tensor], regularization_losses: Sequence[Tensor] | None
    ) -> Tensor:
        weighted = [
            weight * loss for weight, loss in zip(self._weights, losses.values(), strict=True)
        ]
        total = torch.stack(weighted).sum()
        return sum(scalars(regularization_losses) or (), total)

    def _split(self, logits: Any) -> Mapping[str, Any]:
        """The logits of each head."""
        if isinstance(logits, Mapping):
            return self._of_heads(logits, "logits")
        dimensions = [head.logits_dimension for head in self._heads.values()]
        if (
            not isinstance(logits, Tensor)
            or logits.dim() < 2
            or logits.shape[-1] != sum(dimensions)
        ):
            what = (
                f"have shape {list(logits.shape)}"
                if isinstance(logits, Tensor)
                else f"are {kind_of(logits)}"
            )
            listed = " + ".join(
                f"{size} of {name!r}" for name, size in zip(self._heads, dimensions, strict=True)
            )
            raise ValueError(
                f"MultiHead: logits {what}, and their shape must be [batch, {sum(dimensions)}]: {listed}."
            )
        return dict(zip(self._heads, torch.split(logits, dimensions, dim=-1), strict=True))

    def _of_heads(self, given: Any, what: str) -> Mapping[str, Any]:
        """A dict that has something for each head."""
        names = ", ".join(map(repr, self._heads))
        if not isinstance(given, Mapping):
            found = "missing" if given is None else f"a {type(given).__name__}"
            raise ValueError(
                f"MultiHead: {what} must be a dict by the names of the heads, {names}; they are {found}."
            )
        missing = [name for name in self._heads if name not in given]
        if missing:
            raise ValueError(
                f"MultiHead: {what} have nothing for the head {missing[0]!r}; they need one item for each of {names}, "
                f"and {'have ' + ', '.join(map(repr, given)) if given else 'are empty'}."
            )
        return given


def _checked_heads(heads: Sequence[Head]) -> dict[str, Head]:
    found = listed("heads", heads, "heads")
    if not found:
        raise ValueError(f"heads={heads!r} must be a list of at least one head.")
    named: dict[str, Head] = {}
    for head in found:
        if not isinstance(head, Head):
            raise ValueError(
                f"heads={heads!r}: {head!r} ({type(head).__name__}) is no head; give a list of heads."
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
    return named


def _check_reductions(heads: Mapping[str, Head]) -> None:
    """Raises unless all heads reduce the losses of a batch alike: their sum would be neither a mean nor a sum."""
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
    """Raises if two heads have metrics of one name, of which one would be lost."""
    owner: dict[str, str] = {}
    for name, head in heads.items():
        for key in (f"{MetricKeys.LOSS}/{name}", *head.metrics()):
            if key in owner:
                raise ValueError(
                    f"heads: {owner[key]!r} and {name!r} have a metric of one name, {key!r}: give one of them another "
                    "name."
                )
            owner[key] = name
