"""The metrics of TensorFlow 1: those of `torchest.metrics`, but the area under a curve is a sum of trapezoids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest import metrics
from torchest.metrics import *  # noqa: F403
from torchest.utils.namespaces import namespace

if TYPE_CHECKING:
    from torchest.metrics import AUC
    from torchest.metrics.arguments import Numbers

__all__ = ["auc"]
__all__ += [name for name in metrics.__all__ if name != "auc"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)


def auc(  # type: ignore[no-redef]  # instead of the one of torchest.metrics
    labels: Numbers,
    predictions: Numbers,
    weights: Numbers | None = None,
    num_thresholds: int = 200,
    curve: str = "ROC",
    summation_method: str = "trapezoidal",
) -> AUC:
    """The area under the ROC curve or the precision-recall curve, with TensorFlow 1's arguments and default.

    Args:
        labels: 0 for negative; anything else is positive.
        predictions: From 0 to 1, of the shape of `labels`.
        weights: See `torchest.metrics.mean`.
        num_thresholds: Number of thresholds that approximate the curve, at least 2.
        curve: "ROC" or "PR".
        summation_method: "trapezoidal"; or "interpolation", which TensorFlow 1 calls "careful_interpolation".

    Raises:
        ValueError: As for `torchest.metrics.auc`.

    >>> auc([1, 0, 0, 1], [0.9, 0.8, 0.2, 0.4], curve="PR").compute()
    tensor(0.7917)
    """
    is_careful = isinstance(summation_method, str) and summation_method == "careful_interpolation"
    method = "interpolation" if is_careful else summation_method
    return metrics.auc(labels, predictions, weights, curve, num_thresholds, method)
