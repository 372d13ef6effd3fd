"""SGD: gradient descent, with momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.optimizers.base import Loops, RowOptimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from torchest.optimizers.common_options import CommonOptions, LearningRate, Options
    from torchest.optimizers.dense import Slots


class SGD(RowOptimizer):
    """Gradient descent as TensorFlow computes it.

    Without momentum, w −= lr · g. With momentum::

        M = momentum · M − lr · g
        w += M                              or, for Nesterov, w += momentum · M − lr · g

    Rows of a table that a batch does not use keep their weights and momentum. `torch.optim.SGD` differs if
    the learning rate changes: it multiplies M by the learning rate of the step, instead of g.

    Args:
        params: Parameters, or dicts of groups of them. None: an optimizer without parameters; see
            `torchest.optimizers`.
        lr: Learning rate, or a function from the number of steps so far to one.
        momentum: Momentum, at least 0 and at most 1. 0: none.
        nesterov: Whether to use Nesterov's momentum; has no effect without momentum.
        common: `learning_rate`, another name of `lr`; `decay`, `clipnorm` and `clipvalue`: see
            `torchest.optimizers`.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        params: ParamsT | None = None,
        lr: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        self._require(
            lambda value: 0 <= value <= 1, "momentum", momentum, "at least 0 and at most 1"
        )
        self._require_booleans(nesterov=nesterov)
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov}, common)

    def _initial_slots(self, options: Options) -> dict[str, float]:
        return {"momentum": 0.0} if options["momentum"] > 0 else {}

    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        momentum = options["momentum"]
        if momentum == 0:
            weight.add_(gradient, alpha=-lr)
            return
        moving = slots["momentum"].mul_(momentum).add_(gradient, alpha=-lr)
        if options["nesterov"]:
            weight.add_(moving, alpha=momentum).add_(gradient, alpha=-lr)
        else:
            weight.add_(moving)

    def _loops(self, lr: float, options: Options) -> Loops | None:
        if type(self)._update is not SGD._update:
            return None  # a subclass with its own formula
        from torchest.kernels import updates

        momentum = options["momentum"]
        if momentum == 0:
            return Loops(updates.sgd_of_rows, updates.sgd_of_vectors, (lr,))
        numbers = (lr, momentum, float(options["nesterov"]))
        return Loops(updates.momentum_of_rows, updates.momentum_of_vectors, numbers)
