"""The device half of a categorical column: a table whose rows are looked up and combined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from torchest.optimizers.row_gradients import look_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchest.columns.ids import Ids


class Table(nn.Module):
    """Vectors by id; an example has the sum, mean or scaled sum of those of its ids.

    A row without ids has a vector of zeros. A training step reads and writes only the rows that the batch
    uses (with the optimizers of torchest).

    Args:
        rows: How many ids there are.
        dimension: The width of a vector.
        combiner: "sum", "mean" (divided by the sum of the weights) or "sqrtn" (divided by the root of the
            sum of their squares).
        initializer: Fills the new table in place.

    Shape:
        - weight: [rows, dimension]
        - input: `Ids` of a batch
        - output: [batch, dimension]
    """

    def __init__(
        self,
        rows: int,
        dimension: int,
        combiner: str,
        initializer: Callable[[Tensor], object] = nn.init.zeros_,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, dimension))
        self.combiner = combiner
        with torch.no_grad():
            initializer(self.weight)

    def forward(self, ids: Ids) -> Tensor:
        """Looks up and combines."""
        if ids.offsets is None:
            return self._one_each(ids.values, ids.weights)
        return self._bags(ids.values, ids.offsets, ids.weights)

    def _one_each(self, ids: Tensor, weights: Tensor | None) -> Tensor:
        """One id, or none (−1), for each example; its weight matters to a sum only, but for its sign."""
        vectors = look_up(self.weight, ids.clamp_min(0))  # [batch, dimension]
        factor = (ids >= 0).to(vectors.dtype)
        if weights is not None:
            weights = weights.to(vectors.dtype)
            factor = factor * (
                weights if self.combiner == "sum" else (weights > 0).to(vectors.dtype)
            )
        return vectors * factor.unsqueeze(1)

    def _bags(self, ids: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor:
        vectors = look_up(self.weight, ids)  # [ids, dimension]
        counts = offsets.diff()
        bag = torch.repeat_interleave(
            torch.arange(len(counts), device=ids.device), counts, output_size=len(ids)
        )
        if weights is None:
            weights = torch.ones_like(ids, dtype=vectors.dtype)
        elif self.combiner != "sum":
            weights = weights.clamp_min(0)
        weights = weights.to(vectors.dtype)
        summed = vectors.new_zeros(len(counts), self.weight.shape[1])
        summed = summed.index_add(0, bag, vectors * weights.unsqueeze(1))
        if self.combiner == "sum":
            return summed
        parts = weights if self.combiner == "mean" else weights.square()
        scale = torch.zeros_like(counts, dtype=vectors.dtype).index_add(0, bag, parts)
        if self.combiner == "sqrtn":
            scale = scale.sqrt()
        return summed / scale.masked_fill(scale == 0, 1).unsqueeze(1)
