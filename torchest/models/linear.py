"""The linear model."""

from __future__ import annotations

from torchest.columns.layers.layers import LinearFeatures


class LinearModel(LinearFeatures):
    """Logits that are a weighted sum of the columns, plus a bias.

    The same module as `torchest.columns.LinearFeatures`, under the name that its use as a model has.
    """
