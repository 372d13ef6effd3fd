"""Seeds of shuffles."""

from __future__ import annotations

import itertools
import math
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

import numpy as np

from torchest.utils.checks import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator

_current: ContextVar[tuple[int, itertools.count[int]] | None] = ContextVar(
    "torchest_input_seed", default=None
)


@contextmanager
def default_seed(seed: int | None) -> Iterator[None]:
    """A context that seeds every shuffle made without a seed.

    The k-th of them gets the entropy [seed, k], so an input_fn that is called again with the same seed returns the same
    order. None has no effect.

    >>> from torchest.inputs.dataset import Dataset
    >>> def order():
    ...     with default_seed(7):
    ...         return [int(row) for row in Dataset.from_tensor_slices([1, 2, 3, 4]).shuffle(4)]
    >>> order() == order()
    True
    """
    token = _current.set(None if seed is None else (int(seed), itertools.count()))
    try:
        yield
    finally:
        _current.reset(token)


def checked(argument: str, seed: object) -> int | None:
    """A seed: a whole number of any size, or None."""
    return None if seed is None else whole_number(argument, seed, at_most=math.inf)


def entropy(seed: int | None) -> tuple[int, ...]:
    """The entropy of a random stage: from its own seed, from the default seed, or newly drawn."""
    if seed is not None:
        return (_unsigned(seed),)
    current = _current.get()
    if current is not None:
        return (_unsigned(current[0]), next(current[1]))
    return (cast("int", np.random.SeedSequence().entropy),)


def generator(source: tuple[int, ...], epoch: tuple[int, ...]) -> np.random.Generator:
    """A generator whose numbers depend only on the entropy and the epoch."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(source, spawn_key=epoch)))


def _unsigned(seed: int) -> int:
    return int(seed) % 2**64
