"""Arguments of TensorFlow 1's estimators: names of optimizers, and what has no meaning on PyTorch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from torchest.errors import suggest
from torchest.utils.checks import shown
from torchest.v1.optimizers import (
    AdagradOptimizer,
    AdamOptimizer,
    FtrlOptimizer,
    GradientDescentOptimizer,
    Optimizer,
    RMSPropOptimizer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Other = TypeVar("Other")

_log = logging.getLogger("torchest")
_BY_NAME: dict[str, Callable[[float], Optimizer]] = {
    "Adagrad": AdagradOptimizer,
    "Adam": AdamOptimizer,
    "Ftrl": FtrlOptimizer,
    "RMSProp": RMSPropOptimizer,
    "SGD": GradientDescentOptimizer,
}


def optimizer_named(
    optimizer: str | Other, lr: float, argument: str = "optimizer"
) -> Optimizer | Other:
    """The optimizer of TensorFlow 1 of a name; anything else as it is.

    Args:
        optimizer: The argument `optimizer` of an estimator.
        lr: The learning rate of an optimizer that is named by a string.
        argument: The name of the argument.

    Raises:
        ValueError: There is no optimizer of that name.
    """
    if not isinstance(optimizer, str):
        return optimizer
    if optimizer not in _BY_NAME:
        raise ValueError(
            f"{argument}={shown(optimizer)} is not an optimizer.{suggest(optimizer, _BY_NAME)}"
        )
    return _BY_NAME[optimizer](lr)


def ignore(**arguments: object) -> None:
    """Logs arguments that have no meaning on PyTorch, unless they are None."""
    for name, value in arguments.items():
        if value is not None:
            _log.info("%s has no meaning on PyTorch and is ignored.", name)
