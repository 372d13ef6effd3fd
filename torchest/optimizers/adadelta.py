"""Adadelta: steps in proportion to the root of a running mean of earlier steps' squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.optimizers.base import RowOptimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from torchest.optimizers.common_options import CommonOptions, LearningRate, Options
    from torchest.optimizers.dense import Slots


class Adadelta(RowOptimizer):
    """Adadelta as TensorFlow computes it.

    For a running mean a of squared gradients and b of squared steps::

        a = rho · a + (1 − rho) · g²
        d = g · √(b + epsilon) / √(a + epsilon)
        b = rho · b + (1 − rho) · d²
        w −= lr · d

    (Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.) Rows of a table that a batch does not use keep their
    weights and means. The learning rate of `torch.optim.Adadelta` is 1 by default.

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters; see
            `torchest.optimizers`.
        lr: Learning rate, or a function from the number of steps so far to one.
        rho: Decay rate of the means, at least 0 and below 1.
        epsilon: Added under the roots, at least 0.
        common: `learning_rate`, another name of `lr`; `decay`, `clipnorm` and `clipvalue`: see
            `torchest.optimizers`.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        params: ParamsT | None = None,
        lr: LearningRate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **common: Unpack[CommonOptions],
    ) -> None:
        self._require(lambda value: 0 <= value < 1, "rho", rho, "at least 0 and below 1")
        self._require(lambda value: value >= 0, "epsilon", epsilon, "at least 0")
        super().__init__(params, {"lr": lr, "rho": rho, "epsilon": epsilon}, common)

    def _initial_slots(self, options: Options) -> dict[str, float]:  # noqa: ARG002
        return {"accum_grad": 0.0, "accum_var": 0.0}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        rho, epsilon = options["rho"], options["epsilon"]
        squares = slots["accum_grad"].mul_(rho).addcmul_(gradient, gradient, value=1 - rho)
        steps = slots["accum_var"]
        delta = (steps + epsilon).sqrt_().div_((squares + epsilon).sqrt_()).mul_(gradient)
        steps.mul_(rho).addcmul_(delta, delta, value=1 - rho)
        weight.sub_(delta, alpha=lr)
