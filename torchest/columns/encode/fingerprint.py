"""FarmHash Fingerprint64 of many byte strings at once, and the folding of two fingerprints.

The strings lie in one flat buffer, as Arrow and numpy hold them:

>>> data = np.frombuffer(b"FirstSecond", np.uint8)
>>> fingerprint64(data, np.array([0, 5]), np.array([5, 6]))
array([ 4948112285631632835, 11243921998565536882], dtype=uint64)

The loop over the strings is compiled: `torchest.kernels.farmhash`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

UInt64s: TypeAlias = "npt.NDArray[np.uint64]"
Int64s: TypeAlias = "npt.NDArray[np.int64]"
Bytes: TypeAlias = "npt.NDArray[np.uint8]"

KEY_SPACE = 1 << 63  # hashes of values are below

_CAT_MULTIPLIER = np.uint64(0xC6A4A7935BD1E995)
_47 = np.uint64(47)


def fingerprint64(data: Bytes, starts: Int64s, lengths: Int64s) -> UInt64s:
    """The FarmHash Fingerprint64 of each byte string in a flat buffer.

    Args:
        data: The buffer, uint8 [bytes], contiguous.
        starts: Where each string begins in it, int64 [n]. Strings may overlap and lie in any order.
        lengths: The number of bytes of each string, int64 [n].

    Returns:
        The fingerprints, uint64 [n].
    """
    from torchest.kernels import farmhash

    fingerprints = np.empty(len(starts), np.uint64)
    farmhash.fingerprints(np.ascontiguousarray(data), starts, lengths, fingerprints)
    return fingerprints


def fingerprint_cat64(first: UInt64s, second: UInt64s) -> UInt64s:
    """Combines two fingerprints into one, as TensorFlow does for a cross; not symmetric.

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


def spread(values: Int64s | npt.NDArray[np.float64]) -> Int64s:
    """A hash of each 64-bit value, evenly spread over [0, KEY_SPACE)."""
    bits: UInt64s = np.ascontiguousarray(values).view(np.uint64)
    keys = fingerprint_cat64(np.zeros_like(bits), bits) >> np.uint64(1)
    return np.asarray(keys.view(np.int64))


def widened(buckets: int) -> int:
    """The greatest multiple of a number of buckets below KEY_SPACE: hashes modulo it keep their bucket."""
    return (KEY_SPACE - 1) // buckets * buckets


def _shift_mix(x: UInt64s) -> UInt64s:
    mixed: UInt64s = x >> _47
    mixed ^= x
    return mixed
