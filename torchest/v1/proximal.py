"""Gradient descent and Adagrad with proximal steps for l1 and l2 regularisation, as TensorFlow 1 computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.optimizers.base import RowOptimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT

    from torchest.optimizers.common_options import LearningRate, Options
    from torchest.optimizers.dense import Slots


class ProximalGradientDescent(RowOptimizer):
    """Gradient descent with proximal steps.

    With w' = w − lr · g, a step sets w to sign(w') · max(|w'| − lr · l1, 0) / (1 + lr · l2) (Duchi and Singer,
    "Efficient Learning using Forward-Backward Splitting", 2009).

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters.
        lr: Learning rate, or a function from the number of steps so far to one.
        l1_regularization_strength: l1, at least 0.
        l2_regularization_strength: l2, at least 0.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        params: ParamsT | None = None,
        lr: LearningRate = 0.01,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
    ) -> None:
        options = {
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
        }
        for name, value in options.items():
            self._require(lambda value: value >= 0, name, value, "at least 0")
        super().__init__(params, {"lr": lr, **options})

    def _initial_slots(self, options: Options) -> dict[str, float]:
        return {}

    def _update(
        self,
        weight: Tensor,
        gradient: Tensor,
        slots: Slots,
        lr: float,
        options: Options,
    ) -> None:
        l1, l2 = options["l1_regularization_strength"], options["l2_regularization_strength"]
        weight.sub_(gradient, alpha=lr)
        weight.sub_(weight.clamp(-lr * l1, lr * l1)).div_(1 + lr * l2)


class ProximalAdagrad(RowOptimizer):
    """Adagrad with the proximal step of `ProximalGradientDescent`, in which lr is divided by the root of n.

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters.
        lr: Learning rate, or a function from the number of steps so far to one.
        initial_accumulator_value: Initial value of the accumulators n, above 0.
        l1_regularization_strength: l1, at least 0.
        l2_regularization_strength: l2, at least 0.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        params: ParamsT | None = None,
        lr: LearningRate = 0.01,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
    ) -> None:
        start = initial_accumulator_value
        self._require(lambda value: value > 0, "initial_accumulator_value", start, "above 0")
        options = {
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
        }
        for name, value in options.items():
            self._require(lambda value: value >= 0, name, value, "at least 0")
        super().__init__(params, {"lr": lr, "initial_accumulator_value": start, **options})

    def _initial_slots(self, options: Options) -> dict[str, float]:
        return {"accumulator": options["initial_accumulator_value"]}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        l1, l2 = options["l1_regularization_strength"], options["l2_regularization_strength"]
        rates = lr / slots["accumulator"].addcmul_(gradient, gradient).sqrt()
        weight.addcmul_(gradient, rates, value=-1)
        shrunk = (weight.abs() - rates * l1).clamp_min_(0)
        weight.sign_().mul_(shrunk).div_(1 + rates * l2)
