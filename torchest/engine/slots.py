"""Joins optimizer slots, which a checkpoint has for each table, for the parameter that the tables share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchest.optimizers.base import RowOptimizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def whole_slots(
    optimizer: torch.optim.Optimizer,
    group: Mapping[str, object],
    parameter: Tensor,
    kept: Sequence[tuple[slice | None, Mapping[str, object]]],
) -> dict[str, Any]:
    """The slots of a parameter.

    Args:
        optimizer: The optimizer.
        group: The group of the parameter.
        parameter: The parameter.
        kept: The slots by name, for some of its rows or (None) all of them. Rows without slots get new ones.
    """
    if [rows for rows, _ in kept] == [None]:
        return dict(kept[0][1])
    state: dict[str, Any] = {}
    for rows, slots in kept:
        assert rows is not None
        for name, value in slots.items():
            if isinstance(value, Tensor) and value.shape[:1] == (rows.stop - rows.start,):
                if name not in state:
                    state[name] = new_slot(optimizer, group, parameter, name, value)
                state[name][rows] = value
            else:
                state[name] = later(state.get(name), value)
    return state


def new_slot(
    optimizer: torch.optim.Optimizer,
    group: Mapping[str, object],
    parameter: Tensor,
    name: str,
    like: Tensor,
) -> Tensor:
    """A slot as the optimizer initialises it for a new parameter; zeros if it initialises it only in its first step."""
    if isinstance(optimizer, RowOptimizer):
        optimizer.slots(parameter, group)
    made = optimizer.state.get(parameter, {}).get(name)
    shape = (len(parameter), *like.shape[1:])
    if isinstance(made, Tensor) and made.shape == shape and made.dtype == like.dtype:
        return made
    return torch.zeros(shape, dtype=like.dtype, device=parameter.device)


def later(one: object, other: object) -> Any:
    """The larger of two step counts. Tables that share a parameter have the same count."""
    numbers = (int, float, Tensor)
    if isinstance(one, numbers) and isinstance(other, numbers):
        return one if one > other else other
    return other
