"""Options that every optimizer of torchest takes by keyword."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

Options = Mapping[str, Any]
LearningRate = float | Callable[[int], float]


class CommonOptions(TypedDict, total=False):
    """Options that every optimizer takes by keyword; their names are Keras's.

    Attributes:
        learning_rate: Another name of `lr`.
        decay: In step t, from 0, the learning rate is divided by 1 + decay · t. 0: it is not.
        clipnorm: Scales the gradient of each parameter so that its norm is at most this. None: does not.
        clipvalue: Clips each element of gradients to at most this, and at least the negative of it. None: does not.
    """

    learning_rate: LearningRate
    decay: float
    clipnorm: float | None
    clipvalue: float | None


UNUSED: dict[str, None] = dict.fromkeys(("decay", "clipnorm", "clipvalue"))  # what groups then have


def rate_of(group: Options, step: int) -> Any:
    """The learning rate of a step.

    Args:
        group: One of `param_groups`.
        step: The number of the step, which is 1 in the first one.
    """
    lr, decay = group["lr"], group.get("decay")
    rate = lr(step - 1) if callable(lr) else lr
    return rate / (1 + decay * (step - 1)) if decay else rate
