"""Lookup of words and integers in a vocabulary, exact and vectorised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.columns.cells import MISSING
from torchest.columns.fingerprint import Int64s, bucket_of
from torchest.columns.strings import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNKNOWN = -1


class Vocabulary:
    """Words or integers with ids, and a rule for those that are not among them.

    Args:
        words: All strings or all integers, each once, in the order of their ids.
        default_value: The id of an unknown value; −1 for none.
        num_oov_buckets: If above 0, an unknown value's id is that of a hash bucket after the words.
    """

    def __init__(
        self, words: Sequence[str | bytes | int], default_value: int, num_oov_buckets: int
    ) -> None:
        self._size = len(words)
        self._table = Integers(words) if isinstance(words[0], int) else Words(words)  # type: ignore[arg-type]
        self._default_value = default_value
        self._num_oov_buckets = num_oov_buckets

    def ids(self, text: Text) -> Int64s:
        """The id of each string; MISSING of the empty one."""
        assert isinstance(self._table, Words)
        ids = self._table.look_up(text)
        missing = text.lengths == 0
        unknown = np.flatnonzero((ids == _UNKNOWN) & ~missing)
        ids[unknown] = self._ids_of_unknown(text.take(unknown))
        ids[missing] = MISSING
        return ids

    def ids_of_integers(self, values: Int64s) -> Int64s:
        """The id of each integer; MISSING of −1."""
        assert isinstance(self._table, Integers)
        ids = self._table.look_up(values)
        missing = values == -1
        unknown = np.flatnonzero((ids == _UNKNOWN) & ~missing)
        ids[unknown] = self._ids_of_unknown(Text.of_integers(values[unknown]))
        ids[missing] = MISSING
        return ids

    def _ids_of_unknown(self, text: Text) -> Int64s | int:
        if not self._num_oov_buckets:
            return self._default_value
        return bucket_of(text.fingerprints(), self._num_oov_buckets) + self._size


class Words:
    """A vocabulary of byte strings, found by their fingerprints and then compared byte for byte.

    >>> Words(["First", "Second"]).look_up(Text.of_words(["Second", "third"]))
    array([ 1, -1])
    """

    def __init__(self, words: Sequence[str | bytes]) -> None:
        self._words = Text.of_words(words)
        fingerprints = self._words.fingerprints()
        self._order = np.argsort(fingerprints, kind="stable")
        self._sorted = fingerprints[self._order]
        _, counts = np.unique(fingerprints, return_counts=True)
        self._longest_run = int(counts.max())  # above 1 only where fingerprints collide

    def look_up(self, text: Text) -> Int64s:
        """The place of each string in the vocabulary, −1 where it is not in it."""
        fingerprints = text.fingerprints()
        first = np.searchsorted(self._sorted, fingerprints)
        ids = np.full(len(text), _UNKNOWN, np.int64)
        for step in range(self._longest_run):
            at = np.minimum(first + step, len(self._sorted) - 1)
            rows = np.flatnonzero((self._sorted[at] == fingerprints) & (ids == _UNKNOWN))
            found = self._order[at[rows]]
            same = self._words.take(found).equals(text.take(rows))
            ids[rows[same]] = found[same]
        return ids


class Integers:
    """A vocabulary of integers.

    >>> Integers([7, 3]).look_up(np.array([3, 5]))
    array([ 1, -1])
    """

    def __init__(self, values: Sequence[int]) -> None:
        listed = np.asarray(values, np.int64)
        self._order = np.argsort(listed, kind="stable")
        self._sorted = listed[self._order]

    def look_up(self, values: Int64s) -> Int64s:
        """The place of each integer in the vocabulary, −1 where it is not in it."""
        at = np.minimum(np.searchsorted(self._sorted, values), len(self._sorted) - 1)
        return np.where(self._sorted[at] == values, self._order[at], _UNKNOWN)
