"""Modules that turn a batch of features into tensors: the device half of the columns."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from torchest.columns.base import CategoricalColumn, DenseColumn, FeatureColumn
from torchest.columns.features import Features
from torchest.columns.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torchest.columns.ids import Ids


class LinearFeatures(nn.Module):
    """A weighted sum of the columns: the linear model without its head.

    Parameters are called `<column>.weight` and `bias`, whatever the columns' names are; they start at 0.

    Args:
        feature_columns: Dense or categorical columns.
        units: The width of the output.
        sparse_combiner: How the ids of a multivalent categorical column combine: "sum", "mean" or
            "sqrtn".

    Shape:
        - output: [batch, units]

    Raises:
        ValueError: There are no columns, two of one name, or something that is not a column.

    >>> from torchest import columns
    >>> linear = columns.LinearFeatures([columns.numeric_column("x")])
    >>> linear({"x": torch.tensor([1.0, 2.0])}).shape
    torch.Size([2, 1])
    """

    bias: Tensor

    def __init__(
        self, feature_columns: Iterable[FeatureColumn], units: int = 1, sparse_combiner: str = "sum"
    ) -> None:
        super().__init__()
        self._columns = in_order(feature_columns, "feature_columns")
        self.bias = nn.Parameter(torch.zeros(units))
        for column in self._columns:
            part: nn.Module
            if isinstance(column, CategoricalColumn):
                part = Table(column.num_buckets, units, sparse_combiner)
            elif isinstance(column, DenseColumn):
                part = _Weights(column.width, units)
            else:
                raise ValueError(
                    f"feature_columns: {column.name!r} is a {type(column).__name__}; a linear model takes dense and "
                    "categorical columns."
                )
            # add_module refuses names such as 'type' and 'a.b', which are fine for a column
            self._modules[column.name] = part

    def forward(self, features: Mapping[str, Any]) -> Tensor:
        """Features by key to [batch, units]."""
        batch = Features.of(features)
        logits = self._parameters["bias"]
        for column in self._columns:
            logits = logits + self._modules[column.name](batch.encoded(column))  # type: ignore[misc]
        assert logits is not None
        return logits


class _Weights(nn.Module):
    """The weights of a dense column: [width, units]."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, units))

    def forward(self, values: Tensor | Ids) -> Tensor:
        assert isinstance(values, Tensor)
        return values.to(self.weight.dtype) @ self.weight


def in_order(columns: Iterable[FeatureColumn], argument: str) -> list[FeatureColumn]:
    """Columns in the order of their names, which is the order of outputs and does not depend on the user's.

    Args:
        columns: What the user gave.
        argument: The name of the argument that the user gave it as.

    Raises:
        ValueError: There are none, two have one name, or one is not a column.
    """
    listed = [columns] if isinstance(columns, FeatureColumn) else list(columns or ())
    if not listed:
        raise ValueError(
            f"{argument} is empty: give at least one column, such as columns.numeric_column('age')."
        )
    for column in listed:
        if not isinstance(column, FeatureColumn):
            raise ValueError(
                f"{argument} has {column!r}, a {type(column).__name__}: every item must be a column, such as "
                "columns.numeric_column('age')."
            )
    names = sorted(column.name for column in listed)
    for name, following in itertools.pairwise(names):
        if name == following:
            raise ValueError(f"{argument} has two columns called {name!r}: leave one of them out.")
    return sorted(listed, key=lambda column: column.name)
