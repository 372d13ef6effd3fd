"""Protocol Buffers' wire format, decoded for many messages at once.

A message is a sequence of fields, each a tag (field number · 8 + wire type) and a value. Which bytes are
a field's is known only after the field before it, so that fields are read one after the other; but what is
read in each step is the next field of every message. Numbers are read where they lie, in one buffer.

Format: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

Int64s: TypeAlias = "npt.NDArray[np.int64]"
Bytes: TypeAlias = "npt.NDArray[np.uint8]"

PADDING = 16  # bytes behind the last message, as reads may go beyond it before they are found to

_LONGEST_VARINT = 10
_GROUP = 1 << 13  # fields: their arrays stay in the cache, and are small enough for malloc's heap
_FAR = 1 << 48  # beyond every buffer
_LOWEST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)


class MalformedError(ValueError):
    """A message is not in the wire format.

    Args:
        message: The owner of the message.
    """

    def __init__(self, message: int) -> None:
        super().__init__(f"Message {message} is malformed.")
        self.message = message


@dataclass(frozen=True)
class Fields:
    """Fields of messages.

    Attributes:
        owner: The number of the message that each belongs to or comes from, int64 [n].
        start: Where its value begins, int64 [n]; behind the length, if it has one.
        stop: Where it ends, int64 [n].
        tag: Field number · 8 + wire type, [n].
    """

    owner: Int64s
    start: Int64s
    stop: Int64s
    tag: npt.NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.owner)

    def take(self, chosen: npt.NDArray[Any]) -> Fields:
        """Some of them, by index or by mask."""
        return Fields(self.owner[chosen], self.start[chosen], self.stop[chosen], self.tag[chosen])

    def with_tag(self, *tags: int) -> Fields:
        """Those with one of the tags."""
        chosen = self.tag == tags[0]
        for tag in tags[1:]:
            chosen |= self.tag == tag
        return self if chosen.all() else self.take(np.flatnonzero(chosen))

    def by_owner(self) -> Fields:
        """Those of the first message first, else in the same order."""
        if (self.owner[1:] >= self.owner[:-1]).all():
            return self
        return self.take(np.argsort(self.owner, kind="stable"))

    def last_of_each(self, messages: int) -> Fields:
        """One for each message: its last, or one with an empty value and the tag 0 where it has none."""
        if len(self) == messages and (self.owner[1:] > self.owner[:-1]).all():
            return self
        last = np.full(messages, len(self))
        last[self.owner] = np.arange(len(self))
        given = (self.start, self.stop, self.tag)
        return Fields(
            np.arange(messages), *(np.append(each, np.zeros(1, each.dtype))[last] for each in given)
        )


def messages(start: Int64s, stop: Int64s) -> Fields:
    """Messages from where they begin and end, with their numbers as owners."""
    return Fields(np.arange(len(start)), start, stop, np.zeros(len(start), np.uint16))


def steps(data: Bytes, messages: Fields) -> Iterator[Fields]:
    """The first field of every message, then the second of every message that has one, and so on.

    Args:
        data: All messages, and PADDING bytes more.
        messages: Where each message lies. A field has the owner of its message.

    Raises:
        MalformedError: A field does not end within its message, or has the number 0 or a wire type that
            there is not.
    """
    owner, at, end = messages.owner, messages.start, messages.stop
    while True:
        going = at < end
        if not going.all():
            left = np.flatnonzero(going)
            owner, at, end = owner[left], at[left], end[left]
        if not owner.size:
            return
        tag, begin, at = _headers(data, at)
        _refuse(owner, (at > end) | (tag < 8))
        yield Fields(owner, begin, at, tag)


def grouped(steps: Iterable[Fields]) -> Iterator[Fields]:
    """The same fields in the same order, several steps of a few messages at once."""
    waiting: list[Fields] = []
    count = 0
    for fields in steps:
        waiting.append(fields)
        count += len(fields.owner)
        if count >= _GROUP:
            yield _concatenated(waiting)
            waiting, count = [], 0
    if waiting:
        yield _concatenated(waiting)


def read_fields(data: Bytes, messages: Fields) -> Fields:
    """All `steps` at once."""
    return _concatenated(list(steps(data, messages)))


def read_floats(data: Bytes, lists: Fields) -> tuple[npt.NDArray[np.float32], Int64s]:
    """The 32-bit floats of stretches, and how many each has.

    Raises:
        MalformedError: A stretch is no multiple of 4 bytes long.
    """
    lengths = lists.stop - lists.start
    _refuse(lists.owner, (lengths & 3) != 0)
    counts = lengths >> 2
    places = lists.start if (counts == 1).all() else _places(lists.start, counts, 4)
    return _view(data, "<f4")[places], counts


def read_varints(data: Bytes, lists: Fields) -> tuple[Int64s, Int64s]:
    """The integers of stretches of varints, and how many each has.

    Raises:
        MalformedError: A stretch ends within a varint, or a varint has more than ten bytes.
    """
    lengths = lists.stop - lists.start
    single = bool((lengths == 1).all())
    flat = data[lists.start if single else _places(lists.start, lengths, 1)]
    last = flat < 128
    if single and last.all():
        return flat.astype(np.int64), lengths
    _refuse(lists.owner, (lengths > 0) & (data[lists.stop - 1] >= 128))
    begins = np.concatenate([[-1], np.flatnonzero(last)]) + 1
    sizes = np.diff(begins)
    stops = np.cumsum(lengths)
    too_long = begins[:-1][sizes > _LONGEST_VARINT]
    if too_long.size:
        raise MalformedError(int(lists.owner[np.searchsorted(stops, too_long[0], side="right")]))
    before = np.concatenate([[0], np.cumsum(last)])
    return _assembled(flat, begins[:-1], sizes), before[stops] - before[stops - lengths]


def differs_from_last(data: Bytes, strings: Fields) -> npt.NDArray[np.bool_]:
    """Whether each string is another than the one before; so is the first."""
    lengths = strings.stop - strings.start
    differs = np.ones(len(lengths), bool)
    differs[1:] = lengths[1:] != lengths[:-1]
    words = _view(data, "<u8")
    for at in range(0, int(lengths.max(initial=0)), 8):
        # A string that has ended is compared by nothing of what lies behind it.
        word = words[np.minimum(strings.start + at, strings.stop)]
        word &= _LOWEST_BYTES[np.clip(lengths - at, 0, 8)]
        differs[1:] |= word[1:] != word[:-1]
    return differs


def _concatenated(parts: list[Fields]) -> Fields:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        nothing = np.empty(0, np.int64)
        return Fields(nothing, nothing, nothing, np.empty(0, np.uint16))
    return Fields(
        np.concatenate([part.owner for part in parts]),
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.stop for part in parts]),
        np.concatenate([part.tag for part in parts]),
    )


def _refuse(owner: Int64s, bad: npt.NDArray[np.bool_]) -> None:
    if bad.any():
        raise MalformedError(int(owner[bad][0]))


def _assembled(flat: Bytes, begins: Int64s, sizes: Int64s) -> Int64s:
    """The integers whose bytes, seven bits in each, begin at places: the lowest bits first."""
    values = np.zeros(len(sizes), np.uint64)
    for place in range(int(sizes.max(initial=0))):
        rows = np.flatnonzero(sizes > place)
        part = (flat[begins[rows] + place] & 127).astype(np.uint64)
        values[rows] |= part << np.uint64(7 * place)
    return values.view(np.int64)


def _view(data: Bytes, dtype: str) -> npt.NDArray[Any]:
    """What a number would be that began at each byte; nothing is copied."""
    size = np.dtype(dtype).itemsize
    view: npt.NDArray[Any] = np.ndarray((data.size - size + 1,), dtype, data, 0, (1,))
    return view


def _places(start: Int64s, counts: Int64s, size: int) -> Int64s:
    """Where the items of stretches begin, `counts` of `size` bytes from each start."""
    ends = np.cumsum(counts)
    first = np.repeat(start - (ends - counts) * size, counts)
    return np.asarray(first + np.arange(len(first)) * size)


def _headers(data: Bytes, at: Int64s) -> tuple[npt.NDArray[np.uint16], Int64s, Int64s]:
    """The tags of fields, and where their values begin and end."""
    tag, length = data[at], data[at + 1]
    start = at + 2
    stop: Int64s = start + length
    # Nearly all tags and lengths have one byte each, and nearly all values are of wire type 2.
    others = ((tag & 7) != 2) | ((tag | length) >= 128)
    tags = tag.astype(np.uint16)
    if others.any():
        rows = np.flatnonzero(others)
        tags[rows], start[rows], stop[rows] = _any_headers(data, at[rows])
    return tags, start, stop


def _any_headers(data: Bytes, at: Int64s) -> tuple[Any, Int64s, Int64s]:
    tag, start = _varints(data, at)
    wire = tag & np.uint64(7)
    length, behind = _varints(data, start)
    stop = np.full(len(at), _FAR)  # of a wire type that there is not
    stop[wire == 0] = behind[wire == 0]
    stop[wire == 1] = start[wire == 1] + 8
    stop[wire == 5] = start[wire == 5] + 4
    delimited = wire == 2
    start = np.where(delimited, behind, start)
    stop = np.where(delimited, behind + np.minimum(length, _FAR).astype(np.int64), stop)
    return np.minimum(tag, 0xFFFF).astype(np.uint16), start, stop


def _varints(data: Bytes, at: Int64s) -> tuple[npt.NDArray[np.uint64], Int64s]:
    """The varints at some places, and where what follows them begins; _FAR if one is too long."""
    values = np.zeros(len(at), np.uint64)
    behind = np.full(len(at), _FAR)
    rows = np.arange(len(at))
    for place in range(_LONGEST_VARINT):
        byte = data[np.minimum(at[rows] + place, data.size - 1)]
        values[rows] |= (byte & 127).astype(np.uint64) << np.uint64(7 * place)
        ends = byte < 128
        behind[rows[ends]] = at[rows[ends]] + place + 1
        rows = rows[~ends]
        if not rows.size:
            break
    return values, behind
