"""The UTF-8 bytes of strings in nodes of stock onnxruntime.

No operator returns the bytes of a string. `Tokenizer` splits strings into characters, and `MurmurHash3` (x86, 32
bits) hashes each. For strings of up to four bytes, the longest characters in UTF-8, that hash can be inverted, since
each of its steps can: multiplications by odd numbers, rotations, and shifts with exclusive or. So characters need no
table, and all of Unicode works.

The inversion depends on the number of bytes. Strings of up to three bytes enter the hash only through an exclusive or
with the seed, so the hashes for two seeds reveal strings of four bytes; for two bytes, the resulting word has no third
byte. A test confirms this for every character of Unicode. For ASCII, which is most text, a table of hashes is faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from torchest.export.onnx.nodes import BOOL, INT32, INT64, MICROSOFT, UINT64, Nodes, Value
from torchest.export.onnx.words import Words

if TYPE_CHECKING:
    import numpy.typing as npt

_FIRST, _SECOND = 0xCC9E2D51, 0x1B873593
_FINAL = 0x85EBCA6B, 0xC2B2AE35
_ADDED = 0xE6546B64
# The places of ASCII characters in the table are (hash · factor) >> shift, all different.
_FACTOR, _SHIFT = 1855482401, 22


@dataclass(frozen=True)
class Bytes:
    """Strings in one buffer.

    Attributes:
        data: The bytes of all strings, uint64 [bytes].
        starts: The place of the first byte of each string, int64 [n].
        lengths: The number of bytes of each string, int64 [n].
    """

    data: Value
    starts: Value
    lengths: Value


def utf8(nodes: Nodes, text: Value) -> Bytes:
    """The UTF-8 bytes of strings.

    Args:
        nodes: The graph.
        text: Strings [n], at least one of them not empty; otherwise the output of Tokenizer has another rank.
    """
    characters = nodes.op(
        "Tokenizer",
        text,
        domain=MICROSOFT,
        separators=[""],
        mark=0,
        mincharnum=1,
        pad_value="",
    )  # [n, length of the longest]
    hashes = _murmur(nodes, characters, 0)
    slots = nodes.cast(((hashes * _FACTOR) >> _SHIFT).value, INT64)
    entries = Words(nodes, nodes.at(nodes.constant(_ascii_table(), UINT64), nodes.flat(slots)))
    # padding, of the hash 0, counts as ASCII
    known = nodes.cast((entries >> 8).value, INT32)
    is_ascii = nodes.op("Equal", known, nodes.flat(hashes.signed))
    ascii_count = nodes.op("ReduceSum", nodes.cast(is_ascii, INT32), keepdims=0)
    is_plain = nodes.op("Equal", nodes.cast(ascii_count, INT64), nodes.op("Size", is_ascii))

    plain, other = nodes.branch(), nodes.branch()
    of_plain = _of_ascii(plain, (entries.within(plain) & 0xFF).value, hashes.signed)
    of_other = _of_all(other, characters, hashes.signed, entries.within(other), is_ascii)
    made = nodes.choose(
        is_plain,
        (plain, [of_plain.data, of_plain.starts, of_plain.lengths]),
        (other, [of_other.data, of_other.starts, of_other.lengths]),
    )
    return Bytes(*made)


def _of_ascii(nodes: Nodes, data: Value, hashes: Value) -> Bytes:
    """The bytes of ASCII strings: the matrix of characters, padded with zeros, is the buffer."""
    rows, width = (
        nodes.op("Squeeze", nodes.op("Shape", hashes, start=axis, end=axis + 1)) for axis in (0, 1)
    )
    places = nodes.op("Range", nodes.constant(0), rows, nodes.constant(1))
    starts = nodes.op("Mul", places, width)
    return Bytes(data, starts, _counts(nodes, hashes))


def _counts(nodes: Nodes, hashes: Value) -> Value:
    """The number of characters of each string."""
    there = nodes.cast(nodes.cast(hashes, BOOL), INT64)  # the hash of nothing is 0
    return nodes.op("ReduceSum", there, nodes.constant([1]), keepdims=0)


def _of_all(
    nodes: Nodes, characters: Value, hashes: Value, entries: Words, is_ascii: Value
) -> Bytes:
    """The bytes of strings that are not all ASCII."""
    places = _where(nodes, nodes.flat(nodes.cast(hashes, BOOL)))
    others = nodes.op("Not", nodes.op("Gather", is_ascii, places))
    rows = _where(nodes, others)
    strings = nodes.op("Gather", nodes.flat(characters), nodes.op("Gather", places, rows))
    words, widths = _characters(nodes, strings)
    of_table = Words(nodes, nodes.at(entries.value, places))
    ones = nodes.op("Expand", nodes.constant(1), nodes.op("Shape", places))
    width = nodes.op("ScatterElements", ones, rows, widths)
    ends = nodes.op("CumSum", width, nodes.constant(0))
    begins = nodes.op("Sub", ends, width)
    total = nodes.op("ReduceSum", width, nodes.constant([0]), keepdims=1)
    data = nodes.op("Expand", nodes.constant(0, UINT64), total)
    data = nodes.op("ScatterElements", data, begins, (of_table & 0xFF).value)
    begin = nodes.at(begins, rows)
    for place in range(4):
        index = _where(nodes, nodes.op("Greater", widths, nodes.constant(place)))
        byte = (Words(nodes, nodes.at(words, index), INT32) >> 8 * place) & 0xFF
        at = nodes.op("Add", nodes.at(begin, index), nodes.constant(place))
        data = nodes.op("ScatterElements", data, at, nodes.cast(byte.value, UINT64))
    # the starts of strings, from characters to bytes
    counts = _counts(nodes, hashes)
    after = nodes.op("CumSum", counts, nodes.constant(0))
    in_bytes = nodes.op("Concat", begins, total, axis=0)
    starts = nodes.op("Gather", in_bytes, nodes.op("Sub", after, counts))
    return Bytes(data, starts, nodes.op("Sub", nodes.op("Gather", in_bytes, after), starts))


def _where(nodes: Nodes, condition: Value) -> Value:
    """The places where a condition [n] holds."""
    return nodes.op("Squeeze", nodes.op("NonZero", condition), nodes.constant([0]))


def _characters(nodes: Nodes, strings: Value) -> tuple[Value, Value]:
    """The bytes of characters of two to four bytes, as little-endian int32 words, and their number."""
    mixed = [_unfinished(_murmur(nodes, strings, seed)) for seed in (0, 1)]
    up_to_3 = (mixed[0] ^ mixed[1] ^ 1).is_zero()
    two, three = (_unscrambled(mixed[0] ^ length) for length in (2, 3))
    of_4 = ((mixed[0] ^ 4) - _ADDED) * _inverse(5)
    four = _unscrambled(of_4.rotated(13))
    is_2 = nodes.op("And", (two >> 16).is_zero(), up_to_3)
    short = nodes.op("Where", is_2, two.signed, three.signed)
    widths = nodes.op("Where", up_to_3, nodes.constant(3), nodes.constant(4))
    widths = nodes.op("Where", is_2, nodes.constant(2), widths)
    return nodes.op("Where", up_to_3, short, four.signed), widths


def _murmur(nodes: Nodes, strings: Value, seed: int) -> Words:
    hashes = nodes.op("MurmurHash3", strings, domain=MICROSOFT, seed=seed, positive=0)
    return Words(nodes, hashes, INT32)


def _unfinished(word: Words) -> Words:
    """Inverts the last step of the hash."""
    word = word ^ (word >> 16)
    word = word * _inverse(_FINAL[1])
    word = word ^ (word >> 13) ^ (word >> 26)
    word = word * _inverse(_FINAL[0])
    return word ^ (word >> 16)


def _unscrambled(word: Words) -> Words:
    """Inverts the first step of the hash."""
    return (word * _inverse(_SECOND)).rotated(15) * _inverse(_FIRST)


def _inverse(odd: int) -> int:
    return pow(odd, -1, 1 << 32)


def _ascii_table() -> npt.NDArray[np.uint64]:
    """The hash of each ASCII character, above its byte, at its place."""
    codes = np.arange(128, dtype=np.uint32)
    hashes = _hashes_of_one_byte(codes)
    slots = (hashes * np.uint32(_FACTOR)) >> np.uint32(_SHIFT)
    table = np.zeros(1024, np.uint64)
    table[slots] = hashes.astype(np.uint64) << np.uint64(8) | codes
    return table


def _hashes_of_one_byte(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """MurmurHash3 of one byte with the seed 0."""
    word = codes * np.uint32(_FIRST)
    word = (word << np.uint32(15)) | (word >> np.uint32(17))
    word = (word * np.uint32(_SECOND)) ^ np.uint32(1)
    word ^= word >> np.uint32(16)
    word *= np.uint32(_FINAL[0])
    word ^= word >> np.uint32(13)
    word *= np.uint32(_FINAL[1])
    return np.asarray(word ^ (word >> np.uint32(16)))
