"""Adagrad: a learning rate for each weight, which falls with its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.optimizers.base import LearningRate, Loops, Options, RowOptimizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from torchest.optimizers.units import Slots


class Adagrad(RowOptimizer):
    """Adagrad as TensorFlow computes it: n += g², w −= lr · g / (√n + epsilon).

    (Duchi et al., "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", 2011.)
    `torch.optim.Adagrad` differs: its accumulators start at 0.

    Args:
        params: Parameters or groups of them.
        lr: The learning rate, or a function of the number of steps so far.
        initial_accumulator_value: Where the accumulators n start; at least 0.
        epsilon: At least 0.

    Raises:
        ValueError: An option is out of its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
    ) -> None:
        options = {"initial_accumulator_value": initial_accumulator_value, "epsilon": epsilon}
        for name, value in options.items():
            self._require(lambda value: value >= 0, name, value, "at least 0")
        super().__init__(params, {"lr": lr, **options})

    def _initial_slots(self, options: Options) -> dict[str, float]:
        return {"accumulator": options["initial_accumulator_value"]}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        accumulator = slots["accumulator"].addcmul_(gradient, gradient)
        weight.addcdiv_(gradient, accumulator.sqrt().add_(options["epsilon"]), value=-lr)

    def _loops(self, lr: float, options: Options) -> Loops | None:
        if type(self)._update is not Adagrad._update:
            return None  # a subclass has a formula of its own
        from torchest.kernels import updates

        numbers = (lr, options["epsilon"])
        return Loops(updates.adagrad_of_rows, updates.adagrad_of_vectors, numbers)
