"""Ftrl: follow the regularised leader, for sparse linear models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.optimizers.base import Loops, RowOptimizer

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from torchest.optimizers.common_options import CommonOptions, LearningRate, Options
    from torchest.optimizers.dense import Slots


class Ftrl(RowOptimizer):
    """Ftrl-proximal as TensorFlow computes it.

    For a weight w with gradient g, accumulator n, linear term z and p = `learning_rate_power`::

        n' = n + g²
        z' = z + g + 2·l2_shrinkage·w − (n'^−p − n^−p) / lr · w
        w' = (sign(z')·l1 − z') / (n'^−p / lr + 2·l2 + beta / lr)   if |z'| > l1, else 0

    (McMahan et al., "Ad Click Prediction: a View from the Trenches", 2013; n^−p in place of √n, and l2
    without the factor 1/2.) z is initially 0, whatever the initial weight is, so an initial weight other
    than 0 is lost at its first update. L1 regularisation makes weights exactly 0.

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters; see
            `torchest.optimizers`.
        lr: Learning rate above 0, or a function from the number of steps so far to one.
        learning_rate_power: Power of the accumulator by which the learning rate is multiplied, at most 0. −0.5
            divides it by the square root, 0 keeps it fixed.
        initial_accumulator_value: Initial value of the accumulators, at least 0.
        l1_regularization_strength: l1, at least 0.
        l2_regularization_strength: l2, at least 0; it is doubled.
        l2_shrinkage_regularization_strength: Factor of the weight that is added to the gradient, but not to
            the accumulator; at least 0.
        beta: At least 0; adds beta / (2·lr) to l2.
        common: `learning_rate`, another name of `lr`; `decay`, `clipnorm` and `clipvalue`: see
            `torchest.optimizers`.

    Raises:
        ValueError: An option is out of range.

    >>> weight = torch.nn.Parameter(torch.tensor([0.0]))
    >>> optimizer = Ftrl([weight], lr=0.2)
    >>> weight.grad = torch.tensor([1.0])
    >>> optimizer.step()
    >>> weight.item()                                  # −1 / (√1.1 / 0.2)
    -0.1906...
    """

    def __init__(  # noqa: PLR0913 - the options of TensorFlow's optimizer
        self,
        params: ParamsT | None = None,
        lr: LearningRate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **common: Unpack[CommonOptions],
    ) -> None:
        self._require(
            lambda power: power <= 0, "learning_rate_power", learning_rate_power, "at most 0"
        )
        at_least_zero = {
            "initial_accumulator_value": initial_accumulator_value,
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
            "beta": beta,
        }
        for name, value in at_least_zero.items():
            self._require(lambda value: value >= 0, name, value, "at least 0")
        defaults = {"lr": lr, "learning_rate_power": learning_rate_power, **at_least_zero}
        super().__init__(params, defaults, common)

    def _initial_slots(self, options: Options) -> dict[str, float]:
        return {"accumulator": options["initial_accumulator_value"], "linear": 0.0}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        self._check_rate(lr, options)
        accumulator, linear = slots["accumulator"], slots["linear"]
        power, l1 = -options["learning_rate_power"], options["l1_regularization_strength"]
        before = _to_power(accumulator, power)
        accumulator.addcmul_(gradient, gradient)
        after = _to_power(accumulator, power)
        linear.add_(gradient)
        linear.addcmul_(weight, torch.sub(after, before, out=before), value=-1 / lr)
        shrinkage = options["l2_shrinkage_regularization_strength"]
        if shrinkage > 0:
            linear.add_(weight, alpha=2 * shrinkage)
        # The numerator and denominator of the formula are multiplied by lr.
        curvature = after.add_(2 * lr * options["l2_regularization_strength"] + options["beta"])
        torch.clamp(linear, -l1, l1, out=weight).sub_(linear).mul_(lr).div_(curvature)
        if options["initial_accumulator_value"] == 0:
            weight.masked_fill_(linear.abs() <= l1, 0.0)  # 0 / 0 before the first gradient

    def _loops(self, lr: float, options: Options) -> Loops | None:
        if options["learning_rate_power"] != -0.5 or type(self)._update is not Ftrl._update:
            return None  # another formula, or a subclass with its own
        from torchest.kernels import updates

        self._check_rate(lr, options)
        numbers = (
            lr,
            options["l1_regularization_strength"],
            2 * options["l2_shrinkage_regularization_strength"],
            2 * lr * options["l2_regularization_strength"] + options["beta"],
        )
        return Loops(updates.ftrl_of_rows, updates.ftrl_of_vectors, numbers)

    def _check_lr(self, name: str, lr: object) -> None:
        self._require(lambda lr: lr > 0, name, lr, "above 0, or a function of the step")

    def _check_rate(self, lr: float, options: Options) -> None:
        self._require(lambda lr: lr > 0, "lr", lr, f"above 0, also in step {options['step']}")


def _to_power(accumulator: Tensor, power: float) -> Tensor:
    return accumulator.sqrt() if power == 0.5 else accumulator.pow(power)
