"""Tensors of strings in a bundle.

The lengths of all strings come first, then a checksum of the lengths, then the strings.
"""

from __future__ import annotations

import itertools

import numpy as np

from torchest.checkpoint.tensorflow.checksum import masked_crc32c
from torchest.checkpoint.tensorflow.wire_format import varint

_CHECKSUM = 4  # bytes


def read_strings(data: bytes, count: int, checksum: int) -> list[bytes]:
    """The strings.

    Args:
        data: All bytes of the tensor.
        count: The number of strings.
        checksum: The masked CRC-32C of the lengths as numbers of 32 bits (of 64, if they need it), the bytes of their
            own checksum, and the strings.

    Raises:
        ValueError: The bytes are not what was written. The message is a clause.
    """
    if count > len(data):
        raise ValueError(f"{len(data)} bytes are not {count} strings")
    lengths: list[int] = []
    at = 0
    for _ in range(count):
        length, at = varint(data, at)
        lengths.append(length)
    start = at + _CHECKSUM
    if start + sum(lengths) != len(data):
        raise ValueError("its strings are cut off")
    numbers = b"".join(
        np.array(n, np.uint32 if n < 2**32 else np.uint64).tobytes() for n in lengths
    )
    if int.from_bytes(data[at:start], "little") != masked_crc32c(numbers):
        raise ValueError("the checksum of its lengths is wrong")
    if masked_crc32c(numbers + data[at:]) != checksum:
        raise ValueError("its checksum is wrong")
    ends = np.cumsum([start, *lengths])
    return [data[first:last] for first, last in itertools.pairwise(ends)]
