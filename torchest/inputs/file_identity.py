"""The identity of a data file in any folder: its name, its size, and a checksum of samples of its bytes."""

from __future__ import annotations

import hashlib
import os
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTED = 100
_SAMPLES = 16
_SAMPLE = 1 << 14  # bytes; the checksum covers all of a file of up to _SAMPLES · _SAMPLE


def identities(paths: Sequence[str]) -> list[list[str | int]]:
    """The identities of several files; one joint identity if there are many."""
    each = [identity(path) for path in paths]
    if len(each) <= _LISTED:
        return each
    size = sum(int(one[1]) for one in each)
    return [[f"{len(each)} files", size, hashlib.sha256(repr(each).encode()).hexdigest()]]


def identity(path: str) -> list[str | int]:
    """The name, the size, and a checksum of parts of a file, including the first and the last.

    The modification time does not count, as copying a file changes it.
    """
    size = os.path.getsize(path)
    sum_so_far = 0
    with open(path, "rb") as file:
        for start in _starts(size):
            file.seek(start)
            sum_so_far = zlib.crc32(file.read(_SAMPLE), sum_so_far)
    return [os.path.basename(path), size, f"{sum_so_far:08x}"]


def _starts(size: int) -> list[int]:
    if size <= _SAMPLES * _SAMPLE:
        return list(range(0, size, _SAMPLE))
    last = size - _SAMPLE
    return [last * part // (_SAMPLES - 1) for part in range(_SAMPLES)]
