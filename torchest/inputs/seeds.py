"""Seeds for pipelines: where a shuffle without a seed of its own gets one from."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_current: ContextVar[tuple[int, itertools.count[int]] | None] = ContextVar(
    "torchest_input_seed", default=None
)


@contextmanager
def default_seed(seed: int | None) -> Iterator[None]:
    """Gives a seed to every shuffle that is made inside without one.

    The k-th of them gets the entropy [seed, k], so that the same input_fn, called again with the same
    seed, shuffles alike. With None nothing is set.

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


def entropy(seed: int | None) -> tuple[int, ...] | None:
    """What a random stage draws from: its own seed, the default seed, or None for a fresh one each time."""
    if seed is not None:
        return (_unsigned(seed),)
    current = _current.get()
    return None if current is None else (_unsigned(current[0]), next(current[1]))


def fresh() -> tuple[int, ...]:
    """Entropy from the operating system."""
    drawn = np.random.SeedSequence().entropy
    return (int(drawn),)  # type: ignore[arg-type]


def generator(source: tuple[int, ...] | None, epoch: tuple[int, ...]) -> np.random.Generator:
    """A generator of its own: a function of the entropy and of the epoch, or fresh without entropy."""
    sequence = np.random.SeedSequence(source, spawn_key=epoch if source is not None else ())
    return np.random.Generator(np.random.PCG64(sequence))


def _unsigned(seed: int) -> int:
    return int(seed) % 2**64
