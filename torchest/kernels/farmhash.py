"""FarmHash Fingerprint64 of byte strings in one buffer.

The algorithm is Geoff Pike's FarmHash (https://github.com/google/farmhash, ``farmhashna``), whose fingerprints are
frozen: they are the same on every machine and in every release. It has a separate path for each class of lengths.

All arithmetic is on uint64, which wraps around; addresses and lengths are int64. The functions pass addresses instead
of arrays: Numba counts references to arrays, which takes ten times as long as the hashing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel, part
from torchest.kernels.memory import rotate, word8, word32, word64

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Int64s = npt.NDArray[np.int64]
    UInt64s = npt.NDArray[np.uint64]

_U: Callable[[int], int] = np.uint64  # its results are typed like all whole numbers of kernels
_K0 = _U(0xC3A5C85C97CB3127)
_K1 = _U(0xB492B66FBE98F273)
_K2 = _U(0x9AE16A3B2F90404F)
_CAT = _U(0xC6A4A7935BD1E995)
# The first state for long strings: x = 81 · K2, y = 81 · K1 + 113 and z = _shift_mix(y · K2 + 113) · K2.
_X, _Y, _Z = _U(0x1529CBA0CA458FF), _U(0x226BB95B4E64B6D4), _U(0x134A747F856D0526)


@kernel
def fingerprints(data: Bytes, starts: Int64s, lengths: Int64s, hashes: UInt64s) -> None:
    """Writes the fingerprint of each string.

    Args:
        data: The buffer, [bytes].
        starts: Beginning of each string in the buffer, [n].
        lengths: Number of bytes of each string, [n].
        hashes: Output, [n].
    """
    start = np.int64(data.ctypes.data)
    for place in range(len(hashes)):
        hashes[place] = fingerprint(start + starts[place], lengths[place])


@kernel
def lengths_without_padding(data: Bytes, width: int, lengths: Int64s) -> None:
    """Writes the lengths of strings that are padded to one width with zero bytes.

    Args:
        data: The strings, [n · width].
        width: Number of bytes, at least 1.
        lengths: Output, [n].
    """
    for place in range(len(lengths)):
        length = width
        while length > 0 and data[place * width + length - 1] == 0:
            length -= 1
        lengths[place] = length


@part
def fingerprint_cat(first: int, second: int) -> int:
    """Combines two fingerprints into one, as TensorFlow does for a cross."""
    folded = first ^ _CAT ^ (_shift_mix(second * _CAT) * _CAT)
    return _shift_mix(_shift_mix(folded * _CAT) * _CAT)


@part
def _shift_mix(x: int) -> int:
    return x ^ (x >> _U(47))


@part
def _mix(u: int, v: int, multiplier: int) -> int:
    """Mixes two words into one: the last step of nearly every path."""
    a = (u ^ v) * multiplier
    b = (v ^ a ^ (a >> _U(47))) * multiplier
    return (b ^ (b >> _U(47))) * multiplier


@part
def fingerprint(at: int, length: int) -> int:
    """The fingerprint of the string of `length` bytes at an address."""
    if length > 64:
        return _of_65_and_more(at, length)
    if length > 32:
        return _of_33_to_64(at, length)
    if length > 16:
        return _of_17_to_32(at, length)
    multiplier = _U(2 * length) + _K2
    end = at + length
    if length >= 8:
        a = word64(at) + _K2
        b = word64(end - 8)
        c = rotate(b, 37) * multiplier + a
        d = (rotate(a, 25) + b) * multiplier
        return _mix(c, d, multiplier)
    if length >= 4:
        return _mix(_U(length) + (word32(at) << _U(3)), word32(end - 4), multiplier)
    if length > 0:
        y = word8(at) + (word8(at + (length >> 1)) << _U(8))
        z = _U(length) + (word8(end - 1) << _U(2))
        a = y * _K2 ^ z * _K0
        return (a ^ (a >> _U(47))) * _K2
    return _K2


@part
def _of_17_to_32(at: int, length: int) -> int:
    multiplier = _U(2 * length) + _K2
    end = at + length
    a = word64(at) * _K1
    b = word64(at + 8)
    c = word64(end - 8) * multiplier
    d = word64(end - 16) * _K2
    u = rotate(a + b, 43) + rotate(c, 30) + d
    return _mix(u, a + rotate(b + _K2, 18) + c, multiplier)


@part
def _of_33_to_64(at: int, length: int) -> int:
    multiplier = _U(2 * length) + _K2
    end = at + length
    a = word64(at) * _K2
    b = word64(at + 8)
    c = word64(end - 8) * multiplier
    d = word64(end - 16) * _K2
    y = rotate(a + b, 43) + rotate(c, 30) + d
    z = _mix(y, a + rotate(b + _K2, 18) + c, multiplier)
    e = word64(at + 16) * multiplier
    f = word64(at + 24)
    g = (y + word64(end - 32)) * multiplier
    h = (z + word64(end - 24)) * multiplier
    u = rotate(e + f, 43) + rotate(g, 30) + h
    return _mix(u, e + rotate(f + a, 18) + g, multiplier)


@part
def _of_65_and_more(at: int, length: int) -> int:
    """Mixes 64 bytes at a time into 56 bytes of state, then the last 64 bytes once more."""
    x, y, z = _X + word64(at), _Y, _Z
    v0 = v1 = w0 = w1 = _U(0)
    last, weight, multiplier = at + length - 64, _U(1), _K1
    while weight == _U(1):
        if at >= last:
            at, weight, multiplier = last, _U(9), ((z & _U(0xFF)) << _U(1)) + _K1
            w0 += _U((length - 1) & 63)
            v0 += w0
            w0 += v0
        x = rotate(x + y + v0 + word64(at + 8), 37) * multiplier ^ w1 * weight
        y = rotate(y + v1 + word64(at + 48), 42) * multiplier + v0 * weight + word64(at + 40)
        z = rotate(z + w0, 33) * multiplier
        # two vectors of 32 bytes
        a, b, c = v1 * multiplier + word64(at), word64(at + 24), x + w0
        v0 = a + word64(at + 8) + word64(at + 16)
        v1 = rotate(c + a + b, 21) + rotate(v0, 44) + a
        v0 += b
        a, b, c = z + w1 + word64(at + 32), word64(at + 56), y + word64(at + 16)
        w0 = a + word64(at + 40) + word64(at + 48)
        w1 = rotate(c + a + b, 21) + rotate(w0, 44) + a
        w0 += b
        x, z = z, x
        at += 64
    u = _mix(v0, w0, multiplier) + _shift_mix(y) * _K0 + z
    return _mix(u, _mix(v1, w1, multiplier) + x, multiplier)
