"""RMSProp: gradients divided by a running mean of their size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.optimizers.base import LearningRate, Options, RowOptimizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from torchest.optimizers.units import Slots


class RMSProp(RowOptimizer):
    """RMSProp as TensorFlow computes it.

    Without momentum::

        s = rho · s + (1 − rho) · g²
        w −= lr · g / (√s + epsilon)

    With momentum, epsilon comes under the root::

        M = momentum · M + lr · g / √(s + epsilon)
        w −= M

    `centered` takes the square of a running mean of g from s, which makes an estimate of the variance of
    g (Graves, "Generating Sequences With Recurrent Neural Networks", 2013).

    A step writes only the rows of a table that the batch used, but without momentum the running means of
    all other rows decay too: a step costs the whole table. With `lazy` they do not decay; TensorFlow has
    no such thing.

    Args:
        params: Parameters or groups of them.
        lr: The learning rate, or a function of the number of steps so far.
        rho: How much of the running means stays; at least 0 and below 1.
        momentum: At least 0 and below 1; 0 is none.
        epsilon: At least 0.
        centered: Divide by the standard deviation.
        lazy: Leave the running means of rows alone that a batch did not use.

    Raises:
        ValueError: An option is out of its range.
    """

    def __init__(  # noqa: PLR0913
        self,
        params: Iterable[Any],
        lr: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        lazy: bool = False,
    ) -> None:
        for name, value in {"rho": rho, "momentum": momentum}.items():
            self._require(lambda value: 0 <= value < 1, name, value, "at least 0 and below 1")
        self._require(lambda value: value >= 0, "epsilon", epsilon, "at least 0")
        options = {"rho": rho, "momentum": momentum, "epsilon": epsilon}
        self._require_booleans(centered=centered, lazy=lazy)
        super().__init__(params, {"lr": lr, **options, "centered": centered, "lazy": lazy})

    def _initial_slots(self, options: Options) -> dict[str, float]:
        wanted = {"rms": True, "momentum": options["momentum"] > 0, "mg": options["centered"]}
        return {name: 0.0 for name, is_wanted in wanted.items() if is_wanted}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        rho, epsilon, momentum = options["rho"], options["epsilon"], options["momentum"]
        size = slots["rms"].mul_(rho).addcmul_(gradient, gradient, value=1 - rho)
        if options["centered"]:
            mean = slots["mg"].mul_(rho).add_(gradient, alpha=1 - rho)
            size = size - mean.square()
        if momentum > 0:
            moving = slots["momentum"].mul_(momentum)
            weight.sub_(moving.addcdiv_(gradient, (size + epsilon).sqrt_(), value=lr))
        else:
            weight.addcdiv_(gradient, size.sqrt().add_(epsilon), value=-lr)

    def _age(self, slots: Slots, options: Options) -> None:
        if options["momentum"] == 0 and not options["lazy"]:
            for slot in slots.values():
                slot.mul_(options["rho"])
