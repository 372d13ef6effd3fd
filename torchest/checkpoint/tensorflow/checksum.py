"""The masked CRC-32C of bytes, as TensorFlow's files have it."""

from __future__ import annotations

import numpy as np


def masked_crc32c(data: bytes | bytearray) -> int:
    """The checksum.

    >>> hex(masked_crc32c(b"123456789"))
    '0xc78ab0e5'
    """
    from torchest.kernels import tfrecords

    content = np.frombuffer(data or b"\0", np.uint8)
    return tfrecords.masked_crc32c(content, 0, len(data))
