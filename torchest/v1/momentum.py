"""Momentum as TensorFlow 1 computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.optimizers.base import RowOptimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT

    from torchest.optimizers.common_options import LearningRate, Options
    from torchest.optimizers.dense import Slots


class Momentum(RowOptimizer):
    """Gradient descent with momentum: M = momentum · M + g, w −= lr · M.

    With Nesterov's momentum, w −= lr · (g + momentum · M). `optimizers.SGD` has lr · g in M, which differs if the
    learning rate changes. Rows of a table that a batch does not use keep their weights and momentum.

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters.
        lr: Learning rate, or a function from the number of steps so far to one.
        momentum: At least 0 and at most 1.
        nesterov: Whether to use Nesterov's momentum.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        params: ParamsT | None = None,
        lr: LearningRate = 0.01,
        momentum: float = 0.9,
        nesterov: bool = False,
    ) -> None:
        self._require(
            lambda value: 0 <= value <= 1, "momentum", momentum, "at least 0 and at most 1"
        )
        self._require_booleans(nesterov=nesterov)
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov})

    def _initial_slots(self, options: Options) -> dict[str, float]:
        return {"momentum": 0.0}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        momentum = options["momentum"]
        moving = slots["momentum"].mul_(momentum).add_(gradient)
        if options["nesterov"]:
            weight.sub_(gradient, alpha=lr).sub_(moving, alpha=lr * momentum)
        else:
            weight.sub_(moving, alpha=lr)
