"""The sums behind the metrics of heads, in one pass over the examples.

Each function writes pairs of sums, float64: a weighted sum, and the sum of the weights. The first pair is that of the
losses, whose sum is left to the caller. Weights are [0] for 1 each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Float64s = npt.NDArray[np.float64]
    Int64s = npt.NDArray[np.int64]

BINARY = 12  # sums of `score_binary` before those of thresholds


@kernel
def score_binary(
    labels: Floats,
    logits: Floats,
    probabilities: Floats,
    weights: Floats,
    sums: Float64s,
) -> None:
    """Adds up the weights of the examples of a binary classification.

    Args:
        labels: [n]; 0 is negative, anything else is positive.
        logits: [n]; above 0 means class 1.
        probabilities: [n], from 0 to 1.
        weights: [n] or [0].
        sums: Output, zeros [`BINARY` + 2 * thresholds]: the pairs of the losses, of correct examples, of true positives
            among predicted positives and among positives, of probabilities, and of labels; then the statistics of
            `torchest.metrics.AUC`.
    """
    thresholds = (len(sums) - BINARY) // 2
    weight = 1.0
    total = correct = hits = predicted = positive = likely = labelled = 0.0
    for row in range(len(labels)):
        if len(weights):
            weight = float(weights[row])
        label, probability = labels[row], probabilities[row]
        is_first, is_positive = logits[row] > 0, label != 0
        total += weight
        if label == is_first:
            correct += weight
        if is_first:
            predicted += weight
        if is_positive:
            positive += weight
            if is_first:
                hits += weight
        likely += weight * probability
        labelled += weight * label
        place = 0
        if not np.isnan(probability):
            place = int(np.ceil(np.float32(probability) * np.float32(thresholds - 1))) - 1
            place = min(max(place, 0), thresholds - 1)
        # adding 0 times the prediction lets a prediction of NaN make the area NaN
        start = BINARY if is_positive else BINARY + thresholds
        sums[start + place] += weight + 0.0 * probability
    sums[1] = sums[3] = sums[9] = sums[11] = total
    sums[2], sums[4], sums[5], sums[6], sums[7] = correct, hits, predicted, hits, positive
    sums[8], sums[10] = likely, labelled


@kernel
def score_classes(labels: Int64s, logits: Floats, weights: Floats, sums: Float64s) -> None:
    """Adds up the weights of the examples of a classification.

    Args:
        labels: [n], class ids.
        logits: [n, classes]; the first largest one, or the first NaN, is the predicted class.
        weights: [n] or [0].
        sums: Output, [4]: the pairs of the losses and of correct examples.
    """
    weight = 1.0
    total = correct = 0.0
    for row in range(len(labels)):
        if len(weights):
            weight = float(weights[row])
        best = 0
        for other in range(1, logits.shape[1]):
            if not logits[row, other] <= logits[row, best] and not np.isnan(logits[row, best]):
                best = other
        total += weight
        if best == labels[row]:
            correct += weight
    sums[1], sums[2], sums[3] = total, correct, total


@kernel
def score_numbers(labels: Floats, predictions: Floats, weights: Floats, sums: Float64s) -> None:
    """Adds up the numbers of a regression.

    Args:
        labels: [n].
        predictions: [n].
        weights: [n] or [0].
        sums: Output, [6]: the pairs of the losses, of predictions, and of labels.
    """
    weight = 1.0
    total = predicted = labelled = 0.0
    for row in range(len(labels)):
        if len(weights):
            weight = float(weights[row])
        total += weight
        predicted += weight * predictions[row]
        labelled += weight * labels[row]
    sums[2], sums[4] = predicted, labelled
    sums[1] = sums[3] = sums[5] = total
