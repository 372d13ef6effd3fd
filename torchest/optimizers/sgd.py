"""SGD: gradient descent, with momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.optimizers.base import LearningRate, Options, RowOptimizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from torchest.optimizers.units import Slots


class SGD(RowOptimizer):
    """Gradient descent as TensorFlow computes it.

    Without momentum w −= lr · g, and with it::

        M = momentum · M − lr · g
        w += M                              or, for Nesterov, w += momentum · M − lr · g

    Rows of a table that a batch did not use neither move nor lose momentum. `torch.optim.SGD` differs
    where the learning rate changes: it multiplies M by the rate of the step, and not g.

    Args:
        params: Parameters or groups of them.
        lr: The learning rate, or a function of the number of steps so far.
        momentum: At least 0 and at most 1; 0 is none.
        nesterov: Nesterov's momentum; without momentum it changes nothing.

    Raises:
        ValueError: An option is out of its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self._require(
            lambda value: 0 <= value <= 1, "momentum", momentum, "at least 0 and at most 1"
        )
        self._require_booleans(nesterov=nesterov)
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov})

    def _initial_slots(self, options: Options) -> dict[str, float]:
        return {"momentum": 0.0} if options["momentum"] > 0 else {}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        momentum = options["momentum"]
        if momentum == 0:
            weight.add_(gradient, alpha=-lr)
            return
        moving = slots["momentum"].mul_(momentum).add_(gradient, alpha=-lr)
        if options["nesterov"]:
            weight.add_(moving, alpha=momentum).add_(gradient, alpha=-lr)
        else:
            weight.add_(moving)
