"""The arguments of metrics: checks, and shapes that match as in TensorFlow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.utils.checks import shown
from torchest.utils.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Numbers = Tensor | npt.NDArray[np.generic] | Sequence[object] | float


def matched(
    metric: str, labels: Numbers, predictions: Numbers, weights: Numbers | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Labels and predictions of one shape, and weights that broadcast to it."""
    labels, predictions = numbers_of("labels", labels), numbers_of("predictions", predictions)
    if labels.shape != predictions.shape:
        shapes = f"labels of shape {list(labels.shape)} and predictions of shape {list(predictions.shape)}"
        if labels.shape == (*predictions.shape, 1):
            labels = labels.squeeze(-1)
        elif predictions.shape == (*labels.shape, 1):
            predictions = predictions.squeeze(-1)
        else:
            raise ValueError(
                f"{metric}: {shapes} must have the same shape, or differ only in a last dimension of 1: reshape one of "
                "them."
            )
    return labels, predictions, matched_weights(weights, "labels and predictions", labels)


def numbers_of(argument: str, value: object) -> Tensor:
    """The value as a tensor of real numbers, without a gradient."""
    if isinstance(value, Tensor):
        tensor = value
    else:
        try:
            tensor = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError, LookupError, OverflowError):
            raise ValueError(
                f"{argument}={shown(value)} must be a tensor of numbers, or numbers that make one."
            ) from None
    if tensor.is_complex() or tensor.layout is not torch.strided:
        what = "complex numbers" if tensor.is_complex() else "a sparse tensor"
        raise ValueError(
            f"{argument}={shown(value)} must be a dense tensor of real numbers, not {what}."
        )
    return tensor.detach()


def matched_weights(weights: Numbers | None, what: str, values: Tensor) -> Tensor | None:
    """Weights that broadcast to the values, checked unless that would wait for a device.

    Args:
        weights: The user's weights.
        what: Name of the values in messages.
        values: The values to weight.
    """
    if weights is None:
        return None
    tensor = numbers_of("weights", weights)
    shape = tensor.shape
    if tensor.dim() == values.dim() + 1 and shape[-1] == 1:
        tensor = tensor.squeeze(-1)
    elif 0 < tensor.dim() == values.dim() - 1:
        tensor = tensor.unsqueeze(-1)
    fits = tensor.dim() == values.dim() and all(
        own in (1, size) for own, size in zip(tensor.shape, values.shape, strict=True)
    )
    if tensor.dim() and not fits:
        raise ValueError(
            f"weights={shown(weights)} of shape {list(shape)} do not fit {what} of shape {list(values.shape)}: "
            "give one weight per value, or a shape that broadcasts to it."
        )
    return _in_range(tensor).to(values.device, non_blocking=True)


def _in_range(weights: Tensor) -> Tensor:
    """Finite weights of at least 0; if a check would wait for the device, others become NaN instead."""
    if not weights.is_cpu or is_traced():
        return torch.where((weights >= 0) & (weights < math.inf), weights.double(), math.nan)
    if weights.numel():
        least, most = torch.aminmax(weights)
        if not (least.item() >= 0 and most.item() < math.inf):  # so for NaN, too
            wrong = weights[~((weights >= 0) & (weights < math.inf))]
            raise ValueError(
                f"weights has {wrong[0].item():g}; found {len(wrong)} such among {weights.numel()}. Weights must be "
                "finite numbers of at least 0."
            )
    return weights
