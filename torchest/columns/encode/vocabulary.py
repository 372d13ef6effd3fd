"""Lookup of words and integers in a vocabulary, exact and vectorised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.columns.encode.cells import MISSING
from torchest.columns.encode.fingerprint import Int64s, bucket_of
from torchest.columns.encode.strings import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_UNKNOWN = -1


class Vocabulary:
    """Words or integers with ids, and a rule for unknown ones.

    Args:
        words: All strings or all integers, each once, in the order of their ids.
        default_value: The id of an unknown value; −1 for none.
        num_oov_buckets: The number of hash buckets for unknown values, whose ids follow the words. 0: unknown values
            have the id `default_value`.
    """

    def __init__(
        self, words: Sequence[str | bytes | int], default_value: int, num_oov_buckets: int
    ) -> None:
        self._size = len(words)
        self._table = Integers(words) if isinstance(words[0], int) else Words(words)  # type: ignore[arg-type]
        self._default_value = default_value
        self._num_oov_buckets = num_oov_buckets
        self.was_hit = False  # whether a value was a word, ever

    def ids(self, text: Text) -> Int64s:
        """The id of each string; MISSING for an empty one."""
        assert isinstance(self._table, Words)
        ids = self._table.look_up(text)
        missing = text.lengths == 0
        unknown = np.flatnonzero((ids == _UNKNOWN) & ~missing)
        self._note_hit(len(unknown), missing)
        ids[unknown] = self._ids_of_unknown(text.take(unknown))
        ids[missing] = MISSING
        return ids

    def ids_of_integers(self, values: Int64s) -> Int64s:
        """The id of each integer; MISSING of −1."""
        assert isinstance(self._table, Integers)
        ids = self._table.look_up(values)
        missing = values == -1
        unknown = np.flatnonzero((ids == _UNKNOWN) & ~missing)
        self._note_hit(len(unknown), missing)
        ids[unknown] = self._ids_of_unknown(Text.of_integers(values[unknown]))
        ids[missing] = MISSING
        return ids

    def _note_hit(self, unknown: int, missing: npt.NDArray[np.bool_]) -> None:
        if not self.was_hit:
            self.was_hit = unknown + np.count_nonzero(missing) < len(missing)

    def _ids_of_unknown(self, text: Text) -> Int64s | int:
        if not self._num_oov_buckets:
            return self._default_value
        return bucket_of(text.fingerprints(), self._num_oov_buckets) + self._size


class Words:
    """A vocabulary of byte strings, found by their fingerprints and then compared byte for byte.

    Fingerprints are evenly distributed, so their highest bits determine a slot in the sorted list. With twice as many
    slots as words, a slot has few words.

    >>> Words(["First", "Second"]).look_up(Text.of_words(["Second", "third"]))
    array([ 1, -1])
    """

    def __init__(self, words: Sequence[str | bytes]) -> None:
        self._words = Text.of_words(words)
        fingerprints = self._words.fingerprints()
        self._order = np.argsort(fingerprints, kind="stable")
        self._sorted = fingerprints[self._order]
        bits = len(words).bit_length() + 1
        self._shift = np.uint64(64 - bits)
        places = np.arange(2**bits + 1)
        self._begins = np.searchsorted((self._sorted >> self._shift).astype(np.int64), places)

    def look_up(self, text: Text) -> Int64s:
        """The position of each string in the vocabulary; −1 for unknown strings."""
        fingerprints = text.fingerprints()
        place = (fingerprints >> self._shift).astype(np.int64)
        at, end = self._begins[place], self._begins[place + 1]
        ids = np.full(len(text), _UNKNOWN, np.int64)
        rows = np.flatnonzero(at < end)
        while rows.size:
            same = rows[self._sorted[at[rows]] == fingerprints[rows]]
            ids[same] = self._verified(text.take(same), self._order[at[same]])
            at[rows] += 1
            rows = rows[(at[rows] < end[rows]) & (ids[rows] == _UNKNOWN)]
        return ids

    def _verified(self, text: Text, ids: Int64s) -> Int64s:
        """The ids whose words equal the strings; −1 if only the fingerprints are equal."""
        return np.where(self._words.take(ids).equals(text), ids, _UNKNOWN)


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
        """The position of each integer in the vocabulary; −1 for unknown integers."""
        at = np.minimum(np.searchsorted(self._sorted, values), len(self._sorted) - 1)
        return np.where(self._sorted[at] == values, self._order[at], _UNKNOWN)
