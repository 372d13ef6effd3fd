"""Makes optimizers from the argument `optimizer` of estimators."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from torchest.errors import suggest, with_article
from torchest.optimizers.adadelta import Adadelta
from torchest.optimizers.adagrad import Adagrad
from torchest.optimizers.adam import Adam
from torchest.optimizers.adamax import Adamax
from torchest.optimizers.ftrl import Ftrl
from torchest.optimizers.nadam import Nadam
from torchest.optimizers.rmsprop import RMSProp
from torchest.optimizers.sgd import SGD
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch.optim.optimizer import ParamsT

    MakeOptimizer = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


@runtime_checkable
class WithoutParameters(Protocol):
    """An optimizer without parameters, such as `optimizers.Adam(learning_rate=0.01)`."""

    def with_parameters(self, params: ParamsT) -> torch.optim.Optimizer:
        """Makes an optimizer of the same options."""


if TYPE_CHECKING:
    OptimizerLike = (
        str
        | WithoutParameters
        | Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer | LRScheduler]
        | Callable[[], WithoutParameters]
    )

_BY_NAME: dict[str, type[torch.optim.Optimizer]] = {
    "Adadelta": Adadelta,
    "Adagrad": Adagrad,
    "Adam": Adam,
    "Adamax": Adamax,
    "Ftrl": Ftrl,
    "Nadam": Nadam,
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
        optimizer: The name of an optimizer of torchest; an optimizer of torchest without parameters, or a function of
            no arguments that makes one; a `torch.optim` class, used with its defaults; or a function from parameters to
            an optimizer, or to a scheduler of `torch.optim.lr_scheduler`, which steps with its optimizer. The type for
            users is `OptimizerLike`.
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
    if is_without_parameters(optimizer):
        return optimizer.with_parameters
    if callable(optimizer):
        if _takes_parameters(optimizer, argument):
            return lambda parameters: _made(optimizer(parameters), argument)
        return _settings(optimizer(), argument).with_parameters
    is_made = isinstance(optimizer, torch.optim.Optimizer | LRScheduler)
    made = f" is an object that was made already, of the class {type(optimizer).__name__}"
    what = made if is_made else f"={shown(optimizer)}"
    raise TypeError(
        f"{argument}{what}: give a name such as 'Ftrl', an optimizer without parameters, such as "
        "torchest.optimizers.Adam(learning_rate=0.01), a torch.optim class, or a function that makes the optimizer "
        "from the model's parameters, such as lambda parameters: torch.optim.Adam(parameters, lr=0.01)."
    )


def is_private(make_optimizer: MakeOptimizer) -> bool:
    """Whether a function of `resolve` makes an optimizer that the user then has no reference to."""
    made_by = make_optimizer.func if isinstance(make_optimizer, partial) else make_optimizer
    method = getattr(made_by, "__func__", None)  # with_parameters
    of_torchest = method is not None and method.__module__.startswith("torchest.")
    return of_torchest or made_by in _BY_NAME.values()


def is_without_parameters(optimizer: object) -> TypeGuard[WithoutParameters]:
    """Whether an object is an optimizer without parameters."""
    # asked in each step of a model_fn: a look at a protocol takes longer than all else that `get_or_create` does
    is_made = isinstance(optimizer, type) or bool(getattr(optimizer, "param_groups", False))
    return not is_made and isinstance(optimizer, WithoutParameters)


def _takes_parameters(function: Callable[..., object], argument: str) -> bool:
    """Whether a function takes the model's parameters; False if it takes no arguments."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # not written in Python
        return True
    if _binds(signature, []):
        return True
    if _binds(signature):
        return False
    raise TypeError(
        f"{argument} is a function of {signature}: it must be one of the model's parameters, such as "
        "lambda parameters: torch.optim.Adam(parameters, lr=0.01)."
    )


def _binds(signature: inspect.Signature, *arguments: object) -> bool:
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def _settings(made: object, argument: str) -> WithoutParameters:
    """What a user's function of no arguments made."""
    if not is_without_parameters(made):
        raise TypeError(
            f"{argument} is a function of no arguments that made {with_article(type(made).__name__)}: it must make an "
            "optimizer without parameters, such as torchest.optimizers.Adam(learning_rate=0.01), or take the "
            "parameters."
        )
    return made


def _made(made: object, argument: str) -> torch.optim.Optimizer:
    """The optimizer that a user's function of parameters made."""
    if is_without_parameters(made):
        raise TypeError(
            f"{argument} made {with_article(type(made).__name__)} without the parameters that it got: pass them on, "
            "such as lambda parameters: torchest.optimizers.Adam(parameters, lr=0.01)."
        )
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
