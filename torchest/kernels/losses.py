"""Losses of a batch with their gradients, in one pass.

All functions take

    labels: float64 [batch, dimension]; class ids are int64 [batch].
    logits: float32 [batch, units].
    weights: float32 [batch, 1 or dimension], or [0, 1] if all are 1.
    scale: The factor of each loss in the reduced loss.
    gradient: Output: the gradient of the reduced loss, in the shape of the logits.

and return the reduced loss: NaN if a label or a weight is invalid. Losses are computed and added up in float64, and the
terms of gradients are rounded to the type of the logits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.kernels.compiling import kernel, part

if TYPE_CHECKING:
    import numpy.typing as npt

    Int64s = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.floating]


@part
def _weight(weights: Floats, example: int, unit: int) -> Any:
    """The weight of a loss; NaN if it is negative or infinite."""
    if len(weights) == 0:
        return np.float32(1)
    weight = weights[example, unit if weights.shape[1] > 1 else 0]
    return weight if 0 <= weight < math.inf else np.float32(math.nan)


@kernel
def sigmoid_cross_entropy(
    labels: Floats, logits: Floats, weights: Floats, scale: float, gradient: Floats
) -> float:
    """See `torchest.losses.sigmoid_cross_entropy`; labels are from 0 to 1."""
    total = 0.0
    for example in range(logits.shape[0]):
        for unit in range(logits.shape[1]):
            label, weight = labels[example, unit], _weight(weights, example, unit)
            if not 0 <= label <= 1:
                return math.nan
            logit = np.float64(logits[example, unit])
            rest = np.exp(-abs(logit))
            share = (1.0 if logit >= 0 else rest) / (1.0 + rest)
            slope = logits.dtype.type(share) - logits.dtype.type(label)
            gradient[example, unit] = scale * weight * slope
            total += weight * (np.log1p(rest) + max(logit, 0.0) - logit * label)
    return scale * total


@kernel
def softmax_cross_entropy(
    class_ids: Int64s, logits: Floats, weights: Floats, scale: float, gradient: Floats
) -> float:
    """See `torchest.losses.softmax_cross_entropy`."""
    total, units = 0.0, logits.shape[1]
    for example in range(logits.shape[0]):
        label, weight = class_ids[example], _weight(weights, example, 0)
        if label < 0 or label >= units:
            return math.nan
        largest = np.float64(logits[example, 0])
        for unit in range(1, units):
            largest = max(largest, np.float64(logits[example, unit]))
        norm = 0.0
        for unit in range(units):
            norm += np.exp(logits[example, unit] - largest)
        for unit in range(units):
            share = np.exp(logits[example, unit] - largest) / norm
            slope = logits.dtype.type(share - np.float64(unit == label))
            gradient[example, unit] = scale * weight * slope
        total += weight * (np.log(norm) + largest - logits[example, label])
    return scale * total


@kernel
def squared_error(
    labels: Floats, logits: Floats, weights: Floats, scale: float, gradient: Floats
) -> float:
    """See `torchest.losses.squared_error`."""
    total, two = 0.0, logits.dtype.type(2)
    for example in range(logits.shape[0]):
        for unit in range(logits.shape[1]):
            weight = _weight(weights, example, unit)
            excess = logits[example, unit] - logits.dtype.type(labels[example, unit])
            gradient[example, unit] = scale * weight * two * excess
            total += np.float64(weight) * excess * excess
    return scale * total


@kernel
def poisson(
    labels: Floats, logits: Floats, weights: Floats, scale: float, gradient: Floats
) -> float:
    """See `torchest.losses.poisson`, without the part that depends on the labels only; labels are at least 0."""
    total = 0.0
    for example in range(logits.shape[0]):
        for unit in range(logits.shape[1]):
            label, weight = labels[example, unit], _weight(weights, example, unit)
            if not label >= 0:
                return math.nan
            logit = np.float64(logits[example, unit])
            rate = np.exp(logit)
            slope = logits.dtype.type(rate) - logits.dtype.type(label)
            gradient[example, unit] = scale * weight * slope
            total += weight * (rate - label * logit)
    return scale * total


@kernel
def full_poisson(
    labels: Floats, logits: Floats, weights: Floats, scale: float, gradient: Floats
) -> float:
    """See `torchest.losses.poisson`; labels are at least 0."""
    total = poisson(labels, logits, weights, scale, gradient)
    for example in range(logits.shape[0]):
        for unit in range(logits.shape[1]):
            label = labels[example, unit]
            if label > 1:
                of_label = label * np.log(label) - label + 0.5 * np.log(2 * math.pi * label)
                total += scale * _weight(weights, example, unit) * of_label
    return total
