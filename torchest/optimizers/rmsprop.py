"""RMSProp: gradients divided by the root of a running mean of their squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.optimizers.base import RowOptimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from torchest.optimizers.common_options import CommonOptions, LearningRate, Options
    from torchest.optimizers.dense import Slots


class RMSProp(RowOptimizer):
    """RMSProp as TensorFlow computes it.

    Without momentum::

        s = rho · s + (1 − rho) · g²
        w −= lr · g / (√s + epsilon)

    With momentum, epsilon is under the root::

        M = momentum · M + lr · g / √(s + epsilon)
        w −= M

    `centered` subtracts the square of a running mean of g from s, to estimate the variance of g (Graves,
    "Generating Sequences With Recurrent Neural Networks", 2013).

    A step updates only the rows of a table that the batch uses, but without momentum the running means of
    all other rows decay too: a step costs the whole table. With `lazy`, which TensorFlow does not have, they
    do not decay.

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters; see
            `torchest.optimizers`.
        lr: Learning rate, or a function from the number of steps so far to one.
        rho: Decay rate of the running means, at least 0 and below 1.
        momentum: Momentum, at least 0 and below 1. 0: none.
        epsilon: Added to the denominator, at least 0.
        centered: Whether to divide by the standard deviation.
        lazy: Whether the running means of rows that a batch does not use stay unchanged.
        common: `learning_rate`, another name of `lr`; `decay`, `clipnorm` and `clipvalue`: see
            `torchest.optimizers`.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(  # noqa: PLR0913 - the options of TensorFlow's optimizer
        self,
        params: ParamsT | None = None,
        lr: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        lazy: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        for name, value in {"rho": rho, "momentum": momentum}.items():
            self._require(lambda value: 0 <= value < 1, name, value, "at least 0 and below 1")
        self._require(lambda value: value >= 0, "epsilon", epsilon, "at least 0")
        options = {"rho": rho, "momentum": momentum, "epsilon": epsilon}
        self._require_booleans(centered=centered, lazy=lazy)
        super().__init__(params, {"lr": lr, **options, "centered": centered, "lazy": lazy}, common)

    def _initial_slots(self, options: Options) -> dict[str, float]:
        used = {"rms": True, "momentum": options["momentum"] > 0, "mg": options["centered"]}
        return {name: 0.0 for name, is_used in used.items() if is_used}

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
