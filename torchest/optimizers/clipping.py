"""Clips the gradient of each parameter, as Keras's optimizers do."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import torch

from torchest.optimizers.row_gradients import once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from torch import Tensor

    from torchest.optimizers.row_gradients import RowGradient


class Limits(NamedTuple):
    """Limits of gradients; see `CommonOptions`."""

    norm: float | None
    value: float | None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Limits:
        """The limits in the options of a parameter group."""
        return cls(options.get("clipnorm"), options.get("clipvalue"))

    @property
    def are_none(self) -> bool:
        """Whether gradients stay as they are."""
        return self.norm is None and self.value is None

    def clip(self, gradient: Tensor, tables: Sequence[slice]) -> Tensor:
        """A gradient within the limits.

        Args:
            gradient: Of a whole parameter.
            tables: The rows of each table in the parameter, in order; the norm of each is limited. Empty: the
                parameter is one.
        """
        if self.value is not None:
            gradient = gradient.clamp(-self.value, self.value)
        if self.norm is None:
            return gradient
        if len(tables) < 2:
            return gradient * _factor(self.norm, gradient)
        parts = [gradient[rows] for rows in tables]
        return torch.cat([part * _factor(self.norm, part) for part in parts])

    def clip_rows(self, gradient: RowGradient, tables: Sequence[slice]) -> RowGradient:
        """The gradient of some rows within the limits; for the arguments see `clip`."""
        if self.are_none:
            return gradient
        values = gradient.values
        if self.value is not None:
            values = values.clamp(-self.value, self.value)
        if self.norm is not None:
            distinct = once(dataclasses.replace(gradient, values=values))
            values = values * self._factors(gradient.rows, distinct, tables)
        return dataclasses.replace(gradient, values=values)

    def _factors(self, rows: Tensor, distinct: Tensor, tables: Sequence[slice]) -> Tensor:
        """The factor of each row, [n, 1]."""
        assert self.norm is not None
        if len(tables) < 2:
            return _factor(self.norm, distinct)
        starts = torch.tensor([table.start for table in tables[1:]], device=rows.device)
        table = torch.searchsorted(starts, rows, right=True)
        squares = distinct.new_zeros(len(tables)).index_add_(0, table, distinct.square().sum(1))
        return _factor_of(self.norm, squares.sqrt())[table].unsqueeze(1)


def _factor(limit: float, gradient: Tensor) -> Tensor:
    return _factor_of(limit, torch.linalg.vector_norm(gradient))


def _factor_of(limit: float, norm: Tensor) -> Tensor:
    return limit / norm.clamp_min(limit)
