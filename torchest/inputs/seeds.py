"""Seeds of shuffles."""

from __future__ import annotations

import functools
import itertools
import math
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from torchest.utils.checks import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

_AT_ONCE = 64  # epochs whose states are computed together
# the constants of NumPy's SeedSequence
_INIT_A, _MULT_A, _INIT_B, _MULT_B = 0x43B0D7E5, 0x931E8875, 0x8B51F9DD, 0x58F38DED
_MIX_LEFT, _MIX_RIGHT, _HALF = np.uint32(0xCA01F9DD), np.uint32(0x4973F715), np.uint32(16)
_current: ContextVar[tuple[tuple[int, ...], itertools.count[int]] | None] = ContextVar(
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
    with derived(None if seed is None else (_unsigned(seed),)):
        yield


@contextmanager
def derived(source: tuple[int, ...] | None) -> Iterator[None]:
    """A context that seeds every shuffle made without a seed: the k-th gets the entropy [*source, k]."""
    token = _current.set(None if source is None else (source, itertools.count()))
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
        return (*current[0], next(current[1]))
    return (cast("int", np.random.SeedSequence().entropy),)


def generator(source: tuple[int, ...], epoch: tuple[int, ...]) -> np.random.Generator:
    """A generator whose numbers depend only on the entropy and the epoch.

    They are those of `np.random.SeedSequence(source, spawn_key=epoch)`.
    """
    if not epoch or epoch[-1] >= 2**31:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(source, spawn_key=epoch)))
    block, place = divmod(epoch[-1], _AT_ONCE)
    known: Any = _Known(
        _states(source, epoch[:-1], block)[place]
    )  # NumPy's stubs want a SeedSequence
    _make_known()
    return np.random.Generator(np.random.PCG64(known))


@functools.cache
def _make_known() -> None:
    """Lets NumPy take `_Known`; an import of `numpy.random` takes time that other programs do not need."""
    from numpy.random.bit_generator import ISeedSequence

    ISeedSequence.register(_Known)


class _Known:
    """A seed sequence whose numbers are known.

    Args:
        state: uint64 [4], as PCG64 takes.
    """

    def __init__(self, state: npt.NDArray[np.uint64]) -> None:
        self._state = state

    def generate_state(
        self,
        n_words: int,  # noqa: ARG002
        dtype: Any = np.uint32,  # noqa: ARG002
    ) -> npt.NDArray[np.uint64]:
        return self._state


@functools.lru_cache(maxsize=8)
def _states(source: tuple[int, ...], before: tuple[int, ...], block: int) -> npt.NDArray[np.uint64]:
    """The states [_AT_ONCE, 4] of a block of epochs, as NumPy's SeedSequence makes them one by one.

    That takes it longer than to shuffle the rows of a small table. Its pool of four words has mixed in the words
    before the last one, so that only that one is left to do.
    """
    words = np.arange(block * _AT_ONCE, (block + 1) * _AT_ONCE, dtype=np.uint32)
    known = np.random.SeedSequence(source, spawn_key=before).pool
    mixed = 16 + 4 * (max(_words_in(source) - 4, 0) + _words_in(before))
    factor = _INIT_A * pow(_MULT_A, mixed, 2**32) % 2**32
    pool = []
    for place in range(4):
        scrambled = _scrambled(words, factor, _MULT_A)
        factor = factor * _MULT_A % 2**32
        value = known[place : place + 1] * _MIX_LEFT - scrambled * _MIX_RIGHT
        pool.append(value ^ (value >> _HALF))
    states = np.empty((_AT_ONCE, 8), np.uint32)
    factor = _INIT_B
    for place in range(8):
        states[:, place] = _scrambled(pool[place % 4], factor, _MULT_B)
        factor = factor * _MULT_B % 2**32
    return states.view(np.uint64)


def _words_in(numbers: tuple[int, ...]) -> int:
    """How many words of 32 bits the numbers take, each at least one."""
    return sum(max(1, -(-int(number).bit_length() // 32)) for number in numbers)


def _scrambled(
    values: npt.NDArray[np.uint32], factor: int, multiplier: int
) -> npt.NDArray[np.uint32]:
    values = (values ^ np.uint32(factor)) * np.uint32(factor * multiplier % 2**32)
    return np.asarray(values ^ (values >> _HALF))


def _unsigned(seed: int) -> int:
    return int(seed) % 2**64
