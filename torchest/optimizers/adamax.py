"""Adamax: Adam with the largest gradient so far in place of the mean of squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from torchest.optimizers.base import RowOptimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from torchest.optimizers.common_options import CommonOptions, LearningRate, Options
    from torchest.optimizers.dense import Slots


class Adamax(RowOptimizer):
    """Adamax as TensorFlow computes it.

    In step t::

        m = beta_1 · m + (1 − beta_1) · g
        v = max(beta_2 · v, |g|)
        w −= lr / (1 − beta_1^t) · m / (v + epsilon)

    (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, section 7.) Rows of a table that a batch does
    not use keep their weights, m and v.

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters; see
            `torchest.optimizers`.
        lr: Learning rate, or a function from the number of steps so far to one.
        beta_1: Decay rate of the mean of gradients, at least 0 and below 1.
        beta_2: Decay rate of the largest gradient, at least 0 and below 1.
        epsilon: Added to the denominator, at least 0.
        common: `learning_rate`, another name of `lr`; `decay`, `clipnorm` and `clipvalue`: see
            `torchest.optimizers`.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        params: ParamsT | None = None,
        lr: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[CommonOptions],
    ) -> None:
        for name, value in {"beta_1": beta_1, "beta_2": beta_2}.items():
            self._require(lambda value: 0 <= value < 1, name, value, "at least 0 and below 1")
        self._require(lambda value: value >= 0, "epsilon", epsilon, "at least 0")
        options = {"lr": lr, "beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
        super().__init__(params, options, common)

    def _initial_slots(self, options: Options) -> dict[str, float]:  # noqa: ARG002
        return {"m": 0.0, "v": 0.0}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        beta_1 = options["beta_1"]
        m = slots["m"].mul_(beta_1).add_(gradient, alpha=1 - beta_1)
        v = slots["v"].mul_(options["beta_2"])
        torch.maximum(v, gradient.abs(), out=v)
        rate = lr / (1 - beta_1 ** options["step"])
        weight.addcdiv_(m, v + options["epsilon"], value=-rate)
