"""CRC-32C against published values and a version of one bit at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest.kernels.tfrecords import masked_crc32c


def bit_by_bit(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The checksum without its mask."""
    padded = np.frombuffer(b"before" + data + b"behind", np.uint8)
    masked = masked_crc32c(padded, 6, 6 + len(data))
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated << 15 | rotated >> 17) & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"123456789", 0xE3069283),  # the check value of catalogues of CRCs
        (bytes(32), 0x8A9136AA),  # this and the following: RFC 3720, appendix B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
)
def test_published_values(data: bytes, expected: int):
    assert crc32c(data) == expected


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=50))
def test_strings_of_any_length(data: bytes):
    assert crc32c(data) == bit_by_bit(data)


def test_mask_of_a_checksum_that_tensorflow_wrote():
    header = np.frombuffer((1).to_bytes(8, "little"), np.uint8)  # of a record of one byte

    assert masked_crc32c(header, 0, 8).to_bytes(4, "little").hex() == "0175de41"
