"""Values of a training step besides its loss: learning rates, and the norm of the gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from torchest.optimizers import row_gradients
from torchest.optimizers.base import RowOptimizer
from torchest.optimizers.common_options import rate_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch
    from torch import Tensor

GRADIENT_NORM = "gradient_norm"
LEARNING_RATE = "learning_rate"


class StepValues(Mapping[str, object]):
    """The values of a step by name.

    Args:
        own: Those of the step itself.
        others: Makes the others when one of them is asked for.
    """

    def __init__(
        self, own: Mapping[str, object], others: Callable[[], Mapping[str, object]]
    ) -> None:
        self._own = own
        self._others = others

    def __getitem__(self, name: str) -> object:
        return self._own[name] if name in self._own else self._others()[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._others(), **self._own})

    def __len__(self) -> int:
        return len({**self._others(), **self._own})


def learning_rates(optimizers: Mapping[str, torch.optim.Optimizer]) -> dict[str, np.float32]:
    """The learning rates of the next step, by the names that hooks fetch.

    Args:
        optimizers: By name.

    Returns:
        `<optimizer>.learning_rate` of each optimizer that has one, from its first parameter group; also
        `learning_rate` if there is only one.
    """
    rates = {
        f"{name}.{LEARNING_RATE}": _learning_rate(each)
        for name, each in optimizers.items()
        if "lr" in each.param_groups[0]
    }
    if len(rates) == 1:
        rates[LEARNING_RATE] = next(iter(rates.values()))
    return rates


def _learning_rate(optimizer: torch.optim.Optimizer) -> np.float32:
    group = optimizer.param_groups[0]
    rate = group["lr"]
    if isinstance(optimizer, RowOptimizer):  # it may depend on the number of steps
        rate = rate_of(group, optimizer.state[group["params"][0]].get("step", 0) + 1)
    as_numpy: np.float32 = np.float32(rate)
    return as_numpy


def gradient_norm(
    parameters: Iterable[Tensor], tables: Mapping[int, Sequence[slice]] | None = None
) -> Tensor:
    """The global norm of the gradients of parameters, including gradients of rows.

    Args:
        parameters: The parameters; repeated ones count once.
        tables: For a parameter that tables share, the rows of each table, by the `id` of the parameter. The last digits
            of a norm depend on how its terms are grouped.

    Returns:
        A scalar; 0 if there is no gradient.
    """
    distinct = list({id(parameter): parameter for parameter in parameters}.values())
    dense: list[Tensor] = []
    for parameter in distinct:
        if parameter.grad is not None:
            row_gradients.densify(parameter)  # the two are one gradient
            entries = _entries(parameter.grad)
            of_tables = (tables or {}).get(id(parameter))
            dense.extend([entries] if of_tables is None else [entries[rows] for rows in of_tables])
    rows = [row_gradients.summed(parameter) for parameter in distinct]
    return get_total_norm(
        [*dense, *(row_gradients.once(part) for part in rows if part is not None)]
    )


def clip_gradients(parameters: Iterable[Tensor], clip_norm: float, norm: Tensor) -> None:
    """Scales gradients in place so that their global norm is at most `clip_norm`.

    Like `torch.nn.utils.clip_grad_norm_`, including row gradients.

    Args:
        parameters: The parameters.
        clip_norm: The largest norm.
        norm: `gradient_norm(parameters)`.
    """
    distinct = list({id(parameter): parameter for parameter in parameters}.values())
    clip_grads_with_norm_(distinct, clip_norm, norm)
    factor = _factor(clip_norm, norm)
    for parameter in distinct:
        parts = row_gradients.pending(parameter)
        parts[:] = [
            dataclasses.replace(part, values=part.values * factor.to(part.values)) for part in parts
        ]


def clip_each(parameter: Tensor, parts: Iterable[slice], clip_norm: float) -> None:
    """Scales the gradients of parts of a parameter so that the norm of each of them is at most `clip_norm`.

    Args:
        parameter: The parameter, [rows, width].
        parts: Rows that are clipped together.
        clip_norm: The limit.
    """
    if parameter.grad is not None:
        row_gradients.densify(parameter)
        for part in parts:
            gradient = parameter.grad[part]
            gradient.mul_(_factor(clip_norm, get_total_norm([gradient])))
        return
    summed = row_gradients.summed(parameter)
    if summed is None:
        return
    values = summed.values.clone()
    for part in parts:
        is_inside = (summed.rows >= part.start) & (summed.rows < part.stop)
        gradient = values[is_inside]
        values[is_inside] = gradient * _factor(clip_norm, get_total_norm([gradient]))
    row_gradients.pending(parameter)[:] = [dataclasses.replace(summed, values=values)]


def _factor(clip_norm: float, norm: Tensor) -> Tensor:
    """The factor for gradients of a given norm, as in torch."""
    return (clip_norm / (norm + 1e-6)).clamp(max=1.0)


def _entries(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient
