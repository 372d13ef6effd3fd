"""LogisticRegressionHead: probabilities, by sigmoid cross entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from torchest import losses
from torchest.heads.regression import RegressionHead
from torchest.losses import Reduction

if TYPE_CHECKING:
    from torch import Tensor

    from torchest.columns.base import FeatureColumn


class LogisticRegressionHead(RegressionHead):
    """Regression of probabilities; metrics and predictions are those of a regression.

    Labels are numbers from 0 to 1, [batch] or [batch, 1]. For classes use `BinaryClassHead`.

    Args:
        weight_column: As for `RegressionHead`.
        loss_reduction: As for `RegressionHead`.
        name: Ends the keys of metrics, as in "label/mean/<name>".

    Raises:
        ValueError: An argument is wrong.

    >>> head = LogisticRegressionHead()
    >>> head.predictions(torch.zeros(1, 1))["predictions"]
    tensor([[0.5000]])
    """

    def __init__(
        self,
        weight_column: str | FeatureColumn | None = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        name: str | None = None,
    ) -> None:
        super().__init__(
            weight_column=weight_column,
            loss_reduction=loss_reduction,
            inverse_link_fn=torch.sigmoid,
            name=name,
        )

    def _labels(self, labels: Any, logits: Tensor) -> Tensor:
        found = super()._labels(labels, logits)
        outside = ~((found >= 0) & (found <= 1))
        if outside.any():
            raise ValueError(
                f"{self._title}: labels must be probabilities from 0 to 1; found {found[outside][0].item():g} in "
                f"{int(outside.sum())} of {found.numel()} labels."
            )
        return found

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        return losses.sigmoid_cross_entropy(labels, logits)
