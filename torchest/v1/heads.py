"""The heads of the canned estimators of TensorFlow 1, whose areas under curves are sums of trapezoids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.heads.binary import BinaryClassHead
from torchest.heads.multi_class import MultiClassHead
from torchest.utils.checks import whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.heads.base import Head
    from torchest.heads.weights import WeightColumn


class _BinaryHead(BinaryClassHead):
    _summation_method = "trapezoidal"


def classifier_head(
    n_classes: int,
    weight_column: WeightColumn,
    label_vocabulary: Sequence[str] | None,
    loss_reduction: str,
) -> Head:
    """Returns the head of a classifier: one logit for two classes, else one for each class."""
    if whole_number("n_classes", n_classes, at_least=2) == 2:
        return _BinaryHead(
            weight_column, label_vocabulary=label_vocabulary, loss_reduction=loss_reduction
        )
    return MultiClassHead(n_classes, weight_column, label_vocabulary, loss_reduction)
