"""Slices of a variable that TensorFlow partitioned, and the keys under which an index has them.

A key is a 0, the name of the variable, the number of dimensions, and the start and length of each, in encodings that
sort as what they stand for.

Encoding: https://github.com/google/orderedcode
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.checkpoint.tensorflow.wire_format import Message

_ALL = -1  # the length of a whole dimension
_FIRST = b"\0"  # of keys of slices


class Extent(NamedTuple):
    """A part of one dimension."""

    start: int
    length: int

    def within(self, size: int) -> slice:
        """The part of a dimension of this size.

        Raises:
            ValueError: It is not within.
        """
        if self.length == _ALL:
            return slice(0, size)
        if not 0 <= self.start <= self.start + self.length <= size:
            raise ValueError("a slice lies outside of its variable")
        return slice(self.start, self.start + self.length)


Slice = tuple[Extent, ...]


def slice_of(message: Message) -> Slice:
    """The slice that a TensorSliceProto stands for."""
    return tuple(
        Extent(extent.number(1), extent.number(2) if extent.has(2) else _ALL)
        for extent in message.messages(1)
    )


def is_key_of_slice(key: bytes) -> bool:
    """Whether a key of an index stands for a slice, and not for a variable."""
    return key.startswith(_FIRST)


def key_of(name: str, extents: Sequence[Extent]) -> bytes:
    r"""The key of a slice.

    >>> key_of("a", [Extent(0, 3)])
    b'\x00a\x00\x01\x01\x01\x80\x83'
    """
    escaped = name.encode().replace(b"\0", b"\0\xff")
    parts = [_FIRST, escaped, b"\0\1", _unsigned(len(extents))]
    parts.extend(_signed(number) for extent in extents for number in extent)
    return b"".join(parts)


def _unsigned(number: int) -> bytes:
    size = (number.bit_length() + 7) // 8
    return bytes([size]) + number.to_bytes(size, "big")


def _signed(number: int) -> bytes:
    """As many leading ones as bytes, then the number; each byte adds 7 bits. Negative numbers are inverted."""
    size = (number if number >= 0 else ~number).bit_length() // 7 + 1
    header = ((1 << size) - 1) << (7 * size)
    return ((number ^ header) % (1 << (8 * size))).to_bytes(size, "big")
