"""Adagrad: a learning rate for each weight, which decreases with its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.optimizers.base import Loops, RowOptimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from torchest.optimizers.common_options import CommonOptions, LearningRate, Options
    from torchest.optimizers.dense import Slots


class Adagrad(RowOptimizer):
    """Adagrad as TensorFlow computes it: n += g², w −= lr · g / (√n + epsilon).

    (Duchi et al., "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", 2011.)
    The accumulators of `torch.optim.Adagrad` are initially 0.

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters; see
            `torchest.optimizers`.
        lr: Learning rate, or a function from the number of steps so far to one.
        initial_accumulator_value: Initial value of the accumulators n, at least 0.
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
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {"initial_accumulator_value": initial_accumulator_value, "epsilon": epsilon}
        for name, value in options.items():
            self._require(lambda value: value >= 0, name, value, "at least 0")
        super().__init__(params, {"lr": lr, **options}, common)

    def _initial_slots(self, options: Options) -> dict[str, float]:
        return {"accumulator": options["initial_accumulator_value"]}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        accumulator = slots["accumulator"].addcmul_(gradient, gradient)
        weight.addcdiv_(gradient, accumulator.sqrt().add_(options["epsilon"]), value=-lr)

    def _loops(self, lr: float, options: Options) -> Loops | None:
        if type(self)._update is not Adagrad._update:
            return None  # a subclass with its own formula
        from torchest.kernels import updates

        numbers = (lr, options["epsilon"])
        return Loops(updates.adagrad_of_rows, updates.adagrad_of_vectors, numbers)
