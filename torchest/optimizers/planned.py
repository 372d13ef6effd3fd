"""Steps of an optimizer of torchest whose parameters, slots and memory are bound once."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest.optimizers.adagrad import Adagrad
from torchest.optimizers.adam import Adam
from torchest.optimizers.base import RowOptimizer
from torchest.optimizers.clipping import Limits
from torchest.optimizers.common_options import rate_of
from torchest.optimizers.ftrl import Ftrl
from torchest.optimizers.row_gradients import suit_loops
from torchest.optimizers.sgd import SGD

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from torchest.optimizers.base import Loops

    Floats = npt.NDArray[np.float32]
    Int64s = npt.NDArray[np.int64]

_KINDS = (Ftrl, Adagrad, SGD, Adam)
_NUMBERS = (int, float, bool, type(None))


class PlannedUpdate:
    """The update of all parameters of an optimizer by compiled loops, float32 on the CPU.

    Call `begin`, and then, if it returned True, `finish`.

    Args:
        optimizer: See `plan_update`.
        dense: Parameters with a gradient in `gradients`.
        tables: Parameters with gradients of rows.

    Attributes:
        gradients: The gradients of the dense parameters, one after another: float32 [number of their elements]. The
            caller fills it before `finish`.
    """

    def __init__(
        self, optimizer: RowOptimizer, dense: Sequence[Tensor], tables: Sequence[Tensor]
    ) -> None:
        self._optimizer = optimizer
        self._dense, self._tables = tuple(dense), tuple(tables)
        self.gradients: Floats = np.zeros(sum(map(Tensor.numel, dense)), np.float32)
        self._group: dict[str, Any] = {}  # when the numbers of the loops were computed
        self._loops: Loops | None = None
        self._numbers: tuple[np.float32, ...] = ()
        self._is_bound = self._has_failed = False
        self._step = 0

    def begin(self) -> bool:
        """Finds the options of the next step; nothing but missing slots is changed.

        Returns:
            False if the optimizer itself has to make the step.
        """
        groups = self._optimizer.param_groups
        if self._has_failed or len(groups) != 1:
            return False
        group = groups[0]
        if not self._is_bound:
            self._bind(group)
        self._step = self._states[0].get("step", 0) + 1
        if self._has_fixed_numbers and group == self._group:
            return True
        self._find_numbers(group)
        return self._loops is not None

    def finish(self, gradients: Sequence[tuple[Int64s, Floats]]) -> None:
        """Updates the parameters and their slots, and counts the step.

        Args:
            gradients: For each table, the distinct rows [n], and their gradients [n, dimension].
        """
        loops, numbers = self._loops, self._numbers
        assert loops is not None
        for state in self._states:
            state["step"] = self._step
        if len(self._sizes):
            loops.of_vectors(self._addresses, self._sizes, *numbers)
        before_change = self._optimizer.before_change
        if before_change is not None:
            for (rows, _), parameter in zip(gradients, self._tables, strict=True):
                before_change(parameter, rows)
        for (rows, values), table in zip(gradients, self._arrays, strict=True):
            loops.of_rows(rows, values, *table, *numbers)
        torch.autograd.graph.increment_version(self._tensors)

    def show_gradients(self) -> None:
        """Leaves the last gradients of the dense parameters in their `grad`, as autograd does."""
        gradients = torch.split(torch.from_numpy(self.gradients.copy()), self._sizes.tolist())
        for parameter, gradient in zip(self._dense, gradients, strict=True):
            parameter.grad = gradient.view_as(parameter)

    def holds(self) -> bool:
        """Whether the optimizer has the parameters and slots that were bound, in the same step, and no hooks."""
        if not self._is_bound:
            return True
        tensors = [*self._dense, *self._tables]
        optimizer = self._optimizer
        same = [optimizer.state.get(each) for each in tensors]
        if not all(map(_is, same, self._states)) or not _is_plain(optimizer):
            return False
        if not all(map(_is_trained, tensors)) or len(self._steps()) != 1:
            return False
        slots = [state[name] for state in self._states for name in self._names]
        current = [*tensors, *slots]
        return (
            all(map(_is, current, self._tensors))
            and list(map(Tensor.data_ptr, current)) == self._memory
        )

    def _bind(self, group: dict[str, Any]) -> None:
        """Finds the slots, and makes missing ones as the first step of the optimizer does."""
        tensors = [*self._dense, *self._tables]
        optimizer = self._optimizer
        slots_of_each = [optimizer.slots(tensor, group) for tensor in tensors]
        self._states = [optimizer.state[tensor] for tensor in tensors]
        self._names = list(slots_of_each[0])
        slots = [slots_of[name] for slots_of in slots_of_each for name in self._names]
        self._tensors = [*tensors, *slots]
        shapes = [tensor.shape for tensor in tensors for _ in self._names]
        fit = [slot.shape for slot in slots] == shapes and suit_loops(self._tensors)
        self._has_failed = not fit or len(self._steps()) != 1
        self._has_fixed_numbers = False
        self._is_bound = True
        if self._has_failed:
            return
        self._memory = list(map(Tensor.data_ptr, self._tensors))
        first = len(self._dense)
        self._arrays = [
            [each.detach().numpy() for each in (table, *slots_of.values())]
            for table, slots_of in zip(self._tables, slots_of_each[first:], strict=True)
        ]
        self._sizes = np.array(list(map(Tensor.numel, self._dense)), np.int64)
        begins = itertools.accumulate(self._sizes[:-1].tolist(), initial=0)
        start = self.gradients.ctypes.data
        self._addresses = np.array(
            [
                [start + 4 * begin, weight.data_ptr(), *map(Tensor.data_ptr, slots_of.values())]
                for begin, weight, slots_of in zip(begins, self._dense, slots_of_each, strict=False)
            ],
            np.int64,
        )

    def _steps(self) -> set[int]:
        """The counts of steps of all parameters: one, unless a hook or a checkpoint brought others."""
        return {state.get("step", 0) for state in self._states}

    def _find_numbers(self, group: dict[str, Any]) -> None:
        """Finds the loops and their numbers for the options of this step."""
        optimizer, lr_of_step = self._optimizer, rate_of(group, self._step)
        self._loops = None
        if list(optimizer._initial_slots(group)) != self._names or not _is_supported(
            optimizer, group, self._tables
        ):
            return
        loops = optimizer._loops(lr_of_step, {**group, "step": self._step, "lr": lr_of_step})
        if loops is None:
            return
        self._loops, self._numbers = loops, tuple(map(np.float32, loops.numbers))
        options = {name: value for name, value in group.items() if name != "params"}
        depend_on_step = loops.depend_on_step or group.get("decay") is not None
        self._has_fixed_numbers = not depend_on_step and all(
            type(value) in _NUMBERS for value in options.values()
        )
        self._group = dict(group)


def plan_update(
    optimizer: object, dense: Sequence[Tensor], tables: Sequence[Tensor]
) -> PlannedUpdate | None:
    """Plans the steps of an optimizer.

    Args:
        optimizer: The optimizer.
        dense: Its parameters with dense gradients.
        tables: Its other parameters, which have gradients of rows.

    Returns:
        None if the optimizer is another one than Ftrl, Adagrad, SGD and Adam of torchest, has hooks or other
        parameters, clips gradients, or updates more rows of a table than a batch uses.
    """
    parameters = [*dense, *tables]
    if not isinstance(optimizer, RowOptimizer) or type(optimizer) not in _KINDS:
        return None
    groups = optimizer.param_groups
    if not _is_plain(optimizer) or len(groups) != 1 or not parameters:
        return None
    own = [*map(id, groups[0]["params"])]
    if sorted(own) != sorted(map(id, parameters)) or not suit_loops(parameters):
        return None
    if parameters[0].dtype != torch.float32 or not all(map(_is_trained, parameters)):
        return None
    if not _is_supported(optimizer, groups[0], tables):
        return None
    return PlannedUpdate(optimizer, dense, tables)


def _is_supported(optimizer: RowOptimizer, group: dict[str, Any], tables: Sequence[Tensor]) -> bool:
    """Whether a step updates only the rows of tables that a batch uses, by their gradients as they are."""
    is_lazy = not tables or not isinstance(optimizer, Adam) or bool(group["lazy"])
    return is_lazy and Limits.of(group).are_none


def _is_plain(optimizer: RowOptimizer) -> bool:
    """Whether nothing but the optimizer itself runs in its steps, such as a scheduler."""
    hooks = (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)
    return not any(hooks) and "step" not in vars(optimizer)


def _is_trained(parameter: Tensor) -> bool:
    """Whether a parameter gets a gradient, which no hook sees."""
    hooks = (parameter._backward_hooks, getattr(parameter, "_post_accumulate_grad_hooks", None))
    return parameter.requires_grad and not any(hooks)


def _is(one: object, other: object) -> bool:
    return one is other
