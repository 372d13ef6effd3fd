"""CRC-32C against published values and a version of one bit at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest.inputs.crc32c import crc32c, masked


def bit_by_bit(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def sums(strings: list[bytes]) -> list[int]:
    lengths = np.array([len(string) for string in strings], np.int64)
    data = np.frombuffer(b"".join(strings), np.uint8)
    return [int(found) for found in crc32c(data, np.cumsum(lengths) - lengths, lengths)]


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
    assert sums([data]) == [expected]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=8))
def test_short_strings(strings: list[bytes]):
    assert sums(strings) == [bit_by_bit(string) for string in strings]


def test_strings_around_the_length_of_a_piece():
    random = np.random.default_rng(0)
    lengths = [0, 1, 7, 8, 9, 1023, 1024, 1025, 1032, 2047, 2048, 2049, 3080, 5000]
    strings = [random.bytes(length) for length in lengths]

    assert sums(strings) == [bit_by_bit(string) for string in strings]


def test_mask_of_a_checksum_that_tensorflow_wrote():
    header = np.frombuffer((1).to_bytes(8, "little"), np.uint8)  # of a record of one byte

    found = masked(crc32c(header, np.array([0]), np.array([8])))

    assert found.tobytes().hex() == "0175de41"
