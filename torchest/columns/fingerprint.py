"""FarmHash Fingerprint64 of many byte strings at once, and the folding of two fingerprints.

The strings lie in one flat buffer, as Arrow and numpy hold them:

>>> data = np.frombuffer(b"FirstSecond", np.uint8)
>>> fingerprint64(data, np.array([0, 5]), np.array([5, 6]))
array([ 4948112285631632835, 11243921998565536882], dtype=uint64)

The algorithm is Geoff Pike's FarmHash (https://github.com/google/farmhash, ``farmhashna``), whose
fingerprints are frozen: they are the same on every machine and in every release. It has one path
for each class of lengths, and each path here is a handful of numpy operations over a block of
strings that stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

UInt64s: TypeAlias = npt.NDArray[np.uint64]
Int64s: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]

_K0 = np.uint64(0xC3A5C85C97CB3127)
_K1 = np.uint64(0xB492B66FBE98F273)
_K2 = np.uint64(0x9AE16A3B2F90404F)
_CAT_MULTIPLIER = np.uint64(0xC6A4A7935BD1E995)
_ONE = np.uint64(1)
_BYTE = np.uint64(0xFF)
_SHIFT = [np.uint64(bits) for bits in range(64)]

# Arrays of a block take 32 KiB each: the dozen in use at a time stay in the second-level cache.
_BLOCK = 4096


def fingerprint64(data: Bytes, starts: Int64s, lengths: Int64s) -> UInt64s:
    """The FarmHash Fingerprint64 of each byte string in a flat buffer.

    Args:
        data: The buffer, uint8 [bytes], contiguous.
        starts: Where each string begins in it, int64 [n]. Strings may overlap and lie in any order.
        lengths: The number of bytes of each string, int64 [n].

    Returns:
        The fingerprints, uint64 [n].
    """
    fingerprints = np.empty(len(starts), np.uint64)
    memory = _Memory(data)
    for begin in range(0, len(starts), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        _hash_block(memory, starts[block], lengths[block], fingerprints[block])
    return fingerprints


def fingerprint_cat64(first: UInt64s, second: UInt64s) -> UInt64s:
    """One fingerprint made of two, as TensorFlow folds the keys of a cross; not symmetric.

    Args:
        first: Fingerprints, uint64 [n].
        second: Fingerprints, or any integers in two's complement, uint64 [n].

    Returns:
        The folded fingerprints, uint64 [n].
    """
    folded = first ^ _CAT_MULTIPLIER
    folded ^= _shift_mix(second * _CAT_MULTIPLIER) * _CAT_MULTIPLIER
    folded *= _CAT_MULTIPLIER
    return _shift_mix(_shift_mix(folded) * _CAT_MULTIPLIER)


def bucket_of(fingerprints: UInt64s, buckets: int) -> Int64s:
    """The fingerprints modulo a number of buckets, as unsigned integers: ids in [0, buckets).

    Args:
        fingerprints: uint64 [n].
        buckets: At least 1.
    """
    # numpy divides by a scalar several times faster than it takes the remainder
    divisor = np.uint64(buckets)
    remainder: UInt64s = fingerprints - fingerprints // divisor * divisor
    return remainder.astype(np.int64)


class _Memory:
    """Little-endian words of a buffer at any byte offset, read through overlapping views."""

    def __init__(self, data: Bytes) -> None:
        data = np.ascontiguousarray(data)
        self._bytes = data
        self._words = {
            width: np.ndarray(max(data.size - width + 1, 0), f"<u{width}", data, 0, (1,))
            for width in (4, 8)
            if data.size >= width
        }

    def byte(self, offsets: Int64s) -> UInt64s:
        return np.asarray(self._bytes[offsets], np.uint64)

    def word32(self, offsets: Int64s) -> UInt64s:
        return np.asarray(self._words[4][offsets], np.uint64)

    def word64(self, offsets: Int64s) -> UInt64s:
        return np.asarray(self._words[8][offsets], np.uint64)


def _hash_block(memory: _Memory, starts: Int64s, lengths: Int64s, out: UInt64s) -> None:
    """Hash a block of strings into ``out``, each class of lengths by its own path."""
    shortest, longest = (_class_of(int(end)) for end in (lengths.min(), lengths.max()))
    if shortest == longest:
        out[:] = _PATHS[shortest](memory, starts, lengths)
        return
    classes = _CLASS_OF_LENGTH[np.minimum(lengths, len(_CLASS_OF_LENGTH) - 1)]
    for index in range(shortest, longest + 1):
        rows = np.flatnonzero(classes == index)
        if rows.size:
            out[rows] = _PATHS[index](memory, starts[rows], lengths[rows])


def _rotate(x: UInt64s, bits: int) -> UInt64s:
    rotated: UInt64s = x >> _SHIFT[bits]
    rotated |= x << _SHIFT[64 - bits]
    return rotated


def _shift_mix(x: UInt64s) -> UInt64s:
    mixed: UInt64s = x >> _SHIFT[47]
    mixed ^= x
    return mixed


def _mix(u: UInt64s, v: UInt64s, multiplier: UInt64s) -> UInt64s:
    """Two words to one: the last step of nearly every path."""
    a = _shift_mix((u ^ v) * multiplier)
    b = _shift_mix((v ^ a) * multiplier)
    b *= multiplier
    return b


def _multiplier(lengths: Int64s) -> UInt64s:
    multiplier: UInt64s = (lengths.astype(np.uint64) << _ONE) + _K2
    return multiplier


def _hash_0(_memory: _Memory, starts: Int64s, _lengths: Int64s) -> UInt64s:
    return np.full(len(starts), _K2)


def _hash_1_to_3(memory: _Memory, starts: Int64s, lengths: Int64s) -> UInt64s:
    first = memory.byte(starts)
    middle = memory.byte(starts + (lengths >> 1))
    last = memory.byte(starts + lengths - 1)
    y: UInt64s = first + (middle << _SHIFT[8])
    z = lengths.astype(np.uint64) + (last << _SHIFT[2])
    hashed: UInt64s = _shift_mix(y * _K2 ^ z * _K0) * _K2
    return hashed


def _hash_4_to_7(memory: _Memory, starts: Int64s, lengths: Int64s) -> UInt64s:
    first = memory.word32(starts)
    last = memory.word32(starts + lengths - 4)
    return _mix(
        lengths.astype(np.uint64) + (first << _SHIFT[3]),
        last,
        _multiplier(lengths),
    )


def _hash_8_to_16(memory: _Memory, starts: Int64s, lengths: Int64s) -> UInt64s:
    multiplier = _multiplier(lengths)
    a = memory.word64(starts) + _K2
    b = memory.word64(starts + lengths - 8)
    c = _rotate(b, 37) * multiplier + a
    d = (_rotate(a, 25) + b) * multiplier
    return _mix(c, d, multiplier)


def _hash_17_to_32(memory: _Memory, starts: Int64s, lengths: Int64s) -> UInt64s:
    multiplier = _multiplier(lengths)
    ends = starts + lengths
    a = memory.word64(starts) * _K1
    b = memory.word64(starts + 8)
    c = memory.word64(ends - 8) * multiplier
    d = memory.word64(ends - 16) * _K2
    return _mix(
        _rotate(a + b, 43) + _rotate(c, 30) + d,
        a + _rotate(b + _K2, 18) + c,
        multiplier,
    )


def _hash_33_to_64(memory: _Memory, starts: Int64s, lengths: Int64s) -> UInt64s:
    multiplier = _multiplier(lengths)
    ends = starts + lengths
    a = memory.word64(starts) * _K2
    b = memory.word64(starts + 8)
    c = memory.word64(ends - 8) * multiplier
    d = memory.word64(ends - 16) * _K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d
    z = _mix(y, a + _rotate(b + _K2, 18) + c, multiplier)
    e = memory.word64(starts + 16) * multiplier
    f = memory.word64(starts + 24)
    g = (y + memory.word64(ends - 32)) * multiplier
    h = (z + memory.word64(ends - 24)) * multiplier
    return _mix(
        _rotate(e + f, 43) + _rotate(g, 30) + h,
        e + _rotate(f + a, 18) + g,
        multiplier,
    )


_State: TypeAlias = tuple[UInt64s, UInt64s, UInt64s, UInt64s, UInt64s, UInt64s, UInt64s]


def _hash_65_and_more(memory: _Memory, starts: Int64s, lengths: Int64s) -> UInt64s:
    """56 bytes of state take in 64 bytes at a time; the last 64 bytes come on top of that."""
    chunks = (lengths - 1) >> 6
    # In the order of their number of chunks, the strings that go on are a suffix of the arrays.
    order = np.argsort(chunks, kind="stable")
    chunks, at = chunks[order], starts[order]
    state = _start(memory.word64(at))
    for chunk in range(int(chunks[-1])):
        done = int(np.searchsorted(chunks, chunk, side="right"))
        going = tuple(word[done:] for word in state)
        changed = _absorb(memory, at[done:] + 64 * chunk, going, 1, np.full(1, _K1))
        for word, new in zip(state, changed, strict=True):
            word[done:] = new
    fingerprints = np.empty(len(starts), np.uint64)
    fingerprints[order] = _finish(memory, at + lengths[order] - 64, lengths[order], state)
    return fingerprints


def _start(first: UInt64s) -> _State:
    seed = np.full(len(first), np.uint64(81))
    y = seed * _K1 + np.uint64(113)
    z = _shift_mix(y * _K2 + np.uint64(113)) * _K2
    v0, v1, w0, w1 = (np.zeros_like(seed) for _ in range(4))
    return seed * _K2 + first, y, z, v0, v1, w0, w1


def _absorb(
    memory: _Memory, at: Int64s, state: tuple[UInt64s, ...], factor: int, multiplier: UInt64s
) -> _State:
    """Mix 64 bytes into the state; ``factor`` is 1 within the string and 9 at its end."""
    x, y, z, v0, v1, w0, w1 = state
    weight = np.uint64(factor)
    x = _rotate(x + y + v0 + memory.word64(at + 8), 37) * multiplier
    y = _rotate(y + v1 + memory.word64(at + 48), 42) * multiplier
    x = x ^ (w1 * weight)
    y = y + v0 * weight + memory.word64(at + 40)
    z = _rotate(z + w0, 33) * multiplier
    v0, v1 = _absorb_32(memory, at, v1 * multiplier, x + w0)
    w0, w1 = _absorb_32(memory, at + 32, z + w1, y + memory.word64(at + 16))
    return z, y, x, v0, v1, w0, w1


def _absorb_32(memory: _Memory, at: Int64s, a: UInt64s, b: UInt64s) -> tuple[UInt64s, UInt64s]:
    last = memory.word64(at + 24)
    c = a + memory.word64(at)
    middle = c + memory.word64(at + 8) + memory.word64(at + 16)
    return middle + last, _rotate(b + c + last, 21) + _rotate(middle, 44) + c


def _finish(memory: _Memory, last64: Int64s, lengths: Int64s, state: _State) -> UInt64s:
    x, y, z, v0, v1, w0, w1 = state
    multiplier = ((z & _BYTE) << _ONE) + _K1
    w0 = w0 + ((lengths - 1) & 63).astype(np.uint64)
    v0 = v0 + w0
    w0 = w0 + v0
    x, y, z, v0, v1, w0, w1 = _absorb(memory, last64, (x, y, z, v0, v1, w0, w1), 9, multiplier)
    return _mix(
        _mix(v0, w0, multiplier) + _shift_mix(y) * _K0 + z,
        _mix(v1, w1, multiplier) + x,
        multiplier,
    )


_Path: TypeAlias = Callable[[_Memory, Int64s, Int64s], UInt64s]
_PATHS: tuple[_Path, ...] = (
    _hash_0,
    _hash_1_to_3,
    _hash_4_to_7,
    _hash_8_to_16,
    _hash_17_to_32,
    _hash_33_to_64,
    _hash_65_and_more,
)
_CLASS_OF_LENGTH = np.searchsorted([0, 3, 7, 16, 32, 64], np.arange(66)).astype(np.uint8)


def _class_of(length: int) -> int:
    return int(_CLASS_OF_LENGTH[min(length, len(_CLASS_OF_LENGTH) - 1)])
