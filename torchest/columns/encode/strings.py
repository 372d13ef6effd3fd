"""Text as flat bytes, the form for hashing, from NumPy, Arrow and integers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from torchest.columns.encode.fingerprint import Bytes, Int64s, UInt64s, fingerprint64
from torchest.utils.arrays import ArrowArray, is_arrow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from torchest.utils.arrays import HostArray, NumpyArray

_DICTIONARIES_KEPT = 8
PLAIN = ("string", "large_string", "binary", "large_binary")
_SHORT = 4096  # strings; hashing so many takes longer than the calls that it is made of


@dataclass(frozen=True, eq=False)
class Text:
    """Byte strings in one buffer.

    Attributes:
        data: The buffer, uint8 [bytes].
        starts: The start of each string, int64 [n].
        lengths: The number of bytes of each string, int64 [n]; 0 for a missing one.
        source: The array with the text, for errors.
    """

    data: Bytes
    starts: Int64s
    lengths: Int64s
    source: NumpyArray | ArrowArray = None

    def __len__(self) -> int:
        return len(self.starts)

    @classmethod
    def of(cls, values: NumpyArray | ArrowArray) -> Text:
        """The text of a one-dimensional numpy array of kind S or U, or of a textual Arrow array."""
        return _of_numpy(values) if isinstance(values, np.ndarray) else _of_arrow(values)

    @classmethod
    def of_integers(cls, values: Int64s) -> Text:
        """Decimal text; −1, which means missing, becomes the empty string."""
        import pyarrow as pa

        text = _of_arrow(pa.array(values).cast(pa.string()))
        missing = values == -1
        return Text(text.data, text.starts, np.where(missing, 0, text.lengths))

    @classmethod
    def of_words(cls, words: Iterable[str | bytes]) -> Text:
        """The text of Python strings."""
        encoded = [word.encode() if isinstance(word, str) else word for word in words]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return Text(np.frombuffer(b"".join(encoded), np.uint8), _starts(lengths), lengths)

    def take(self, rows: NumpyArray) -> Text:
        """Some of the strings, by index or by mask."""
        return Text(self.data, self.starts[rows], self.lengths[rows])

    def with_empty(self) -> Text:
        """Appends an empty string."""
        return Text(self.data, np.append(self.starts, 0), np.append(self.lengths, 0))

    def fingerprints(self) -> UInt64s:
        """The FarmHash Fingerprint64 of each string; computed once, read-only."""
        known: UInt64s | None = self.__dict__.get("_known")
        if known is None:
            known = self._keep(fingerprint64(self.data, self.starts, self.lengths))
        return known

    def _keep(self, fingerprints: UInt64s) -> UInt64s:
        fingerprints.flags.writeable = False
        self.__dict__["_known"] = fingerprints
        return fingerprints


def text_of_rows(array: HostArray) -> Text | None:
    """The text of an array of one string in each row; None for numbers, dictionaries, lists and matrices."""
    if isinstance(array, np.ndarray):
        plain = array.dtype.kind == "S" and (array.ndim == 1 or array.shape[1:] == (1,))
        array = array.reshape(-1) if plain else array
    else:
        plain = is_arrow(array) and str(array.type) in PLAIN
    if not plain:
        return None
    text = Text.of(array)
    return Text(text.data, text.starts, text.lengths, array)


def hash_all(texts: Iterable[Text]) -> None:
    """Computes the fingerprints of several texts; hashes short ones in one call, which is faster."""
    short = [text for text in texts if len(text) < _SHORT and "_known" not in text.__dict__]
    if len(short) < 2:
        return
    sizes = np.array([text.data.size for text in short])
    places = np.cumsum(sizes) - sizes
    fingerprints = fingerprint64(
        np.concatenate([text.data for text in short]),
        np.concatenate([text.starts + place for text, place in zip(short, places, strict=True)]),
        np.concatenate([text.lengths for text in short]),
    )
    ends = np.cumsum([len(text) for text in short])
    for text, part in zip(short, np.split(fingerprints, ends[:-1]), strict=True):
        text._keep(part)


class DictionaryCache:
    """Caches a column's codes for the newest dictionaries of dictionary-encoded input.

    The addresses of its buffers identify a dictionary, which the cache keeps alive.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], tuple[ArrowArray, NumpyArray]] = OrderedDict()
        self._lock = threading.Lock()

    def codes(self, array: ArrowArray, encode: Callable[[Text], NumpyArray]) -> NumpyArray:
        """A code for each string of a dictionary array; a missing one has that of the empty string.

        Args:
            array: Dictionary-encoded text.
            encode: Converts text to codes; the same function in each call.
        """
        codes = self.codes_of_entries(array.dictionary, encode)
        entries = array.indices.cast("int64")  # the type of indices may be too small for one more
        entries = entries.fill_null(len(array.dictionary)).to_numpy(zero_copy_only=False)
        return np.asarray(codes[entries])

    def codes_of_entries(
        self, dictionary: ArrowArray, encode: Callable[[Text], NumpyArray]
    ) -> NumpyArray:
        """The codes of all entries of a dictionary, followed by that of the empty string."""
        key = (dictionary.offset, len(dictionary), *map(_address, dictionary.buffers()))
        with self._lock:
            entry = self._kept.get(key)
        if entry is None:
            entry = dictionary, encode(Text.of(dictionary).with_empty())
        with self._lock:
            self._kept[key] = entry
            self._kept.move_to_end(key)
            if len(self._kept) > _DICTIONARIES_KEPT:
                self._kept.popitem(last=False)
        return entry[1]


def _address(buffer: pa.Buffer | None) -> int | None:
    return None if buffer is None else int(buffer.address)


def _starts(lengths: Int64s) -> Int64s:
    return np.asarray(np.cumsum(lengths) - lengths, np.int64)


def _of_numpy(values: NumpyArray) -> Text:
    if values.dtype.kind == "U":
        points = np.ascontiguousarray(values).view(np.uint32)
        if points.size and points.max() >= 128:
            values = np.char.encode(values, "utf-8")
        else:
            values = points.astype(np.uint8).view(f"S{max(values.itemsize // 4, 1)}")
    width = values.itemsize
    if not width:
        nothing = np.zeros(len(values), np.int64)
        return Text(np.empty(0, np.uint8), nothing, nothing)
    from torchest.kernels import farmhash

    data = np.ascontiguousarray(values).view(np.uint8)
    lengths = np.empty(len(values), np.int64)
    farmhash.lengths_without_padding(data, width, lengths)
    return Text(data, np.arange(0, len(values) * width, width), lengths)


def _of_arrow(values: ArrowArray) -> Text:
    import pyarrow as pa

    large = pa.types.is_large_string(values.type) or pa.types.is_large_binary(values.type)
    if not large and not pa.types.is_string(values.type) and not pa.types.is_binary(values.type):
        values = values.cast(pa.large_binary())  # string_view, fixed_size_binary
        large = True
    _, positions, data = values.buffers()
    if positions is None or not len(values):
        empty = np.zeros(len(values), np.int64)
        return Text(np.empty(0, np.uint8), empty, empty)
    ends = np.frombuffer(positions, np.int64 if large else np.int32)
    ends = ends[values.offset : values.offset + len(values) + 1]
    starts = ends[:-1].astype(np.int64)
    lengths = np.diff(ends).astype(np.int64)
    if values.null_count:
        lengths[values.is_null().to_numpy(zero_copy_only=False)] = 0
    flat = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    # The array may be a few rows of a long column.
    return Text(flat[ends[0] : ends[-1]], starts - starts[0], lengths)
