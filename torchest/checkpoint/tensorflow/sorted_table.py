"""Tables of sorted keys and values, as LevelDB writes them: the index of a checkpoint is one.

A table consists of blocks, each followed by its kind and a checksum; the last block has the place of each of the
others, and the footer has the place of that block. In a block, a key is stored without the bytes that it shares with
the key before it.

Format: https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.checkpoint.tensorflow.checksum import masked_crc32c
from torchest.checkpoint.tensorflow.wire_format import varint

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48
_TRAILER = 5  # bytes after a block: its kind, and the checksum of both
_UNCOMPRESSED = 0
_SHARED = 64  # how many times longer all keys may be than the file


def read_table(data: bytes) -> dict[bytes, bytes]:
    """The values by key.

    Args:
        data: A whole file.

    Raises:
        ValueError: It is not a table, or is damaged. The message is a clause that says what is wrong.
    """
    if len(data) < _FOOTER or not data.endswith(_MAGIC):
        raise ValueError("it does not end as a table does")
    footer = data[-_FOOTER:]
    _, after = _place(footer, 0)
    last, _ = _place(footer, after)
    values: dict[bytes, bytes] = {}
    length = end = 0
    before = b""
    for _, place in _entries(_block(data, *last)):
        (start, size), _ = _place(place, 0)
        if start < end:
            raise ValueError("its blocks overlap")
        for key, value in _entries(_block(data, start, size)):
            length += len(key)
            if length > _SHARED * len(data):
                raise ValueError("its keys are too long")
            if values and key <= before:
                raise ValueError("its keys are not in order")
            values[key] = value
            before = key
        end = start + size
    return values


def _place(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """The start and the size of a block, and the position after them."""
    start, at = varint(data, at)
    size, at = varint(data, at)
    return (start, size), at


def _block(data: bytes, start: int, size: int) -> bytes:
    end = start + size + _TRAILER
    if end > len(data) - _FOOTER:
        raise ValueError("a block lies outside of it")
    stored = int.from_bytes(data[end - 4 : end], "little")
    if masked_crc32c(data[start : end - 4]) != stored:
        raise ValueError("a checksum is wrong")
    if data[start + size] != _UNCOMPRESSED:
        raise ValueError("it is compressed, which TensorFlow's are not")
    return data[start : start + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block, which ends with the places of keys that are stored whole, and their number."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise ValueError("a block is too short")
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        size, at = varint(block, at)
        if shared > len(key) or own + size > end - at:
            raise ValueError("a key is cut off")
        key = key[:shared] + block[at : at + own]
        at += own + size
        yield key, block[at - size : at]
