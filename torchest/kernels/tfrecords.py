"""Records of TFRecord files, and their checksums."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel, part

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Int64s = npt.NDArray[np.int64]

HEADER, FOOTER = 12, 4  # bytes around the data of a record: its length with a checksum, a checksum
_LENGTH = 8
_LONGEST = np.uint64(1 << 48)  # more than a buffer has
_ALL, _BYTE = np.uint32(0xFFFFFFFF), np.uint32(0xFF)


def _tables() -> npt.NDArray[np.uint32]:
    """CRC-32C of each byte followed by 0, 1, … 7 zero bytes, [8, 256]. RFC 3720, appendix B.4."""
    tables = np.zeros((8, 256), np.uint32)
    tables[0] = np.arange(256)
    for _ in range(8):
        is_odd = (tables[0] & 1).astype(bool)
        tables[0] = (tables[0] >> 1) ^ np.where(is_odd, np.uint32(0x82F63B78), 0)
    for zeros in range(1, 8):
        before = tables[zeros - 1]
        tables[zeros] = tables[0][before & 0xFF] ^ (before >> 8)
    return tables


_TABLES = _tables()


@kernel
def masked_crc32c(data: Bytes, start: int, stop: int) -> int:
    """The checksum of data[start:stop] as TFRecord files store it: rotated by 15 bits, plus a constant."""
    state = _ALL
    at = start
    while at + 8 <= stop:
        for place in range(4):
            state ^= np.uint32(data[at + place]) << np.uint32(8 * place)
        mixed = np.uint32(0)
        for place in range(4):
            mixed ^= _TABLES[7 - place, (state >> np.uint32(8 * place)) & _BYTE]
            mixed ^= _TABLES[3 - place, data[at + 4 + place]]
        state = mixed
        at += 8
    while at < stop:
        state = _TABLES[0, (state ^ np.uint32(data[at])) & _BYTE] ^ (state >> np.uint32(8))
        at += 1
    state ^= _ALL
    rotated = (state >> np.uint32(15)) | (state << np.uint32(17))
    return int(np.uint32(rotated + np.uint32(0xA282EAD8)))


@kernel
def follow(data: Bytes, starts: Int64s) -> tuple[int, int, bool]:
    """Follows the records in a buffer.

    Args:
        data: Records from their beginning; the last one may be cut off.
        starts: Output: the start of each whole record, and the end of the last.

    Returns:
        The number of whole records with correct checksums; the number of bytes after their end that are needed to
        continue; whether the checksums of the next record are correct, as far as the buffer has them.
    """
    count, at = 0, 0
    starts[0] = 0
    while at + HEADER <= len(data):
        length = _number(data, at, _LENGTH)
        if _number(data, at + _LENGTH, 4) != masked_crc32c(data, at, at + _LENGTH):
            return count, 0, False
        end = at + HEADER + length
        if length > len(data) or end + FOOTER > len(data):
            return count, HEADER + length + FOOTER, True
        if _number(data, end, 4) != masked_crc32c(data, at + HEADER, end):
            return count, 0, False
        at = end + FOOTER
        count += 1
        starts[count] = at
    return count, HEADER, True


@part
def _number(data: Bytes, at: int, size: int) -> int:
    """The little-endian number of `size` bytes; _LONGEST in place of larger ones."""
    number = np.uint64(0)
    for place in range(size):
        number |= np.uint64(data[at + place]) << np.uint64(8 * place)
    return int(min(number, _LONGEST))
