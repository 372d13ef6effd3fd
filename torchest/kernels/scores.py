"""The sums behind the metrics of a binary classification, in one pass over the examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]


@kernel
def score(
    labels: Floats,
    logits: Floats,
    probabilities: Floats,
    weights: Floats,
    sums: Floats,
    above: Floats,
) -> None:
    """Adds up the weights of examples.

    Args:
        labels: [n]; 0 is negative, anything else is positive.
        logits: [n]; above 0 means class 1.
        probabilities: [n], from 0 to 1.
        weights: [n], or [0] for 1 each.
        sums: Output, float64 zeros [7]: the weights of all examples; of correct ones; of true positives; of predicted
            positives; of positives; the weighted sums of probabilities and of labels.
        above: Output, float64 zeros [2, thresholds]: see `torchest.metrics.AUC`.
    """
    thresholds = above.shape[1]
    for row in range(len(labels)):
        weight = float(weights[row]) if len(weights) else 1.0
        label, probability = labels[row], probabilities[row]
        is_first, is_positive = logits[row] > 0, label != 0
        sums[0] += weight
        if label == is_first:
            sums[1] += weight
        if is_first and is_positive:
            sums[2] += weight
        if is_first:
            sums[3] += weight
        if is_positive:
            sums[4] += weight
        sums[5] += weight * probability
        sums[6] += weight * label
        place = 0
        if not np.isnan(probability):
            place = int(np.ceil(np.float32(probability) * np.float32(thresholds - 1))) - 1
            place = min(max(place, 0), thresholds - 1)
        # adding 0 times the prediction lets a prediction of NaN make the area NaN
        above[0 if is_positive else 1, place] += weight + 0.0 * probability
