"""RMSProp as TensorFlow 1 computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.optimizers.base import RowOptimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT

    from torchest.optimizers.common_options import LearningRate, Options
    from torchest.optimizers.dense import Slots


class RMSProp(RowOptimizer):
    """RMSProp whose mean of squares is initially 1, and whose epsilon is under the root.

    In a step::

        s = rho · s + (1 − rho) · g²
        M = momentum · M + lr · g / √(s + epsilon)
        w −= M

    `centered` subtracts the square of a running mean of g from s. Rows of a table that a batch does not use keep their
    weights and means, unlike those of `optimizers.RMSProp`.

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters.
        lr: Learning rate, or a function from the number of steps so far to one.
        rho: Decay rate of the means, at least 0 and below 1.
        momentum: At least 0 and below 1.
        epsilon: At least 0.
        centered: Whether to divide by the standard deviation.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        params: ParamsT | None = None,
        lr: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-10,
        centered: bool = False,
    ) -> None:
        for name, value in {"decay": rho, "momentum": momentum}.items():
            self._require(lambda value: 0 <= value < 1, name, value, "at least 0 and below 1")
        self._require(lambda value: value >= 0, "epsilon", epsilon, "at least 0")
        self._require_booleans(centered=centered)
        options = {"rho": rho, "momentum": momentum, "epsilon": epsilon, "centered": centered}
        super().__init__(params, {"lr": lr, **options})

    def _initial_slots(self, options: Options) -> dict[str, float]:
        return {"rms": 1.0, "momentum": 0.0, **({"mg": 0.0} if options["centered"] else {})}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        rho = options["rho"]
        size = slots["rms"].mul_(rho).addcmul_(gradient, gradient, value=1 - rho)
        if options["centered"]:
            mean = slots["mg"].mul_(rho).add_(gradient, alpha=1 - rho)
            size = size - mean.square()
        moving = slots["momentum"].mul_(options["momentum"])
        moving.addcdiv_(gradient, (size + options["epsilon"]).sqrt_(), value=lr)
        weight.sub_(moving)
