"""Learning rates as functions of the number of steps so far, with Keras's names and TensorFlow's numbers.

    optimizer = optimizers.Adagrad(learning_rate=schedules.ExponentialDecay(0.1, decay_steps=1000, decay_rate=0.96))

They are computed in float32, as in TensorFlow.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from torchest.utils.checks import boolean, listed, number, shown
from torchest.utils.namespaces import namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)

_f = np.float32


@dataclass(frozen=True)
class ExponentialDecay:
    """initial_learning_rate · decay_rate^(step / decay_steps).

    Args:
        initial_learning_rate: The rate of the first step, at least 0.
        decay_steps: The number of steps that multiply the rate by `decay_rate`, above 0.
        decay_rate: The factor, at least 0.
        staircase: Whether the exponent is rounded down to a whole number.

    Raises:
        ValueError: An argument is out of range.

    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025...
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        number("initial_learning_rate", self.initial_learning_rate, at_least=0)
        number("decay_steps", self.decay_steps, above=0)
        number("decay_rate", self.decay_rate, at_least=0)
        boolean("staircase", self.staircase)

    def __call__(self, step: int) -> float:
        """The learning rate after `step` steps."""
        exponent = _passed(step, self.decay_steps, self.staircase)
        return float(_f(self.initial_learning_rate) * _f(self.decay_rate) ** exponent)


@dataclass(frozen=True)
class InverseTimeDecay:
    """initial_learning_rate / (1 + decay_rate · step / decay_steps).

    Args:
        initial_learning_rate: The rate of the first step, at least 0.
        decay_steps: The unit of steps, above 0.
        decay_rate: At least 0.
        staircase: Whether step / decay_steps is rounded down to a whole number.

    Raises:
        ValueError: An argument is out of range.

    >>> InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)(30)
    0.025...
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        number("initial_learning_rate", self.initial_learning_rate, at_least=0)
        number("decay_steps", self.decay_steps, above=0)
        number("decay_rate", self.decay_rate, at_least=0)
        boolean("staircase", self.staircase)

    def __call__(self, step: int) -> float:
        """The learning rate after `step` steps."""
        passed = _passed(step, self.decay_steps, self.staircase)
        return float(_f(self.initial_learning_rate) / (_f(1) + _f(self.decay_rate) * passed))


@dataclass(frozen=True)
class PolynomialDecay:
    """From initial_learning_rate to end_learning_rate in `decay_steps` steps, and then constant.

    (initial − end) · (1 − step / decay_steps)^power + end

    Args:
        initial_learning_rate: The rate of the first step, at least 0.
        decay_steps: The number of steps, above 0.
        end_learning_rate: The last rate, at least 0.
        power: The power, above 0. 1: a straight line.
        cycle: Whether the decay starts anew, over the next multiple of `decay_steps`, whenever it has ended.

    Raises:
        ValueError: An argument is out of range.

    >>> PolynomialDecay(0.1, decay_steps=100, end_learning_rate=0.0)(75)
    0.025...
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False

    def __post_init__(self) -> None:
        number("initial_learning_rate", self.initial_learning_rate, at_least=0)
        number("decay_steps", self.decay_steps, above=0)
        number("end_learning_rate", self.end_learning_rate, at_least=0)
        number("power", self.power, above=0)
        boolean("cycle", self.cycle)

    def __call__(self, step: int) -> float:
        """The learning rate after `step` steps."""
        steps, end = _f(self.decay_steps), _f(self.end_learning_rate)
        if self.cycle:
            steps = steps * max(np.ceil(_f(step) / steps), _f(1))
        left = _f(1) - min(_f(step), steps) / steps
        return float((_f(self.initial_learning_rate) - end) * left ** _f(self.power) + end)


@dataclass(frozen=True)
class CosineDecay:
    """Along half a period of a cosine, from initial_learning_rate to alpha times of it; then constant.

    Args:
        initial_learning_rate: The rate of the first step, at least 0.
        decay_steps: The number of steps, above 0.
        alpha: The last rate as a fraction of the first one, at least 0.

    Raises:
        ValueError: An argument is out of range.

    >>> round(CosineDecay(0.1, decay_steps=100)(50), 6)
    0.05
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0

    def __post_init__(self) -> None:
        number("initial_learning_rate", self.initial_learning_rate, at_least=0)
        number("decay_steps", self.decay_steps, above=0)
        number("alpha", self.alpha, at_least=0)

    def __call__(self, step: int) -> float:
        """The learning rate after `step` steps."""
        steps, alpha = _f(self.decay_steps), _f(self.alpha)
        share = _f(0.5) * (_f(1) + np.cos(_f(np.pi) * (min(_f(step), steps) / steps)))
        return float(_f(self.initial_learning_rate) * ((_f(1) - alpha) * share + alpha))


@dataclass(frozen=True)
class PiecewiseConstantDecay:
    """A constant rate between boundaries.

    Args:
        boundaries: Increasing numbers of steps. Up to and including the first one, the first value holds.
        values: The rates, one more than boundaries; each at least 0.

    Raises:
        ValueError: An argument is invalid.

    >>> rate = PiecewiseConstantDecay([100, 200], [0.1, 0.05, 0.01])
    >>> rate(100), rate(101), rate(500)
    (0.1, 0.05, 0.01)
    """

    boundaries: Sequence[float]
    values: Sequence[float]

    def __post_init__(self) -> None:
        what = "numbers of steps, such as [1000, 2000]"
        boundaries = listed("boundaries", self.boundaries, what)
        values = listed("values", self.values, "learning rates, such as [0.1, 0.01, 0.001]")
        for boundary in boundaries:
            number("boundaries: each", boundary)
        for value in values:
            number("values: each", value, at_least=0)
        if any(second <= first for first, second in itertools.pairwise(boundaries)):
            raise ValueError(f"boundaries={shown(boundaries)} must increase.")
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"values={shown(values)} has {len(values)} rates, but must have {len(boundaries) + 1}, one more than "
                f"boundaries={shown(boundaries)}."
            )
        object.__setattr__(self, "boundaries", tuple(boundaries))
        object.__setattr__(self, "values", tuple(values))

    def __call__(self, step: int) -> float:
        """The learning rate after `step` steps."""
        return float(self.values[int(np.searchsorted(self.boundaries, step))])


def _passed(step: int, decay_steps: float, staircase: bool) -> np.float32:
    """How often `decay_steps` have passed."""
    passed: np.float32 = _f(step) / _f(decay_steps)
    return np.floor(passed) if staircase else passed
