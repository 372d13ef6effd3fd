"""What may be given where an estimator takes an optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from torchest.errors import suggest
from torchest.optimizers.adagrad import Adagrad
from torchest.optimizers.adam import Adam
from torchest.optimizers.ftrl import Ftrl
from torchest.optimizers.rmsprop import RMSProp
from torchest.optimizers.sgd import SGD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    MakeOptimizer = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]

_BY_NAME: dict[str, type[torch.optim.Optimizer]] = {
    "Adagrad": Adagrad,
    "Adam": Adam,
    "Ftrl": Ftrl,
    "RMSProp": RMSProp,
    "SGD": SGD,
}
_STEP = "scheduler_step"


def resolve(optimizer: Any, lr: float | None, argument: str = "optimizer") -> MakeOptimizer:
    """A function that makes an optimizer from parameters.

    Args:
        optimizer: The name of an optimizer of torchest; a `torch.optim` class, which gets its own defaults;
            or a function that makes, from parameters, an optimizer, or a scheduler of
            `torch.optim.lr_scheduler` with an optimizer. A scheduler takes a step with each step of its
            optimizer.
        lr: The learning rate of an optimizer that is given by name. None: its own default.
        argument: The name of the argument that `optimizer` was given as.

    Raises:
        ValueError: There is no optimizer of that name.
        TypeError: It is none of these; in particular an optimizer that was made already.
    """
    if isinstance(optimizer, str):
        if optimizer not in _BY_NAME:
            raise ValueError(
                f"{argument}={optimizer!r} is no optimizer.{suggest(optimizer, _BY_NAME)}"
            )
        named = _BY_NAME[optimizer]
        return named if lr is None else lambda parameters: named(parameters, lr=lr)  # type: ignore[call-arg]
    if callable(optimizer):
        return lambda parameters: _made(optimizer(parameters), argument)
    raise TypeError(
        f"{argument} is a {type(optimizer).__name__}: give a name such as 'Ftrl', a torch.optim class, or a function "
        "that makes the optimizer from the model's parameters, such as "
        "lambda parameters: torch.optim.Adam(parameters, lr=0.01)."
    )


def _made(made: Any, argument: str) -> torch.optim.Optimizer:
    """The optimizer, of what a user's function made."""
    if isinstance(made, torch.optim.Optimizer):
        return made
    if isinstance(made, LRScheduler) and not isinstance(made, ReduceLROnPlateau):
        return _scheduled(made)
    raise TypeError(
        f"{argument} made a {type(made).__name__} from the parameters: it must make a torch.optim.Optimizer, or "
        "a scheduler of torch.optim.lr_scheduler that follows the number of steps."
    )


def _scheduled(scheduler: LRScheduler) -> torch.optim.Optimizer:
    """The optimizer of a scheduler, which takes a step with it.

    The number of steps is kept with the options of the optimizer, and so in checkpoints.
    """
    optimizer = scheduler.optimizer

    def after_step(*_: Any) -> None:
        scheduler.last_epoch = optimizer.param_groups[0][_STEP]
        scheduler.step()
        for group in optimizer.param_groups:
            group[_STEP] = scheduler.last_epoch

    for group in optimizer.param_groups:
        group[_STEP] = scheduler.last_epoch
    optimizer.register_step_post_hook(after_step)
    return optimizer
