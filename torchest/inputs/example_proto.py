"""Serialized `tf.Example` records taken apart, all records at once.

An Example is a map from keys to Features, and a Feature is a list of byte strings, of floats or of int64s.
These messages lie within each other: the map in the Example, entries in the map, a key and a Feature in each
entry, a list in the Feature. Each level is read for all records together; see `torchest.inputs.wire`.

Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.columns.encode.strings import Text
from torchest.columns.encode.vocabulary import Words
from torchest.inputs import wire
from torchest.inputs.byte_strings import strings_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from torchest.inputs.wire import Bytes, Fields, Int64s

# The kinds of Features: the tags of their lists.
BYTES, FLOATS, INT64S = 0x0A, 0x12, 0x1A

# Tags of fields of the other messages. A packed list of numbers is one field; of one that is not, each
# number is.
_MAP = _ENTRY = _KEY = _STRING = _PACKED = 0x0A
_FEATURE = 0x12
_FLOAT, _INTEGER = 0x0D, 0x08

_LISTS = 1 << 13  # lists that are read at once: their arrays stay in the cache


@dataclass(frozen=True)
class Column:
    """What records hold of one feature.

    Attributes:
        values: float32, int64, or an Arrow array of bytes; of all records one after the other.
        counts: How many values each record has, int64 [records].
        kind: BYTES, FLOATS or INT64S, 0 where a record does not have the feature, [records]. A record
            with another kind than was asked for has no values.
    """

    values: Any
    counts: Int64s
    kind: npt.NDArray[np.uint16]


def read_examples(records: Any, kinds: Mapping[str, int]) -> dict[str, Column]:
    """Features of serialized Examples.

    As Protocol Buffers have it, fields come in any order, unknown ones are passed over, and of two
    entries with one key the last counts.

    Args:
        records: An Arrow array of type large_binary without nulls.
        kinds: The kind of each feature to read, by key.

    Raises:
        wire.MalformedError: A record is no Example; it has the record's number.
    """
    data, starts = _joined(records)
    places = _find_features(data, starts, tuple(kinds))
    at_once = max(_LISTS // max(len(records), 1), 1)
    columns: dict[str, Column] = {}
    for kind in _READERS:
        rows = [row for row, of_feature in enumerate(kinds.values()) if of_feature == kind]
        for first in range(0, len(rows), at_once):
            some = rows[first : first + at_once]
            columns |= zip(
                [list(kinds)[row] for row in some],
                _read_features(data, places[:, some], kind),
                strict=True,
            )
    return columns


def _joined(records: Any) -> tuple[Bytes, Int64s]:
    """All records in one padded buffer, and where each begins and the last one ends."""
    count = len(records)
    _, offsets, content = records.buffers()
    if not count or content is None:
        return np.zeros(wire.PADDING, np.uint8), np.zeros(count + 1, np.int64)
    starts = np.frombuffer(offsets, np.int64)[records.offset : records.offset + count + 1]
    data = np.zeros(starts[-1] - starts[0] + wire.PADDING, np.uint8)
    data[: -wire.PADDING] = np.frombuffer(content, np.uint8)[starts[0] : starts[-1]]
    return data, starts - starts[0]


def _find_features(data: Bytes, starts: Int64s, keys: tuple[str, ...]) -> Int64s:
    """Where Features begin and end, [2, keys, records]; they are empty where a record has none."""
    places = np.zeros((2, len(keys), len(starts) - 1), np.int64)
    for fields in wire.steps(data, wire.messages(starts[:-1], starts[1:])):
        for parts in wire.grouped(wire.steps(data, fields.with_tag(_MAP))):
            _note_places(data, parts.with_tag(_ENTRY), keys, places)
    return places


def _note_places(data: Bytes, entries: Fields, keys: tuple[str, ...], places: Int64s) -> None:
    """Notes where the Features of some entries lie."""
    record = entries.owner
    with _record_of(lambda entry: record[entry]):
        parts = wire.read_fields(data, wire.messages(entries.start, entries.stop))
    key = _numbers_of(data, parts.with_tag(_KEY).last_of_each(len(entries)), keys)
    feature = parts.with_tag(_FEATURE).last_of_each(len(entries))
    wanted = np.flatnonzero(key >= 0)
    places[0, key[wanted], record[wanted]] = feature.start[wanted]
    places[1, key[wanted], record[wanted]] = feature.stop[wanted]


def _numbers_of(data: Bytes, found: Fields, keys: tuple[str, ...]) -> Int64s:
    """The place of each key among those wanted, −1 for others.

    Records mostly have their entries in one order, so that one key comes many times running; it is looked
    up once.
    """
    heads = np.flatnonzero(wire.differs_from_last(data, found))
    text = Text(data, found.start[heads], (found.stop - found.start)[heads])
    return np.repeat(_words(keys).look_up(text), np.diff(np.append(heads, len(found))))


@functools.lru_cache
def _words(keys: tuple[str, ...]) -> Words:
    return Words(keys)


def _read_features(data: Bytes, places: Int64s, kind: int) -> list[Column]:
    """Columns of one kind from Features that lie at places, [2, features, records]."""
    _, features, records = places.shape
    with _record_of(lambda place: place % records):
        fields = wire.read_fields(data, wire.messages(*places.reshape(2, -1)))
        lists = fields.with_tag(*_READERS).last_of_each(features * records)
        other = lists.tag != kind
        own = dataclasses.replace(lists, stop=np.where(other, lists.start, lists.stop))
        values, owner, counts = _READERS[kind](data, own)
    kinds = lists.tag.reshape(features, records)
    totals = np.bincount(owner, counts, len(lists)).astype(np.int64).reshape(features, records)
    parts = np.split(values, np.cumsum(totals.sum(1))[:-1])
    return [
        Column(strings_at(data, part) if kind == BYTES else part, counts, of_each)
        for part, counts, of_each in zip(parts, totals, kinds, strict=True)
    ]


def _read_strings(data: Bytes, lists: Fields) -> tuple[Int64s, Int64s, Int64s | None]:
    """Where strings begin and end, [n, 2], and the list that each belongs to; each counts as one."""
    strings = wire.read_fields(data, lists).with_tag(_STRING).by_owner()
    return np.stack([strings.start, strings.stop], 1), strings.owner, None


def _read_floats(data: Bytes, lists: Fields) -> tuple[npt.NDArray[np.float32], Int64s, Int64s]:
    """Floats, the list that some of them belong to, and how many do."""
    parts = wire.read_fields(data, lists).with_tag(_PACKED, _FLOAT).by_owner()
    values, counts = wire.read_floats(data, parts)
    return values, parts.owner, counts


def _read_int64s(data: Bytes, lists: Fields) -> tuple[Int64s, Int64s, Int64s]:
    """Integers, the list that some of them belong to, and how many do."""
    parts = wire.read_fields(data, lists).with_tag(_PACKED, _INTEGER).by_owner()
    values, counts = wire.read_varints(data, parts)
    return values, parts.owner, counts


_READERS: dict[int, Callable[[Bytes, Fields], tuple[Any, Int64s, Int64s | None]]] = {
    BYTES: _read_strings,
    FLOATS: _read_floats,
    INT64S: _read_int64s,
}


@contextlib.contextmanager
def _record_of(record: Callable[[int], Any]) -> Iterator[None]:
    """Within, a malformed message has the number of its record."""
    try:
        yield
    except wire.MalformedError as error:
        raise wire.MalformedError(int(record(error.message))) from None
