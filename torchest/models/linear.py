"""LinearModel."""

from __future__ import annotations

from torchest.columns.layers.linear import LinearFeatures


class LinearModel(LinearFeatures):
    """Computes logits as a weighted sum of the columns, plus a bias; see `torchest.columns.LinearFeatures`."""
