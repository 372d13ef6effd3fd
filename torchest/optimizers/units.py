"""What an optimizer updates at once: a parameter, all that share one storage, or several small ones."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest.optimizers import row_gradients
from torchest.optimizers.shared_storage import can_share, join, joined, new_empty, storage_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

Slots = dict[str, Tensor]
SMALL = 1 << 18  # elements; updating so many takes hardly longer than the calls that it is made of


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
        are_same = are_same and all(map(Tensor.is_contiguous, self._parts))
        return are_same and list(map(Tensor.data_ptr, self._parts)) == self._addresses


class Bundle:
    """Units that are updated in one go: of one dtype, on one device, in the same step.

    Args:
        units: The units; only one if it is not small.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = units
        self._weights = [unit.whole for unit in units]
        self._memory: list[int] = []
        self._addresses = self._sizes = np.empty(0, np.int64)

    def gradients(self) -> list[Tensor]:
        """The dense gradients, in the order of the units."""
        return list(map(_dense_gradient, self._weights))

    def in_memory(
        self, initial: Mapping[str, float]
    ) -> tuple[list[Tensor], npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
        """What compiled loops over vectors take; see `torchest.kernels.updates`.

        Args:
            initial: What slots that are not there yet are filled with.

        Returns:
            The tensors, their addresses and their sizes; None if such loops cannot take them.
        """
        parts = [
            part for unit in self.units for part in (unit.whole, *unit.slots(initial).values())
        ]
        gradients = self.gradients()
        tensors = [*parts, *gradients]
        if not row_gradients.suit_loops(tensors):
            return None
        memory = [*map(Tensor.data_ptr, parts), *map(Tensor.numel, parts)]
        if memory != self._memory:
            of_parts, sizes = np.array(memory).reshape(2, len(self.units), -1)
            if (sizes != sizes[:, :1]).any():
                return None
            self._memory = memory
            self._addresses = np.concatenate([np.zeros_like(of_parts[:, :1]), of_parts], 1)
            self._sizes = np.ascontiguousarray(sizes[:, 0])
        if list(map(Tensor.numel, gradients)) != self._sizes.tolist():
            return None
        self._addresses[:, 0] = list(map(Tensor.data_ptr, gradients))
        return tensors, self._addresses, self._sizes


class Bundles:
    """The bundles of the units of a group that have dense gradients in a step.

    Args:
        units: The units.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units = list(units)
        self._weights = [unit.whole for unit in units]
        self._memory = self._where()
        alike: dict[Any, list[Unit]] = {}
        for unit in units:
            weight = unit.whole
            is_small = weight.numel() <= SMALL and can_share(weight)
            kind = (unit.step, weight.dtype, weight.device)
            alike.setdefault(kind if is_small else id(unit), []).append(unit)
        self.all = [Bundle(members) for members in alike.values()]

    def are_of(self, units: Sequence[Unit]) -> bool:
        """Whether these bundles are those of some units in the step that they are in now."""
        return (
            units == self._units
            and self._where() == self._memory
            and len({unit.step for unit in units}) == 1
        )

    def _where(self) -> list[Any]:
        """Addresses, sizes and dtypes, which change where a parameter is given other data."""
        weights = self._weights
        return [
            *map(Tensor.data_ptr, weights),
            *map(Tensor.numel, weights),
            *map(row_gradients.dtype_of, weights),
        ]


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
    if shared is None:
        return True
    is_mixed = any(member.grad is not None for member in unit.members)
    return not is_mixed and unit.is_in_step() and row_gradients.reaches_all(shared)


def _filled(parameter: Tensor, shape: torch.Size, value: float) -> Tensor:
    if shape == parameter.shape and (
        parameter.device.type != "cpu" or not parameter.is_contiguous()
    ):
        return torch.full_like(parameter, value)
    return new_empty(parameter, shape).fill_(value)


def _dense_gradient(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    assert gradient is not None
    return gradient.to_dense() if gradient.is_sparse else gradient
