"""Parameters with dense gradients. Small ones share one call, as calls dominate a step of a small model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from torchest.optimizers.row_gradients import new_empty, suit_loops

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import numpy.typing as npt

Slots = dict[str, Tensor]
_SMALL = 1 << 18  # elements; updating so many takes hardly longer than the calls that it is made of


class Dense(NamedTuple):
    """Parameters to update at once, each with its gradient and its slots."""

    weights: Sequence[Tensor]
    gradients: Sequence[Tensor]
    slots: Sequence[Slots]

    @property
    def is_small(self) -> bool:
        """Whether every parameter is small."""
        return self.weights[0].numel() <= _SMALL

    @property
    def slots_by_name(self) -> dict[str, list[Tensor]]:
        """The slots of all parameters of each name."""
        return {name: [each[name] for each in self.slots] for name in self.slots[0]}

    def memory(
        self,
    ) -> tuple[list[Tensor], npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
        """The arguments of compiled loops over vectors; see `torchest.kernels.updates`.

        Returns:
            The tensors, their addresses and their sizes; None if the loops do not support them.
        """
        kinds = [self.gradients, self.weights, *self.slots_by_name.values()]
        tensors = [tensor for kind in kinds for tensor in kind]
        sizes = list(map(Tensor.numel, self.weights))
        if not suit_loops(tensors) or list(map(Tensor.numel, tensors)) != sizes * len(kinds):
            return None
        addresses = np.array(list(map(Tensor.data_ptr, tensors))).reshape(len(kinds), -1)
        return tensors, np.ascontiguousarray(addresses.T), np.array(sizes)

    def joined(self) -> tuple[Tensor, Tensor, Slots]:
        """Concatenates the parameters, the gradients and each slot into vectors."""
        slots = {name: _joined(tensors) for name, tensors in self.slots_by_name.items()}
        return _joined(self.weights), _joined(self.gradients), slots

    def copy_from(self, weights: Tensor, slots: Slots) -> None:
        """Copies the vectors of `joined`, after an update, back into the parameters and slots."""
        by_name = self.slots_by_name
        for tensors, vector in ((self.weights, weights), *((by_name[n], slots[n]) for n in slots)):
            views = _unflatten_dense_tensors(vector, tensors)  # type: ignore[no-untyped-call]
            torch._foreach_copy_(list(tensors), views)


def updated_at_once(parameters: Iterable[Tensor]) -> Collection[list[Tensor]]:
    """Groups parameters: small ones of one dtype and device together, each large one alone."""
    groups: dict[object, list[Tensor]] = {}
    for parameter in parameters:
        device = parameter.device
        is_alone = parameter.numel() > _SMALL or device.type not in ("cpu", "cuda")
        key = id(parameter) if is_alone else (parameter.dtype, device)
        groups.setdefault(key, []).append(parameter)
    return groups.values()


def filled(parameter: Tensor, value: float) -> Tensor:
    """A new slot of the shape of a parameter."""
    if parameter.device.type != "cpu" or not parameter.is_contiguous():
        return torch.full_like(parameter, value)
    return new_empty(parameter, parameter.shape).fill_(value)


def dense_gradient(parameter: Tensor) -> Tensor:
    """The gradient of a parameter that has one."""
    gradient = parameter.grad
    assert gradient is not None
    return gradient.to_dense() if gradient.is_sparse else gradient


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    vector: Tensor = _flatten_dense_tensors(tensors)  # type: ignore[no-untyped-call]
    return vector
