"""Serialized `tf.Example` records in Protocol Buffers' wire format.

A message is a sequence of fields, each a tag (field number · 8 + wire type) and a value.

Format: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel, part

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Int64s = npt.NDArray[np.int64]

# Tags. A packed list of numbers is one field; of one that is not packed, each number is one.
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 0x0A, 0x12, 0x1A
_MAP = _ENTRY = _KEY = _STRING = _PACKED = 0x0A
_FEATURE = 0x12
_FLOAT, _INTEGER = 0x0D, 0x08

_NONE = _MALFORMED = -1
_LONGEST_VARINT = 10  # bytes
_LAST_TAG = np.uint64(0xFFFF)  # in place of all larger ones
_LONGEST = np.uint64(1 << 48)  # more than a buffer has


@kernel
def find_features(
    data: Bytes, starts: Int64s, keys: Bytes, key_starts: Int64s, places: Int64s
) -> int:
    """Writes the position of each key's Feature in each record. The last entry of a key counts.

    Args:
        data: All records.
        starts: The start of each record, and the end of the last, [records + 1].
        keys: All keys.
        key_starts: The start of each key, and the end of the last, [keys + 1].
        places: Output, initially 0: start and stop of each Feature, [records, keys, 2].

    Returns:
        The number of the first malformed record, or −1.
    """
    following = np.zeros(len(key_starts), np.int64)
    for record in range(len(starts) - 1):
        at, stop = starts[record], starts[record + 1]
        while at < stop:
            tag, start, at = _field(data, at, stop)
            if at == _MALFORMED or (
                tag == _MAP
                and not _find_entries(data, start, at, keys, key_starts, following, places[record])
            ):
                return record
    return _NONE


@kernel
def find_lists(data: Bytes, features: Int64s, kinds: Int64s, lists: Int64s) -> int:
    """Writes the kind of each Feature, and the position of its list. The last of several lists counts.

    Args:
        data: All records.
        features: Start and stop of each Feature, [records, 2].
        kinds: Output: the kinds, 0 for a Feature without a list, [records].
        lists: Output: start and stop of each list, [records, 2].

    Returns:
        The number of the first malformed record, or −1.
    """
    for record in range(len(features)):
        at, stop = features[record]
        kind, list_start, list_stop = 0, 0, 0
        while at < stop:
            tag, start, at = _field(data, at, stop)
            if at == _MALFORMED:
                return record
            if tag in (_BYTES_LIST, _FLOAT_LIST, _INT64_LIST):
                kind, list_start, list_stop = tag, start, at
        kinds[record], lists[record, 0], lists[record, 1] = kind, list_start, list_stop
    return _NONE


@kernel
def read_strings(data: Bytes, lists: Int64s, values: Int64s, counts: Int64s) -> int:
    """Writes the start and stop of each string in lists.

    Args:
        data: All records.
        lists: Start and stop of each list, [records, 2].
        values: Output: start and stop of each string, [n, 2].
        counts: Output: the number of strings in each list, [records].

    Returns:
        The number of the first malformed record, or −1.
    """
    total = 0
    for record in range(len(lists)):
        before = total
        at, stop = lists[record]
        while at < stop:
            tag, start, at = _field(data, at, stop)
            if at == _MALFORMED:
                return record
            if tag == _STRING:
                values[total, 0], values[total, 1] = start, at
                total += 1
        counts[record] = total - before
    return _NONE


@kernel
def read_floats(data: Bytes, lists: Int64s, values: npt.NDArray[np.uint32], counts: Int64s) -> int:
    """Writes the bits of the floats in lists; otherwise like `read_strings`."""
    total = 0
    for record in range(len(lists)):
        before = total
        at, stop = lists[record]
        while at < stop:
            tag, start, at = _field(data, at, stop)
            if at == _MALFORMED:
                return record
            if tag in (_PACKED, _FLOAT):
                if (at - start) % 4:
                    return record
                for place in range(start, at, 4):
                    bits = np.uint32(0)
                    for byte in range(4):
                        bits |= np.uint32(data[place + byte]) << np.uint32(8 * byte)
                    values[total] = bits
                    total += 1
        counts[record] = total - before
    return _NONE


@kernel
def read_int64s(data: Bytes, lists: Int64s, values: Int64s, counts: Int64s) -> int:
    """Writes the integers in lists; otherwise like `read_strings`."""
    total = 0
    for record in range(len(lists)):
        before = total
        at, stop = lists[record]
        while at < stop:
            tag, start, at = _field(data, at, stop)
            if at == _MALFORMED:
                return record
            if tag in (_PACKED, _INTEGER):
                while start < at:
                    number, start = _varint(data, start, at)
                    if start == _MALFORMED:
                        return record
                    values[total] = np.int64(number)
                    total += 1
        counts[record] = total - before
    return _NONE


@part
def _find_entries(  # noqa: PLR0913
    data: Bytes,
    at: int,
    stop: int,
    keys: Bytes,
    key_starts: Int64s,
    following: Int64s,
    places: Int64s,
) -> bool:
    """Writes the positions of the Features of a map, and returns whether the map is well formed.

    Most records have their entries in the same order, so after each key, the key that followed it last is tried first.
    """
    last = count = len(key_starts) - 1
    while at < stop:
        tag, part, at = _field(data, at, stop)
        if at == _MALFORMED:
            return False
        if tag != _ENTRY:
            continue
        key_start, key_stop, start, end = 0, 0, 0, 0
        while part < at:
            tag, value, part = _field(data, part, at)
            if part == _MALFORMED:
                return False
            if tag == _KEY:
                key_start, key_stop = value, part
            elif tag == _FEATURE:
                start, end = value, part
        number = _number_of(data, key_start, key_stop, keys, key_starts, following[last])
        if number < count:
            following[last] = number
            last = number
            places[number, 0], places[number, 1] = start, end
    return True


@part
def _number_of(
    data: Bytes, start: int, stop: int, keys: Bytes, key_starts: Int64s, first: int
) -> int:
    """The position of a key among the wanted ones, one of which is tried first; their number if it is not wanted."""
    count = len(key_starts) - 1
    for attempt in range(-1, count):
        number = first if attempt < 0 else attempt
        place, key_start = 0, key_starts[number]
        if key_starts[number + 1] - key_start == stop - start:
            while start + place < stop and data[start + place] == keys[key_start + place]:
                place += 1
            if start + place == stop:
                return number
    return count


@part
def _field(data: Bytes, at: int, stop: int) -> tuple[int, int, int]:
    """The tag of a field, and the start and stop of its value; _MALFORMED if the value exceeds the message."""
    number, start = _varint(data, at, stop)
    tag = np.int64(min(number, _LAST_TAG))
    wire_type = number & np.uint64(7)
    if start == _MALFORMED or tag < 8:
        return 0, 0, _MALFORMED
    if wire_type == 0:
        return tag, start, _varint(data, start, stop)[1]
    if wire_type == 2:
        length, start = _varint(data, start, stop)
        end = start + np.int64(min(length, _LONGEST))
        if start == _MALFORMED:
            return 0, 0, _MALFORMED
    elif wire_type == 1:
        end = start + 8
    elif wire_type == 5:
        end = start + 4
    else:
        return 0, 0, _MALFORMED
    return tag, start, end if end <= stop else _MALFORMED


@part
def _varint(data: Bytes, at: int, stop: int) -> tuple[int, int]:
    """An unsigned integer of seven bits in each byte, the lowest first, and where it ends."""
    number = np.uint64(0)
    for place in range(min(_LONGEST_VARINT, stop - at)):
        byte = data[at + place]
        number |= np.uint64(byte & 127) << np.uint64(7 * place)
        if byte < 128:
            return number, at + place + 1
    return number, _MALFORMED
