"""Learning rates that decay, with TensorFlow 1's names and arguments.

With `global_step=get_global_step()` they return a schedule of `torchest.optimizers.schedules`, for the `learning_rate`
of an optimizer; with a number of steps, the learning rate after them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from torchest.optimizers import schedules
from torchest.utils.checks import number, whole_number
from torchest.v1.global_step import GlobalStep

if TYPE_CHECKING:
    from collections.abc import Sequence

Rate = float | Callable[[int], float]
Step = int | GlobalStep


def exponential_decay(
    learning_rate: float,
    global_step: Step,
    decay_steps: float,
    decay_rate: float,
    staircase: bool = False,
) -> Rate:
    """learning_rate · decay_rate^(global_step / decay_steps); see `schedules.ExponentialDecay`.

    >>> exponential_decay(0.1, 20, decay_steps=10, decay_rate=0.5)
    0.025...
    """
    made = schedules.ExponentialDecay(learning_rate, decay_steps, decay_rate, staircase)
    return _at(global_step, made)


def natural_exp_decay(
    learning_rate: float,
    global_step: Step,
    decay_steps: float,
    decay_rate: float,
    staircase: bool = False,
) -> Rate:
    """learning_rate · e^(−decay_rate · global_step / decay_steps); see `schedules.ExponentialDecay`.

    >>> natural_exp_decay(0.1, 10, decay_steps=10, decay_rate=0.5)
    0.0606...
    """
    factor = math.exp(-number("decay_rate", decay_rate, at_least=0))
    made = schedules.ExponentialDecay(learning_rate, decay_steps, factor, staircase)
    return _at(global_step, made)


def inverse_time_decay(
    learning_rate: float,
    global_step: Step,
    decay_steps: float,
    decay_rate: float,
    staircase: bool = False,
) -> Rate:
    """learning_rate / (1 + decay_rate · global_step / decay_steps); see `schedules.InverseTimeDecay`.

    >>> inverse_time_decay(0.1, 30, decay_steps=10, decay_rate=1.0)
    0.025...
    """
    made = schedules.InverseTimeDecay(learning_rate, decay_steps, decay_rate, staircase)
    return _at(global_step, made)


def polynomial_decay(
    learning_rate: float,
    global_step: Step,
    decay_steps: float,
    end_learning_rate: float = 0.0001,
    power: float = 1.0,
    cycle: bool = False,
) -> Rate:
    """From learning_rate to end_learning_rate in `decay_steps` steps; see `schedules.PolynomialDecay`.

    >>> polynomial_decay(0.1, 75, decay_steps=100, end_learning_rate=0.0)
    0.025...
    """
    made = schedules.PolynomialDecay(learning_rate, decay_steps, end_learning_rate, power, cycle)
    return _at(global_step, made)


def cosine_decay(
    learning_rate: float, global_step: Step, decay_steps: float, alpha: float = 0.0
) -> Rate:
    """Along half a period of a cosine, from learning_rate to alpha times of it; see `schedules.CosineDecay`.

    >>> round(cosine_decay(0.1, 50, decay_steps=100), 6)
    0.05
    """
    return _at(global_step, schedules.CosineDecay(learning_rate, decay_steps, alpha))


def piecewise_constant(x: Step, boundaries: Sequence[float], values: Sequence[float]) -> Rate:
    """A constant rate between boundaries; see `schedules.PiecewiseConstantDecay`.

    >>> piecewise_constant(101, boundaries=[100, 200], values=[0.1, 0.05, 0.01])
    0.05
    """
    return _at(x, schedules.PiecewiseConstantDecay(boundaries, values), "x")


def _at(step: Step, schedule: Callable[[int], float], argument: str = "global_step") -> Rate:
    if isinstance(step, GlobalStep):
        return schedule
    way_out = " In a model_fn, give get_global_step()."
    return schedule(whole_number(argument, step, way_out, at_least=0))
