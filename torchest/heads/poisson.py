"""PoissonRegressionHead: counts, by the likelihood of a Poisson distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from torchest import losses
from torchest.heads.regression import RegressionHead
from torchest.losses import Reduction
from torchest.utils.checks import boolean

if TYPE_CHECKING:
    from torch import Tensor

    from torchest.columns.base import FeatureColumn


class PoissonRegressionHead(RegressionHead):
    """Regression of counts: a logit is the logarithm of the expected count.

    Labels are numbers of at least 0, [batch, label_dimension]; for one label also [batch].

    Args:
        label_dimension: How many counts an example has as labels.
        weight_column: As for `RegressionHead`.
        loss_reduction: As for `RegressionHead`.
        compute_full_loss: Add the part of the loss that depends on the labels only; see
            `torchest.losses.poisson`.
        name: Ends the keys of metrics, as in "label/mean/<name>".

    Raises:
        ValueError: An argument is wrong.

    >>> head = PoissonRegressionHead()
    >>> head.predictions(torch.zeros(1, 1))["predictions"]
    tensor([[1.]])
    """

    def __init__(
        self,
        label_dimension: int = 1,
        weight_column: str | FeatureColumn | None = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        compute_full_loss: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(
            label_dimension, weight_column, loss_reduction, inverse_link_fn=torch.exp, name=name
        )
        self._compute_full_loss = boolean("compute_full_loss", compute_full_loss)

    def _labels(self, labels: Any, logits: Tensor) -> Tensor:
        found = super()._labels(labels, logits)
        wrong = ~(found >= 0)
        if wrong.any():
            raise ValueError(
                f"{self._title}: labels must be counts of at least 0; found {found[wrong][0].item():g} in "
                f"{int(wrong.sum())} of {found.numel()} labels."
            )
        return found

    def _losses(self, labels: Tensor, logits: Tensor) -> Tensor:
        return losses.poisson(labels, logits, compute_full_loss=self._compute_full_loss)
