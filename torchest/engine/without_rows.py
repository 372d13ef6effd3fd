"""A step of several processes in one that has no rows for it: the same optimizers step, and model_fn does not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

    from torchest.engine.scope import Scope
    from torchest.spec import EstimatorSpec


class WithoutRows:
    """Steps without rows, as the spec of a first batch says what steps are.

    Args:
        optimizers: Those that step.
        loss: A loss.

    Attributes:
        optimizers: See above.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], loss: Tensor) -> None:
        self.optimizers = optimizers
        self._shape, self._dtype, self._device = loss.shape, loss.dtype, loss.device

    @property
    def loss(self) -> Tensor:
        """The loss of no rows: a leaf of 0, made when it is needed, as an XLA device compiles what makes it."""
        return torch.zeros(self._shape, dtype=self._dtype, device=self._device, requires_grad=True)

    @classmethod
    def of(cls, spec: EstimatorSpec, scope: Scope) -> WithoutRows | None:
        """Steps as in a spec; None if model_fn has to run for them all the same.

        That is so if `train_op` is a function, and if it leaves out some optimizers of the model, as the next one may
        step those.
        """
        assert spec.loss is not None  # the spec checks it
        optimizers = optimizers_of(spec)
        if optimizers is None or _ids(optimizers) != _ids(scope.optimizers().values()):
            return None
        return cls(optimizers, spec.loss)

    def check(self, optimizers: Collection[torch.optim.Optimizer] | None) -> None:
        """Raises an error if the optimizers of a step are others than those of the first batch."""
        if optimizers is None or _ids(optimizers) != _ids(self.optimizers):
            raise RuntimeError(
                "train_op has other optimizers than for the first batch. A process without rows cannot know of it, as "
                "model_fn does not run there: give all processes the same number of batches, or let train_op be a "
                "function."
            )


def optimizers_of(spec: EstimatorSpec) -> Sequence[torch.optim.Optimizer] | None:
    """The optimizers of a step; None if train_op is a function."""
    train_op = spec.train_op
    if isinstance(train_op, (list, tuple)):
        return train_op
    return [train_op] if isinstance(train_op, torch.optim.Optimizer) else None


def _ids(optimizers: Collection[torch.optim.Optimizer]) -> set[int]:
    return set(map(id, optimizers))
