"""Makes optimizers from the argument `optimizer` of estimators."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from torchest.errors import suggest
from torchest.optimizers.adagrad import Adagrad
from torchest.optimizers.adam import Adam
from torchest.optimizers.ftrl import Ftrl
from torchest.optimizers.rmsprop import RMSProp
from torchest.optimizers.sgd import SGD
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    MakeOptimizer = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]
    OptimizerLike = (
        str | Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer | LRScheduler]
    )

_BY_NAME: dict[str, type[torch.optim.Optimizer]] = {
    "Adagrad": Adagrad,
    "Adam": Adam,
    "Ftrl": Ftrl,
    "RMSProp": RMSProp,
    "SGD": SGD,
}
_NEEDING_MORE = {
    torch.optim.LBFGS: "whose step needs a closure, which a training loop does not have",
    torch.optim.SparseAdam: "which takes sparse gradients only",
}
_SCHEDULER = "scheduler"
# the state of a scheduler; the last two are of CosineAnnealingWarmRestarts
_PROGRESS = ("last_epoch", "_step_count", "T_cur", "T_i")


def resolve(optimizer: object, lr: float | None, argument: str = "optimizer") -> MakeOptimizer:
    """Returns a function that makes an optimizer from parameters.

    Args:
        optimizer: The name of an optimizer of torchest; a `torch.optim` class, used with its defaults; or a
            function from parameters to an optimizer, or to a scheduler of `torch.optim.lr_scheduler`, which
            steps with its optimizer. The type for users is `OptimizerLike`.
        lr: Learning rate of an optimizer named by a string. None: its own default.
        argument: Name of the estimator's argument.

    Raises:
        ValueError: There is no optimizer of that name.
        TypeError: `optimizer` is something else, such as an optimizer object, or a function that does not take
            parameters.
    """
    if isinstance(optimizer, str):
        if optimizer not in _BY_NAME:
            raise ValueError(
                f"{argument}={shown(optimizer)} is not an optimizer.{suggest(optimizer, _BY_NAME)}"
            )
        named = _BY_NAME[optimizer]
        return named if lr is None else partial(named, lr=lr)  # type: ignore[call-arg]
    if callable(optimizer):
        _check_takes_parameters(optimizer, argument)
        return lambda parameters: _made(optimizer(parameters), argument)
    is_made = isinstance(optimizer, torch.optim.Optimizer | LRScheduler)
    made = f" is an object that was made already, of the class {type(optimizer).__name__}"
    what = made if is_made else f"={shown(optimizer)}"
    raise TypeError(
        f"{argument}{what}: give a name such as 'Ftrl', a torch.optim class, or a function that makes the optimizer "
        "from the model's parameters, such as lambda parameters: torch.optim.Adam(parameters, lr=0.01)."
    )


def is_named(make_optimizer: MakeOptimizer) -> bool:
    """Whether a function of `resolve` makes an optimizer that was named, which the user then has no reference to."""
    made_by = make_optimizer.func if isinstance(make_optimizer, partial) else make_optimizer
    return made_by in _BY_NAME.values()


def _check_takes_parameters(function: Callable[..., object], argument: str) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # not written in Python
        return
    try:
        signature.bind([])
    except TypeError:
        raise TypeError(
            f"{argument} is a function of {signature}: it must be one of the model's parameters, such as "
            "lambda parameters: torch.optim.Adam(parameters, lr=0.01)."
        ) from None


def _made(made: object, argument: str) -> torch.optim.Optimizer:
    """The optimizer that a user's function made."""
    if isinstance(made, torch.optim.Optimizer):
        for unfit, why in _NEEDING_MORE.items():
            if isinstance(made, unfit):
                raise TypeError(
                    f"{argument} made a torch.optim.{unfit.__name__}, {why}: use another optimizer."
                )
        return made
    if isinstance(made, LRScheduler) and not isinstance(made, ReduceLROnPlateau):
        return _scheduled(made)
    raise TypeError(
        f"{argument} made a {type(made).__name__} from the parameters: it must make a torch.optim.Optimizer, or "
        "a scheduler of torch.optim.lr_scheduler that follows the number of steps."
    )


def _scheduled(scheduler: LRScheduler) -> torch.optim.Optimizer:
    """The optimizer of a scheduler, with hooks that step the scheduler.

    The `state_dict` of the optimizer, and so checkpoints, contain the progress of the scheduler but not its
    settings: a schedule with other settings resumes at the same step.
    """
    optimizer = scheduler.optimizer

    def after_step(*_: object) -> None:
        scheduler.step()

    def before_saving(*_: object) -> None:
        progress = [
            {name: vars(part)[name] for name in _PROGRESS if name in vars(part)}
            for part in _parts(scheduler)
        ]
        for group in optimizer.param_groups:
            group[_SCHEDULER] = progress

    def after_loading(*_: object) -> None:
        saved = optimizer.param_groups[0].get(_SCHEDULER, ())
        for part, progress in zip(_parts(scheduler), saved, strict=False):
            vars(part).update(progress)

    optimizer.register_step_post_hook(after_step)
    optimizer.register_state_dict_pre_hook(before_saving)
    optimizer.register_load_state_dict_post_hook(after_loading)
    return optimizer


def _parts(scheduler: LRScheduler) -> Iterator[LRScheduler]:
    """A scheduler, and the schedulers that it combines."""
    yield scheduler
    for part in getattr(scheduler, "_schedulers", ()):
        yield from _parts(part)
