"""Nadam: Adam with Nesterov's momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.optimizers.base import RowOptimizer

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from torchest.optimizers.common_options import CommonOptions, LearningRate, Options
    from torchest.optimizers.dense import Slots

_UNDERFLOW = 10_000  # steps after which the product of all momenta is 0


class Nadam(RowOptimizer):
    """Nadam as TensorFlow computes it.

    With the momentum of step t, u_t = beta_1 · (1 − 0.96^(schedule_decay · t) / 2), and U_t = u_1 · u_2 ··· u_t::

        m = beta_1 · m + (1 − beta_1) · g
        v = beta_2 · v + (1 − beta_2) · g²
        d = (1 − u_t) · g / (1 − U_t) + u_(t+1) · m / (1 − U_(t+1))
        w −= lr · d / (√(v / (1 − beta_2^t)) + epsilon)

    (Dozat, "Incorporating Nesterov Momentum into Adam", 2016.) A step changes the weights of the rows of a table that
    the batch uses, but m and v of all rows: it costs the whole table.

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters; see
            `torchest.optimizers`.
        lr: Learning rate, or a function from the number of steps so far to one.
        beta_1: Decay rate of the mean of gradients, and limit of the momentum; at least 0 and below 1.
        beta_2: Decay rate of the mean of squares, at least 0 and below 1.
        epsilon: Added to the denominator, at least 0.
        schedule_decay: How fast the momentum grows, at least 0.
        common: `learning_rate`, another name of `lr`; `clipnorm` and `clipvalue`: see `torchest.optimizers`. `decay`
            is refused, as TensorFlow ignores it.

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
        schedule_decay: float = 0.004,
        **common: Unpack[CommonOptions],
    ) -> None:
        for name, value in {"beta_1": beta_1, "beta_2": beta_2}.items():
            self._require(lambda value: 0 <= value < 1, name, value, "at least 0 and below 1")
        for name, value in {"epsilon": epsilon, "schedule_decay": schedule_decay}.items():
            self._require(lambda value: value >= 0, name, value, "at least 0")
        self._require(
            lambda value: value == 0,
            "decay",
            common.get("decay", 0.0),
            "0, as TensorFlow ignores it: give lr a function of the step, or schedule_decay",
        )
        betas = {"beta_1": beta_1, "beta_2": beta_2}
        options = {"lr": lr, **betas, "epsilon": epsilon, "schedule_decay": schedule_decay}
        super().__init__(params, options, common)

    def _initial_slots(self, options: Options) -> dict[str, float]:  # noqa: ARG002
        return {"m": 0.0, "v": 0.0}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        beta_1, beta_2, step = options["beta_1"], options["beta_2"], options["step"]
        now, following = _momenta(np.array([step, step + 1]), options).tolist()
        product = _momenta(np.arange(1, min(step, _UNDERFLOW) + 1), options).prod().item()
        m = slots["m"].mul_(beta_1).add_(gradient, alpha=1 - beta_1)
        v = slots["v"].mul_(beta_2).addcmul_(gradient, gradient, value=1 - beta_2)
        direction = gradient * ((1 - now) / (1 - product))
        direction.add_(m, alpha=following / (1 - product * following))
        scale = (v / (1 - beta_2**step)).sqrt_().add_(options["epsilon"])
        weight.addcdiv_(direction, scale, value=-lr)

    def _age(self, slots: Slots, options: Options) -> None:
        slots["m"].mul_(options["beta_1"])
        slots["v"].mul_(options["beta_2"])


def _momenta(steps: npt.NDArray[np.int64], options: Options) -> npt.NDArray[np.float64]:
    """The momentum of each step."""
    momenta: npt.NDArray[np.float64] = options["beta_1"] * (
        1 - 0.5 * 0.96 ** (options["schedule_decay"] * steps)
    )
    return momenta
