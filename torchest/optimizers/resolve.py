"""What may be given where an estimator takes an optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.errors import suggest
from torchest.optimizers.ftrl import Ftrl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch

    MakeOptimizer = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]

_BY_NAME: dict[str, type[torch.optim.Optimizer]] = {"Ftrl": Ftrl}


def resolve(optimizer: Any, lr: float | None, argument: str = "optimizer") -> MakeOptimizer:
    """A function that makes an optimizer from parameters.

    Args:
        optimizer: The name of an optimizer of torchest; a `torch.optim` class, which gets its own defaults;
            or a function that makes an optimizer from parameters.
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
        return optimizer  # type: ignore[no-any-return]
    raise TypeError(
        f"{argument} is a {type(optimizer).__name__}: give a name such as 'Ftrl', a torch.optim class, or a function "
        "that makes the optimizer from the model's parameters, such as "
        "lambda parameters: torch.optim.Adam(parameters, lr=0.01)."
    )
