"""What the optimizers of torchest share: one formula for whole parameters and for some rows of a table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchest.optimizers import row_gradients

if TYPE_CHECKING:
    from torchest.optimizers.row_gradients import RowGradient

Slots = dict[str, Tensor]
Options = Mapping[str, Any]
LearningRate = float | Callable[[int], float]


class RowOptimizer(torch.optim.Optimizer):
    """An optimizer that updates parameters from dense gradients and from gradients of rows.

    A subclass names its slots in `_initial_slots` and writes its formula once, in `_update`. For gradients of
    rows the formula runs on those rows of the parameter and of its slots; no other row is read or
    written, unless a subclass says so. A parameter that has both kinds of gradient in one step gets one
    dense gradient of the two.

    The state of a parameter is its slots, made at the first update that needs them, and `step`, the number of steps so
    far, which schedules and bias corrections count on. A step in which the parameter had no gradient
    counts too.

    Args:
        params: Parameters, or dicts of groups of them, as for any `torch.optim.Optimizer`.
        defaults: Options by name. `lr` is a number, or a function of the number of steps so far.
    """

    takes_row_gradients = True

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self._require(
            lambda lr: callable(lr) or lr >= 0,
            "lr",
            defaults["lr"],
            "at least 0, or a function of the step",
        )
        super().__init__(params, defaults)

    @abstractmethod
    def _initial_slots(self, options: Options) -> dict[str, float]:
        """The slots that a parameter has, by name: tensors of its shape that are filled with this at first."""

    @abstractmethod
    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        """Updates weight and slots in place; leaves the gradient as it is.

        Args:
            weight: A parameter, or rows of one.
            gradient: Of the weight's shape.
            slots: Of the weight's shape.
            lr: The learning rate of this step.
            options: The options of the parameter's group, and `step`, which is 1 in the first step.
        """

    def _age(self, slots: Slots, options: Options) -> None:
        """What happens in place to the slots of all rows that a batch did not use; nothing by default.

        The slots of the rows that it used are written after this.
        """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient.

        Args:
            closure: Computes the loss and its gradients first, as in `torch.optim`.

        Returns:
            What `closure` returned.
        """
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                self._step_parameter(parameter, group)
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters, those of rows too."""
        super().zero_grad(set_to_none)
        for group in self.param_groups:
            row_gradients.clear(group["params"])

    def _step_parameter(self, parameter: Tensor, group: Options) -> None:
        state = self.state[parameter]
        steps_before = state.get("step", 0)
        state["step"] = steps_before + 1
        if parameter.grad is not None:
            row_gradients.densify(parameter)
        rows = row_gradients.summed(parameter)
        if parameter.grad is None and rows is None:
            return
        initial = self._initial_slots(group)
        for name, value in initial.items():
            if name not in state:  # the first update, or an option that is new to a restored state
                state[name] = torch.full_like(parameter, value)
        slots = {name: state[name] for name in initial}
        lr = group["lr"](steps_before) if callable(group["lr"]) else group["lr"]
        options = {**group, "step": state["step"]}
        if rows is not None:
            self._update_rows(parameter, rows, slots, lr, options)
        elif parameter.grad is not None:
            gradient = parameter.grad
            gradient = gradient.to_dense() if gradient.is_sparse else gradient
            self._update(parameter, gradient, slots, lr, options)

    def _update_rows(
        self, parameter: Tensor, gradient: RowGradient, slots: Slots, lr: float, options: Options
    ) -> None:
        """Updates the rows of a gradient, in which each row occurs once."""
        rows = gradient.rows
        weight = parameter.index_select(0, rows)
        slots_of_rows = {name: slot.index_select(0, rows) for name, slot in slots.items()}
        self._age(slots, options)
        self._update(weight, gradient.values, slots_of_rows, lr, options)
        parameter.index_copy_(0, rows, weight)
        for name, slot in slots_of_rows.items():
            slots[name].index_copy_(0, rows, slot)

    def _require(self, holds: Callable[[Any], bool], name: str, value: Any, expected: str) -> None:
        try:
            if holds(value):
                return
        except TypeError:  # not a number
            pass
        raise ValueError(f"{type(self).__name__}: {name}={value!r} must be {expected}.")
