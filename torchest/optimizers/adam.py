"""Adam: running means of gradients and of their squares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from torchest.optimizers.base import Loops, RowOptimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from torchest.optimizers.common_options import CommonOptions, LearningRate, Options
    from torchest.optimizers.dense import Slots
    from torchest.optimizers.row_gradients import RowGradient


class Adam(RowOptimizer):
    """Adam as TensorFlow computes it.

    In step t::

        m = beta_1 · m + (1 − beta_1) · g
        v = beta_2 · v + (1 − beta_2) · g²
        w −= lr · √(1 − beta_2^t) / (1 − beta_1^t) · m / (√v + epsilon)

    (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, with epsilon as at the end of
    section 2. In `torch.optim.Adam`, the bias correction does not change epsilon.)

    Rows of a table that a batch does not use have a gradient of 0, but their means change and so do the
    weights: a step updates the whole table. With `lazy`, a step updates only the rows that the batch uses,
    which is a different algorithm that TensorFlow does not have.

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters; see
            `torchest.optimizers`.
        lr: Learning rate, or a function from the number of steps so far to one.
        beta_1: Decay rate of the mean of gradients, at least 0 and below 1.
        beta_2: Decay rate of the mean of squares, at least 0 and below 1.
        epsilon: Added to the denominator, at least 0.
        amsgrad: Whether to divide by the root of the largest v so far (Reddi et al., "On the Convergence of Adam
            and Beyond", 2018).
        lazy: Whether to update only the rows that a batch uses.
        common: `learning_rate`, another name of `lr`; `decay`, `clipnorm` and `clipvalue`: see
            `torchest.optimizers`.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(  # noqa: PLR0913 - the options of TensorFlow's optimizer
        self,
        params: ParamsT | None = None,
        lr: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        lazy: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        for name, value in {"beta_1": beta_1, "beta_2": beta_2}.items():
            self._require(lambda value: 0 <= value < 1, name, value, "at least 0 and below 1")
        self._require(lambda value: value >= 0, "epsilon", epsilon, "at least 0")
        options = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
        self._require_booleans(amsgrad=amsgrad, lazy=lazy)
        super().__init__(params, {"lr": lr, **options, "amsgrad": amsgrad, "lazy": lazy}, common)

    def _initial_slots(self, options: Options) -> dict[str, float]:
        return dict.fromkeys(("m", "v", "vhat") if options["amsgrad"] else ("m", "v"), 0.0)

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        beta_1, beta_2 = options["beta_1"], options["beta_2"]
        m = slots["m"].mul_(beta_1).add_(gradient, alpha=1 - beta_1)
        v = slots["v"].mul_(beta_2).addcmul_(gradient, gradient, value=1 - beta_2)
        if options["amsgrad"]:
            v = torch.maximum(slots["vhat"], v, out=slots["vhat"])
        weight.addcdiv_(m, v.sqrt().add_(options["epsilon"]), value=-_corrected(lr, options))

    def _loops(self, lr: float, options: Options) -> Loops | None:
        if options["amsgrad"] or type(self)._update is not Adam._update:
            return None  # another formula, or a subclass with its own
        from torchest.kernels import updates

        keep_mean, keep_squares = options["beta_1"], options["beta_2"]
        numbers = (
            _corrected(lr, options),
            keep_mean,
            1 - keep_mean,
            keep_squares,
            1 - keep_squares,
            options["epsilon"],
        )
        return Loops(updates.adam_of_rows, updates.adam_of_vectors, numbers, depend_on_step=True)

    def changes_rows_only(self, options: Options) -> bool:
        """Whether a step changes no rows but those with a gradient: the lazy form only."""
        return bool(options["lazy"]) and type(self) is Adam

    def _update_rows(
        self, parameter: Tensor, gradient: RowGradient, slots: Slots, lr: float, options: Options
    ) -> None:
        if options["lazy"]:
            super()._update_rows(parameter, gradient, slots, lr, options)
            return
        dense = torch.zeros_like(parameter).index_copy_(0, gradient.rows, gradient.values)
        self._update(parameter, dense, slots, lr, options)


def _corrected(lr: float, options: Options) -> float:
    """The learning rate of a step, corrected for means that start at 0."""
    step = options["step"]
    corrected: float = (
        lr * math.sqrt(1 - options["beta_2"] ** step) / (1 - options["beta_1"] ** step)
    )
    return corrected
