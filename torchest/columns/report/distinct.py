"""Counts distinct values in bounded memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from torchest.columns.encode.fingerprint import KEY_SPACE

if TYPE_CHECKING:
    from torchest.columns.encode.fingerprint import Int64s

_KEPT = 1 << 20  # keys that are counted one by one
_WAITING = 1 << 18


class Distinct:
    """Counts distinct keys that are evenly distributed, such as hashes.

    Counts up to a million keys exactly. Beyond that it keeps the keys below a limit, which it halves as often
    as needed: an even sample, whose size gives an estimate within a few per mille.

    Args:
        space: Keys are in [0, space).

    >>> distinct = Distinct()
    >>> distinct.add(np.array([7, 3, 7]))
    >>> distinct.count()
    2
    """

    def __init__(self, space: int = KEY_SPACE) -> None:
        self._space = space
        self._limit = space
        self._keys: Int64s = np.empty(0, np.int64)
        self._waiting: list[Int64s] = []
        self._number_waiting = 0

    def add(self, keys: Int64s) -> None:
        """Adds keys, int64 [n]."""
        if not self.exact:
            keys = keys[keys < self._limit]
        self._waiting.append(keys)
        self._number_waiting += len(keys)
        if self._number_waiting > _WAITING:
            self._merge()

    @property
    def exact(self) -> bool:
        """Whether every key is kept."""
        return self._limit == self._space

    def count(self) -> int:
        """The number of distinct keys."""
        self._merge()
        return round(len(self._keys) * self._space / self._limit)

    def collisions(self, buckets: int) -> int:
        """The number of distinct keys that share their bucket with another; an expectation if not exact."""
        distinct = self.count()
        if not self.exact:
            return round(distinct * collision_share(distinct, buckets))
        _, together = np.unique(self._keys % buckets, return_counts=True)
        return int(together[together > 1].sum())

    def _merge(self) -> None:
        if self._waiting:
            self._keys = np.unique(np.concatenate([self._keys, *self._waiting]))
            self._waiting, self._number_waiting = [], 0
        while len(self._keys) > _KEPT:
            self._limit //= 2
            self._keys = self._keys[: np.searchsorted(self._keys, self._limit)]


def collision_share(distinct: int, buckets: int) -> float:
    """The expected fraction of values that share their bucket with another: 1 − (1 − 1/m)ⁿ⁻¹."""
    if distinct < 2:
        return 0.0
    if buckets == 1:
        return 1.0
    return -math.expm1((distinct - 1) * math.log1p(-1 / buckets))


def bucket_size(distinct: int, share: float) -> int:
    """The number of buckets for an expected fraction of collisions, rounded up to two digits.

    Args:
        distinct: The number of values.
        share: The expected fraction of values that share their bucket with another, in (0, 1).

    >>> bucket_size(1000, 0.1)
    9500
    """
    if distinct < 2:
        return 1
    exact = -1 / math.expm1(math.log1p(-share) / (distinct - 1))
    size = math.ceil(exact * (1 - 1e-12))  # 4 and not 5 where rounding made 4.000000000000001
    step = 10 ** max(len(str(size)) - 2, 0)
    return int(-(-size // step) * step)
