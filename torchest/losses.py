"""Losses of examples, and their reduction to a scalar.

    losses = sigmoid_cross_entropy(labels, logits)           # one per example
    loss = reduce(losses, weights, Reduction.SUM)

The functions check types and shapes. They do not check values, which would wait for a device; heads check labels first.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchest.utils.checks import boolean, is_number, one_of, shown
from torchest.utils.namespaces import namespace
from torchest.utils.tracing import is_traced

__all__ = [
    "Reduction",
    "poisson",
    "reduce",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "squared_error",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)


class Reduction:
    """How the losses of a batch are reduced to a scalar.

    The names are those of TensorFlow 2. The reductions of TensorFlow 1, in `torchest.v1.losses.Reduction`, are accepted
    everywhere, too.

    Attributes:
        AUTO: The same as SUM_OVER_BATCH_SIZE.
        NONE: No reduction: one loss per example.
        SUM: The weighted sum.
        SUM_OVER_BATCH_SIZE: The weighted sum divided by the number of losses (not by the sum of weights).
    """

    AUTO = "auto"
    NONE = "none"
    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"

    @classmethod
    def all(cls) -> tuple[str, ...]:
        """All reductions."""
        return (cls.AUTO, cls.NONE, cls.SUM, cls.SUM_OVER_BATCH_SIZE)

    @classmethod
    def validate(cls, key: str) -> None:
        """Raises ValueError unless `key` is a reduction."""
        if not isinstance(key, str) or key not in cls.all():
            raise ValueError(
                f"Invalid Reduction {shown(key)}: it must be one of {', '.join(map(repr, cls.all()))}."
            )


_WHOLE = (torch.int64, torch.int32)
BY_WEIGHTS, BY_NONZERO_WEIGHTS = "weighted_mean", "weighted_sum_by_nonzero_weights"
# the names of TensorFlow 1, and those of TensorFlow 2 for the same
_OF_TF1 = {
    "weighted_sum": Reduction.SUM,
    "weighted_sum_over_batch_size": Reduction.SUM_OVER_BATCH_SIZE,
    BY_WEIGHTS: BY_WEIGHTS,
    BY_NONZERO_WEIGHTS: BY_NONZERO_WEIGHTS,
}
_REDUCTIONS = {**{name: name for name in Reduction.all()}, **_OF_TF1}


def reduction_named(argument: str, name: str, *, to_a_scalar: bool = True) -> str:
    """A reduction by its name, of TensorFlow 2 if it has one.

    Args:
        argument: The argument, for messages.
        name: The name of a reduction in `Reduction` or `torchest.v1.losses.Reduction`.
        to_a_scalar: Whether `Reduction.NONE` is refused.

    Raises:
        ValueError: There is no such reduction, or it is refused.
    """
    refused = (Reduction.NONE,) if to_a_scalar else ()
    if isinstance(name, str) and name in _REDUCTIONS and name not in refused:
        return _REDUCTIONS[name]
    return one_of(argument, name, [each for each in Reduction.all() if each not in refused])


def reduce(
    losses: Tensor,
    weights: Tensor | None = None,
    reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
) -> Tensor:
    """Reduces the losses of a batch to a scalar.

    Args:
        losses: Losses of any shape, one or more per example.
        weights: Weight of each loss; broadcasts to `losses`. None: 1 each.
        reduction: One of `Reduction` or `torchest.v1.losses.Reduction`.

    Returns:
        A scalar, or the weighted losses for `Reduction.NONE`. The loss of no examples is 0.

    >>> reduce(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.0, 2.0])).item()
    2.3333...
    """
    _check_tensors(losses=losses)
    if not isinstance(reduction, str) or _REDUCTIONS.get(reduction) != reduction:
        reduction = reduction_named("reduction", reduction, to_a_scalar=False)
    weighted = losses if weights is None else _weighted(losses, weights)
    if reduction == Reduction.NONE:
        return weighted
    if reduction == Reduction.SUM:
        return weighted.sum()
    if reduction in (BY_WEIGHTS, BY_NONZERO_WEIGHTS) and weights is not None:
        each = _weighted(torch.ones_like(losses), weights)
        total = each.sum() if reduction == BY_WEIGHTS else each.count_nonzero()
        return weighted.sum() / torch.where(total == 0, math.inf, total)
    count = losses.numel()
    if count == weighted.numel() and count and weighted.is_floating_point():
        return weighted.mean()
    return weighted.sum() / max(count, 1)


def _weighted(losses: Tensor, weights: Any) -> Tensor:
    if not isinstance(weights, Tensor) and not is_number(weights):
        raise TypeError(f"weights={shown(weights)} must be a tensor.")
    try:
        weighted: Tensor = losses * weights
    except (RuntimeError, OverflowError):
        shape = f" of shape {list(weights.shape)}" if isinstance(weights, Tensor) else ""
        raise ValueError(
            f"weights={shown(weights)}{shape} do not fit losses of shape {list(losses.shape)}: give one weight per "
            "loss, or a shape that broadcasts to it."
        ) from None
    return weighted


def sigmoid_cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """−label·log σ(logit) − (1 − label)·log(1 − σ(logit)), elementwise.

    Args:
        labels: Numbers from 0 to 1, of the shape of `logits`.
        logits: Of any shape.
    """
    _check_alike(labels=labels, logits=logits)
    labels = labels.to(logits.dtype)
    if labels.requires_grad or logits.dtype.itemsize < 4 or is_traced():
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    if not torch.is_grad_enabled():
        return _sigmoid_cross_entropy(labels, logits)
    losses: Tensor = _SigmoidCrossEntropy.apply(labels, logits)  # type: ignore[no-untyped-call]
    return losses


def _sigmoid_cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    rest = F.softplus(logits.abs().neg_())
    return rest.add_(logits.clamp_min(0)).sub_(logits * labels)


class _SigmoidCrossEntropy(torch.autograd.Function):
    """Sigmoid cross entropy as max(x, 0) − x·label + log(1 + exp(−|x|)), which does not overflow.

    torch's function uses all threads even for a few logits.
    """

    @staticmethod
    def forward(ctx: Any, labels: Tensor, logits: Tensor) -> Tensor:
        ctx.save_for_backward(labels, logits)
        return _sigmoid_cross_entropy(labels, logits)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        labels, logits = ctx.saved_tensors
        return None, gradient * (logits.sigmoid() - labels)


def softmax_cross_entropy(class_ids: Tensor, logits: Tensor) -> Tensor:
    """−log softmax(logits)[class id] of each example.

    Args:
        class_ids: int64 [..., 1], from 0 to n_classes − 1.
        logits: [..., n_classes].

    Returns:
        [..., 1].
    """
    _check_tensors(class_ids=class_ids, logits=logits)
    if class_ids.shape != (*logits.shape[:-1], 1) or class_ids.dtype not in _WHOLE:
        raise ValueError(
            f"class_ids={shown(class_ids)} of shape {list(class_ids.shape)} must be int64 of shape [..., 1] for logits "
            f"of shape [..., n_classes]; these have shape {list(logits.shape)}."
        )
    return -F.log_softmax(logits, dim=-1).gather(-1, class_ids)


def squared_error(labels: Tensor, predictions: Tensor) -> Tensor:
    """(prediction − label)², elementwise.

    Args:
        labels: Of the shape of `predictions`.
        predictions: Of any shape.
    """
    _check_alike(labels=labels, predictions=predictions)
    return (predictions - labels.to(predictions.dtype)).square()


def poisson(labels: Tensor, log_rates: Tensor, *, compute_full_loss: bool = True) -> Tensor:
    """The negative log likelihood of counts, exp(log rate) − count·log rate, elementwise.

    Args:
        labels: The counts, of the shape of `log_rates`.
        log_rates: Logarithms of the expected counts.
        compute_full_loss: Whether to add Stirling's approximation of log(count!), count·log(count) − count +
            log(2π·count)/2, where the count is above 1.
    """
    boolean("compute_full_loss", compute_full_loss)
    _check_alike(labels=labels, log_rates=log_rates)
    labels = labels.to(log_rates.dtype)
    losses = log_rates.exp() - labels * log_rates
    if not compute_full_loss:
        return losses
    stirling = labels * labels.log() - labels + 0.5 * (2 * math.pi * labels).log()
    return losses + torch.where(labels > 1, stirling, 0.0)


def _check_tensors(**tensors: object) -> None:
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}={shown(value)} must be a tensor.")


def _check_alike(**tensors: Tensor) -> None:
    """Raises unless the tensors have the same shape, as broadcasting would produce too many losses."""
    _check_tensors(**tensors)
    (name, value), (other, expected) = tensors.items()
    if value.shape != expected.shape:
        raise ValueError(
            f"{name} of shape {list(value.shape)} and {other} of shape {list(expected.shape)} must have one shape."
        )
