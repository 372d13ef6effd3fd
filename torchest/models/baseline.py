"""BaselineModel: the same logits for every example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from torchest.columns.features import Features

if TYPE_CHECKING:
    from collections.abc import Mapping


class BaselineModel(nn.Module):
    """Computes logits that do not depend on the features, and are initially 0.

    Args:
        units: Width of the output.

    Shape:
        - output: [batch, units]
    """

    def __init__(self, units: int = 1) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(self, features: Mapping[str, object]) -> Tensor:
        """Returns [batch, units]; the features only determine the number of examples."""
        batch = Features.of(features)
        if not batch:
            raise ValueError(
                "features are empty: give at least one, which tells how many examples there are."
            )
        return self.bias.expand(batch.batch_size, -1)
