"""Joins optimizer slots, which a checkpoint has for each table, for the parameter that the tables share."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.optimizers.base import RowOptimizer
from torchest.optimizers.row_gradients import new_empty

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeGuard


def whole_slots(
    optimizer: torch.optim.Optimizer,
    group: Mapping[str, object],
    parameter: Tensor,
    kept: Sequence[tuple[slice | None, Mapping[str, object]]],
) -> dict[str, object]:
    """The slots of a parameter.

    Args:
        optimizer: The optimizer.
        group: The group of the parameter.
        parameter: The parameter.
        kept: The slots by name, for some of its rows or (None) all of them. Rows without slots get new ones.

    Returns:
        Copies of the slots.
    """
    if [rows for rows, _ in kept] == [None]:
        return {name: _copy(value) for name, value in kept[0][1].items()}
    state: dict[str, object] = {}
    for name in dict.fromkeys(name for _, slots in kept for name in slots):
        values = [(rows, slots[name]) for rows, slots in kept if rows is not None and name in slots]
        of_rows = [(rows, value) for rows, value in values if is_of_rows(value, rows)]
        if len(of_rows) < len(values):
            state[name] = _copy(functools.reduce(later, [value for _, value in values]))
            continue
        first = of_rows[0][1]
        if sum(len(value) for _, value in of_rows) == len(parameter):
            like = torch.empty(0, dtype=first.dtype, device=parameter.device)
            whole = new_empty(like, [len(parameter), *first.shape[1:]])
        else:
            whole = new_slot(optimizer, group, parameter, name, first)
        state[name] = whole
        for rows, value in of_rows:
            whole[rows] = value
    return state


def _copy(value: object) -> object:
    """A copy of a tensor; other values as they are."""
    if not isinstance(value, Tensor):
        return value
    return new_empty(value, value.shape).copy_(value)


def is_of_rows(value: object, rows: slice) -> TypeGuard[Tensor]:
    """Whether a slot of some rows of a parameter has a value for each of them."""
    return isinstance(value, Tensor) and value.shape[:1] == (rows.stop - rows.start,)


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


def later(one: object, other: object) -> object:
    """The larger of two step counts, which tables that share a parameter have in common; of other values the second."""
    return one if _is_number(one) and _is_number(other) and one > other else other


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) or (isinstance(value, Tensor) and value.numel() == 1)
