"""FarmHash Fingerprint64 of byte strings in one buffer.

The algorithm is Geoff Pike's FarmHash (https://github.com/google/farmhash, ``farmhashna``), whose fingerprints are
frozen: they are the same on every machine and in every release. It has a separate path for each class of lengths.

All arithmetic is on uint64, which wraps around. The functions pass addresses instead of arrays: Numba counts references
to arrays, which takes ten times as long as the hashing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.kernels.compiling import kernel, part
from torchest.kernels.memory import word8, word32, word64

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Int64s = npt.NDArray[np.int64]
    UInt64s = npt.NDArray[np.uint64]
    _State = tuple[int, int, int, int, int, int, int]

_U: Callable[[int], int] = np.uint64  # its results are typed like all whole numbers of kernels
_K0 = _U(0xC3A5C85C97CB3127)
_K1 = _U(0xB492B66FBE98F273)
_K2 = _U(0x9AE16A3B2F90404F)
_CAT = _U(0xC6A4A7935BD1E995)


@kernel
def fingerprints(data: Bytes, starts: Int64s, lengths: Int64s, hashes: UInt64s) -> None:
    """Writes the fingerprint of each string.

    Args:
        data: The buffer, [bytes].
        starts: Beginning of each string in the buffer, [n].
        lengths: Number of bytes of each string, [n].
        hashes: Output, [n].
    """
    start = _U(data.ctypes.data)
    for place in range(len(hashes)):
        hashes[place] = fingerprint(start + _U(starts[place]), _U(lengths[place]))


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
def _rotate(x: int, bits: int) -> int:
    return (x >> _U(bits)) | (x << _U(64 - bits))


@part
def _shift_mix(x: int) -> int:
    return x ^ (x >> _U(47))


@part
def _mix(u: int, v: int, multiplier: int) -> int:
    """Mixes two words into one: the last step of nearly every path."""
    a = _shift_mix((u ^ v) * multiplier)
    return _shift_mix((v ^ a) * multiplier) * multiplier


@part
def fingerprint(at: int, length: int) -> int:
    """The fingerprint of the string of `length` bytes at an address."""
    if length > _U(64):
        return _of_65_and_more(at, length)
    if length > _U(32):
        return _of_33_to_64(at, length)
    if length > _U(16):
        return _of_17_to_32(at, length)
    if length >= _U(8):
        return _of_8_to_16(at, length)
    if length >= _U(4):
        last = word32(at + length - _U(4))
        return _mix(length + (word32(at) << _U(3)), last, (length << _U(1)) + _K2)
    if length > _U(0):
        y = word8(at) + (word8(at + (length >> _U(1))) << _U(8))
        z = length + (word8(at + length - _U(1)) << _U(2))
        return _shift_mix(y * _K2 ^ z * _K0) * _K2
    return _K2


@part
def _of_8_to_16(at: int, length: int) -> int:
    multiplier = (length << _U(1)) + _K2
    a = word64(at) + _K2
    b = word64(at + length - _U(8))
    c = _rotate(b, 37) * multiplier + a
    d = (_rotate(a, 25) + b) * multiplier
    return _mix(c, d, multiplier)


@part
def _of_17_to_32(at: int, length: int) -> int:
    multiplier = (length << _U(1)) + _K2
    a = word64(at) * _K1
    b = word64(at + _U(8))
    c = word64(at + length - _U(8)) * multiplier
    d = word64(at + length - _U(16)) * _K2
    u = _rotate(a + b, 43) + _rotate(c, 30) + d
    return _mix(u, a + _rotate(b + _K2, 18) + c, multiplier)


@part
def _of_33_to_64(at: int, length: int) -> int:
    multiplier = (length << _U(1)) + _K2
    end = at + length
    a = word64(at) * _K2
    b = word64(at + _U(8))
    c = word64(end - _U(8)) * multiplier
    d = word64(end - _U(16)) * _K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d
    z = _mix(y, a + _rotate(b + _K2, 18) + c, multiplier)
    e = word64(at + _U(16)) * multiplier
    f = word64(at + _U(24))
    g = (y + word64(end - _U(32))) * multiplier
    h = (z + word64(end - _U(24))) * multiplier
    u = _rotate(e + f, 43) + _rotate(g, 30) + h
    return _mix(u, e + _rotate(f + a, 18) + g, multiplier)


@part
def _of_65_and_more(at: int, length: int) -> int:
    """Mixes 64 bytes at a time into 56 bytes of state, then the last 64 bytes once more."""
    y = _U(81) * _K1 + _U(113)
    z = _shift_mix(y * _K2 + _U(113)) * _K2
    x = _U(81) * _K2 + word64(at)
    state = (x, y, z, _U(0), _U(0), _U(0), _U(0))
    last = at + length - _U(64)
    while at < last:
        state = _absorb(at, state, _U(1), _K1)
        at += _U(64)
    x, y, z, v0, v1, w0, w1 = state
    multiplier = ((z & _U(0xFF)) << _U(1)) + _K1
    w0 += (length - _U(1)) & _U(63)
    v0 += w0
    w0 += v0
    x, y, z, v0, v1, w0, w1 = _absorb(last, (x, y, z, v0, v1, w0, w1), _U(9), multiplier)
    u = _mix(v0, w0, multiplier) + _shift_mix(y) * _K0 + z
    return _mix(u, _mix(v1, w1, multiplier) + x, multiplier)


@part
def _absorb(at: int, state: _State, weight: int, multiplier: int) -> _State:
    """Mixes 64 bytes into the state; the weight is 1 within the string and 9 at its end."""
    x, y, z, v0, v1, w0, w1 = state
    x = _rotate(x + y + v0 + word64(at + _U(8)), 37) * multiplier
    y = _rotate(y + v1 + word64(at + _U(48)), 42) * multiplier
    x ^= w1 * weight
    y += v0 * weight + word64(at + _U(40))
    z = _rotate(z + w0, 33) * multiplier
    v0, v1 = _absorb_32(at, v1 * multiplier, x + w0)
    w0, w1 = _absorb_32(at + _U(32), z + w1, y + word64(at + _U(16)))
    return z, y, x, v0, v1, w0, w1


@part
def _absorb_32(at: int, a: int, b: int) -> tuple[int, int]:
    last = word64(at + _U(24))
    c = a + word64(at)
    middle = c + word64(at + _U(8)) + word64(at + _U(16))
    return middle + last, _rotate(b + c + last, 21) + _rotate(middle, 44) + c
