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

    from torchest.utils.arrays import NumpyArray

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

    @property
    def table(self) -> Int64s:
        """The table for compiled loops."""
        return self._table.table

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

    Attributes:
        table: The addresses of arrays, for compiled loops, int64: the first place of each slot, the number of bits to
            shift (itself), the sorted fingerprints, the position of each in the vocabulary, and the words.

    >>> Words(["First", "Second"]).look_up(Text.of_words(["Second", "third"]))
    array([ 1, -1])
    """

    def __init__(self, words: Sequence[str | bytes]) -> None:
        text = Text.of_words(words)
        fingerprints = text.fingerprints()
        order = np.argsort(fingerprints, kind="stable")
        in_order = fingerprints[order]
        bits = len(words).bit_length() + 1
        slots = (in_order >> np.uint64(64 - bits)).astype(np.int64)
        begins = np.searchsorted(slots, np.arange(2**bits + 1))
        self._arrays = begins, in_order, order, text.data, text.starts, text.lengths
        first, *others = [_address(array) for array in self._arrays]
        self.table = np.array([first, 64 - bits, *others])

    def look_up(self, text: Text) -> Int64s:
        """The position of each string in the vocabulary; −1 for unknown strings."""
        from torchest.kernels import ids

        places = np.empty(len(text), np.int64)
        hashes = text.fingerprints()
        data, starts, lengths = _address(text.data), _address(text.starts), _address(text.lengths)
        ids.places_of_words(self.table, data, starts, lengths, _address(hashes), places)
        return places


class Integers:
    """A vocabulary of integers.

    Attributes:
        table: The addresses of the ascending integers and of their positions in the vocabulary, int64, for compiled
            loops.

    >>> Integers([7, 3]).look_up(np.array([3, 5]))
    array([ 1, -1])
    """

    def __init__(self, values: Sequence[int]) -> None:
        listed = np.asarray(values, np.int64)
        self._order = np.argsort(listed, kind="stable")
        self._sorted = listed[self._order]
        self.table = np.array([_address(self._sorted), _address(self._order)])

    def look_up(self, values: Int64s) -> Int64s:
        """The position of each integer in the vocabulary; −1 for unknown integers."""
        at = np.minimum(np.searchsorted(self._sorted, values), len(self._sorted) - 1)
        return np.where(self._sorted[at] == values, self._order[at], _UNKNOWN)


def _address(array: NumpyArray) -> int:
    assert array.flags.c_contiguous
    address: int = array.__array_interface__["data"][0]
    return address
