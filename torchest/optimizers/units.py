"""What an optimizer updates at once: a parameter, or all that share one storage, with their state."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchest.optimizers import row_gradients
from torchest.optimizers.shared_storage import join, joined, new_empty, storage_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Slots = dict[str, Tensor]


class Unit:
    """Parameters that are updated as one tensor.

    Args:
        whole: The tensor, which may be the only parameter.
        members: The parameters, in their order in it.
        state: The optimizer's, by parameter.

    Attributes:
        whole: The tensor.
        members: The parameters.
        step: The number of the step of these parameters that was counted last.
    """

    def __init__(
        self, whole: Tensor, members: Sequence[Tensor], state: Mapping[Tensor, dict[str, Any]]
    ) -> None:
        self.whole = whole
        self.members = members
        self._states = [state[member] for member in members]
        self._slots: dict[str, _Joined] = {}
        self.step: int = self._states[0].get("step", 0)

    def count(self) -> None:
        """Counts one more step."""
        for state in self._states:
            self.step = state["step"] = state.get("step", 0) + 1

    def is_in_step(self) -> bool:
        """Whether all parameters are at the same step."""
        first = self._states[0].get("step", 0)
        return all(state.get("step", 0) == first for state in self._states)

    def slots(self, initial: Mapping[str, float]) -> Slots:
        """The slots by name, in the shape of the tensor; those that are not there yet are made.

        They come to lie one after the other, so that they are one tensor too.

        Args:
            initial: What new ones are filled with.
        """
        if len(self._states) == 1 and self._states[0].keys() >= initial.keys():
            state = self._states[0]
            return {name: state[name] for name in initial}
        return {name: self._joined(name, value) for name, value in initial.items()}

    def _joined(self, name: str, initial: float) -> Tensor:
        """The slots of this name of the parameters as one."""
        parts = [state.get(name) for state in self._states]
        known = self._slots.get(name)
        if known is None or not known.consists_of(parts):
            whole = self._join(name, parts, initial)
            known = self._slots[name] = _Joined([state[name] for state in self._states], whole)
        return known.whole

    def _join(self, name: str, parts: list[Tensor | None], initial: float) -> Tensor:
        """Makes one of parts; None is what is not there yet."""
        shape = self.whole.shape
        whole = parts[0] if len(parts) == 1 else joined(parts)
        if whole is None:
            whole = _filled(self.members[0], shape, initial)
            views = [whole] if len(parts) == 1 else join(parts, self.members, whole)
            for state, view in zip(self._states, views, strict=True):
                state[name] = view
        return whole.view(shape)


class _Joined:
    """The slots of several parameters, one after the other in memory, and all of them as one tensor."""

    def __init__(self, parts: list[Tensor], whole: Tensor) -> None:
        self.whole = whole
        self._parts = parts
        self._addresses = list(map(Tensor.data_ptr, parts))

    def consists_of(self, parts: Sequence[Tensor | None]) -> bool:
        """Whether these are the parts, where they were."""
        are_same = all(map(operator.is_, parts, self._parts))
        return are_same and list(map(Tensor.data_ptr, self._parts)) == self._addresses


def units_of(holder: Tensor, state: Mapping[Tensor, dict[str, Any]]) -> tuple[Unit, Sequence[Unit]]:
    """The unit of a holder of row gradients, and those of its parameters one by one."""
    shared = storage_of(holder)
    if shared is None or holder is not shared.tensor:
        unit = Unit(holder, [holder], state)
        return unit, [unit]
    one_by_one = [Unit(member, [member], state) for member in shared.members]
    return Unit(holder, shared.members, state), one_by_one


def is_updated_at_once(unit: Unit) -> bool:
    """Whether the parameters of a unit are in the same state, with gradients of rows of all of them."""
    shared = storage_of(unit.whole)
    if shared is None or len(unit.members) == 1:
        return True
    is_mixed = any(member.grad is not None for member in unit.members)
    return not is_mixed and unit.is_in_step() and row_gradients.reaches_all(shared)


def _filled(parameter: Tensor, shape: torch.Size, value: float) -> Tensor:
    if shape == parameter.shape and (
        parameter.device.type != "cpu" or not parameter.is_contiguous()
    ):
        return torch.full_like(parameter, value)
    return new_empty(parameter, shape).fill_(value)
