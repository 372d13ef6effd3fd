"""CRC-32C (Castagnoli), the checksum of TFRecord files, of many strings of bytes at once.

The checksum is linear over bits, so that eight bytes are taken at a time through four tables of 2¹⁶ entries,
and a long string can be cut into pieces whose checksums are put together. Each step is made for all strings,
or all pieces, together.

Polynomial 0x1EDC6F41, reflected; see RFC 3720, appendix B.4.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Int64s: TypeAlias = npt.NDArray[np.int64]
    UInt32s: TypeAlias = npt.NDArray[np.uint32]

_REFLECTED = 0x82F63B78
_ONES = np.uint32(0xFFFFFFFF)
_PIECE = 1024  # bytes; a multiple of 8


def crc32c(data: npt.NDArray[np.uint8], start: Int64s, length: Int64s) -> UInt32s:
    """The checksum of each string of bytes.

    Args:
        data: What holds them, uint8.
        start: Where each begins, int64 [n].
        length: How many bytes each has, int64 [n].

    >>> data = np.frombuffer(b"123456789", np.uint8)
    >>> [hex(sum) for sum in crc32c(data, np.array([0]), np.array([9]))]
    ['0xe3069283']
    """
    # All pieces of a string are whole but the first, so that each later one shifts by the same distance.
    pieces = np.maximum(-(-length // _PIECE), 1)
    first = length - (pieces - 1) * _PIECE
    state = _advanced(data, start, first, np.full(len(start), _ONES))
    rows = np.flatnonzero(pieces > 1)
    if rows.size:
        state[rows] = _joined(data, state[rows], (start + first)[rows], pieces[rows] - 1)
    return np.asarray(state ^ _ONES)


def masked(sums: UInt32s) -> UInt32s:
    """Checksums as TFRecord files store them: turned by 15 bits, plus a constant."""
    turned = (sums >> np.uint32(15)) | (sums << np.uint32(17))
    return np.asarray(turned + np.uint32(0xA282EAD8))


def _joined(data: npt.NDArray[np.uint8], state: UInt32s, start: Int64s, pieces: Int64s) -> UInt32s:
    """The states after some whole pieces more, which begin at `start`."""
    ends = np.cumsum(pieces)
    place = np.arange(ends[-1]) - np.repeat(ends - pieces, pieces)
    begins = np.repeat(start, pieces) + place * _PIECE
    alone = _advanced(data, begins, np.full(len(begins), _PIECE), np.zeros(len(begins), np.uint32))
    shift = _shift_tables()
    for number in range(int(pieces.max())):
        rows = np.flatnonzero(pieces > number)
        before = state[rows]
        shifted = shift[0][before & np.uint32(0xFFFF)] ^ shift[1][before >> np.uint32(16)]
        state[rows] = shifted ^ alone[(ends - pieces)[rows] + number]
    return state


def _advanced(
    data: npt.NDArray[np.uint8], start: Int64s, length: Int64s, state: UInt32s
) -> UInt32s:
    """The states after strings that are not longer than a piece."""
    odd = length & 7
    state = state.copy()
    byte_table = _byte_tables()[0]
    for place in range(int(odd.max(initial=0))):
        rows = np.flatnonzero(odd > place)
        before = state[rows]
        state[rows] = _next_byte(byte_table, before ^ data[start[rows] + place])
    at, left = start + odd, length >> 3
    # The longest first, so that those with words left are always the first ones.
    order = np.argsort(-left, kind="stable")
    at, left, ordered = at[order], left[order], state[order]
    words: Any = np.ndarray((max(data.size - 7, 0),), "<u8", data, 0, (1,))
    tables = _word_tables()
    going = len(left)
    for number in range(int(left.max(initial=0))):
        going = int(np.searchsorted(-left[:going], -number, side="left"))
        halves = (words[at[:going] + 8 * number] ^ ordered[:going]).view("<u2").reshape(-1, 4)
        ordered[:going] = (
            tables[0][halves[:, 0]]
            ^ tables[1][halves[:, 1]]
            ^ tables[2][halves[:, 2]]
            ^ tables[3][halves[:, 3]]
        )
    state[order] = ordered
    return state


def _next_byte(table: UInt32s, mixed: UInt32s) -> UInt32s:
    return np.asarray(table[mixed & np.uint32(0xFF)] ^ (mixed >> np.uint32(8)))


@cache
def _byte_tables() -> UInt32s:
    """What a byte becomes that is followed by 0, 1, … 7 zero bytes, [8, 256]."""
    tables = np.zeros((8, 256), np.uint32)
    tables[0] = np.arange(256)
    for _ in range(8):
        odd = (tables[0] & 1).astype(bool)
        tables[0] = (tables[0] >> np.uint32(1)) ^ np.where(odd, np.uint32(_REFLECTED), 0)
    for zeros in range(1, 8):
        tables[zeros] = _next_byte(tables[0], tables[zeros - 1])
    return tables


@cache
def _word_tables() -> UInt32s:
    """What two bytes become that are followed by 6, 4, 2, 0 bytes, [4, 65536]."""
    byte = _byte_tables()
    low, high = np.arange(1 << 16) & 0xFF, np.arange(1 << 16) >> 8
    return np.stack([byte[after + 1][low] ^ byte[after][high] for after in (6, 4, 2, 0)])


@cache
def _shift_tables() -> UInt32s:
    """What the lower and the upper half of a state become when a piece of zeros follows, [2, 65536]."""
    piece = np.zeros(_PIECE, np.uint8)
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    starts = np.zeros(32, np.int64)
    moved = _advanced(piece, starts, starts + _PIECE, bits)
    tables = np.zeros((2, 1 << 16), np.uint32)
    for bit in range(16):
        half = 1 << bit
        tables[:, half : 2 * half] = tables[:, :half] ^ moved[[bit, bit + 16], None]
    return tables
