"""Which parameters with dense gradients are updated in one go, and where a compiled loop finds them in memory."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from torchest.optimizers import row_gradients
from torchest.optimizers.shared_storage import can_share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from torchest.optimizers.units import Unit

SMALL = 1 << 18  # elements; updating so many takes hardly longer than the calls that it is made of


class Bundle:
    """Units that are updated in one go: of one dtype, on one device, in the same step.

    Args:
        units: The units; only one if it is not small.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = units
        self._weights = [unit.whole for unit in units]
        self._parts: list[Tensor] = []
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
        is_known = len(parts) == len(self._parts) and all(map(operator.is_, parts, self._parts))
        memory = [*map(Tensor.data_ptr, parts), *map(Tensor.numel, parts)]
        if not is_known or memory != self._memory:
            if not row_gradients.suit_loops(parts):
                return None
            self._parts, self._memory = parts, memory
            of_parts = np.array(memory[: len(parts)]).reshape(len(self.units), -1)
            self._addresses = np.concatenate([np.zeros_like(of_parts[:, :1]), of_parts], 1)
            self._sizes = np.array(list(map(Tensor.numel, self._weights)))
        if not row_gradients.suit_loops([parts[0], *gradients]):
            return None
        self._addresses[:, 0] = list(map(Tensor.data_ptr, gradients))
        return [*parts, *gradients], self._addresses, self._sizes


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

    def _where(self) -> list[int]:
        """Addresses and sizes, of which another dtype, device or shape has others."""
        return [*map(Tensor.data_ptr, self._weights), *map(Tensor.numel, self._weights)]


def _dense_gradient(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    assert gradient is not None
    return gradient.to_dense() if gradient.is_sparse else gradient
