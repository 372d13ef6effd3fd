from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchest.columns.encode.fingerprint import fingerprint64, fingerprint_cat64

REFERENCE = Path(__file__).parents[2] / "reference" / "fingerprint.json"
MASK = (1 << 64) - 1
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def hash_all(strings: list[bytes]) -> list[int]:
    data = np.frombuffer(b"".join(strings), np.uint8)
    lengths = np.array([len(string) for string in strings], np.int64)
    return fingerprint64(data, np.cumsum(lengths) - lengths, lengths).tolist()


class Scalar:
    """FarmHash Fingerprint64 of one string with Python's integers, written apart from the module."""

    def __init__(self, string: bytes) -> None:
        self.s = string

    def load(self, at: int, width: int = 8) -> int:
        assert 0 <= at <= len(self.s) - width
        return int.from_bytes(self.s[at : at + width], "little")

    @staticmethod
    def rotate(x: int, bits: int) -> int:
        x &= MASK
        return (x >> bits | x << (64 - bits)) & MASK

    @staticmethod
    def mix(x: int) -> int:
        x &= MASK
        return x ^ x >> 47

    def pair(self, u: int, v: int, mul: int) -> int:
        u, v = u & MASK, v & MASK
        a = self.mix((u ^ v) * mul)
        return self.mix((v ^ a) * mul) * mul & MASK

    def hash(self) -> int:
        n = len(self.s)
        if n == 0:
            return K2
        if n < 4:
            y = self.s[0] + (self.s[n // 2] << 8)
            return self.mix((y * K2 ^ (n + (self.s[-1] << 2)) * K0) & MASK) * K2 & MASK
        mul = K2 + 2 * n
        if n < 8:
            return self.pair(n + (self.load(0, 4) << 3), self.load(n - 4, 4), mul)
        if n <= 16:
            a, b = self.load(0) + K2, self.load(n - 8)
            c = self.rotate(b, 37) * mul + a
            return self.pair(c, (self.rotate(a, 25) + b) * mul, mul)
        if n <= 32:
            return self.pair(*self.middle(mul, K1)[:2], mul)
        if n <= 64:
            return self.hash_33_to_64(mul)
        return self.hash_long()

    def middle(self, mul: int, first: int) -> tuple[int, int, int]:
        n = len(self.s)
        a, b = self.load(0) * first, self.load(8)
        c, d = self.load(n - 8) * mul, self.load(n - 16) * K2
        y = self.rotate(a + b, 43) + self.rotate(c, 30) + d
        return y, a + self.rotate(b + K2, 18) + c, a

    def hash_33_to_64(self, mul: int) -> int:
        n = len(self.s)
        y, other, a = self.middle(mul, K2)
        z = self.pair(y, other, mul)
        e, f = self.load(16) * mul, self.load(24)
        g, h = (y + self.load(n - 32)) * mul, (z + self.load(n - 24)) * mul
        left = self.rotate(e + f, 43) + self.rotate(g, 30) + h
        return self.pair(left, e + self.rotate(f + a, 18) + g, mul)

    def weak(self, at: int, a: int, b: int) -> tuple[int, int]:
        w, x, y, z = (self.load(at + 8 * i) for i in range(4))
        a += w
        b = self.rotate(b + a + z, 21)
        c = a
        a += x + y
        return (a + z) & MASK, (b + self.rotate(a, 44) + c) & MASK

    def hash_long(self) -> int:
        n = len(self.s)
        y = (81 * K1 + 113) & MASK
        z = self.mix(y * K2 + 113) * K2 & MASK
        x = (81 * K2 + self.load(0)) & MASK
        state = (x, y, z, 0, 0, 0, 0)
        at = 0
        while n - at > 64:
            state = self.step(at, state, K1, 1)
            at += 64
        x, y, z, v0, v1, w0, w1 = state
        mul = K1 + ((z & 0xFF) << 1)
        w0 += (n - 1) & 63
        v0 += w0
        w0 += v0
        x, y, z, v0, v1, w0, w1 = self.step(n - 64, (x, y, z, v0, v1, w0, w1), mul, 9)
        left = self.pair(v0, w0, mul) + self.mix(y) * K0 + z
        return self.pair(left, self.pair(v1, w1, mul) + x, mul)

    def step(self, at: int, state: tuple[int, ...], mul: int, factor: int) -> tuple[int, ...]:
        x, y, z, v0, v1, w0, w1 = state
        x = self.rotate(x + y + v0 + self.load(at + 8), 37) * mul & MASK
        y = self.rotate(y + v1 + self.load(at + 48), 42) * mul
        x ^= w1 * factor & MASK
        y = (y + v0 * factor + self.load(at + 40)) & MASK
        z = self.rotate(z + w0, 33) * mul & MASK
        v0, v1 = self.weak(at, v1 * mul, x + w0)
        w0, w1 = self.weak(at + 32, z + w1, y + self.load(at + 16))
        return z, y, x, v0, v1, w0, w1


def test_fingerprints_and_buckets_equal_tensorflows() -> None:
    reference = json.loads(REFERENCE.read_text())
    encoded, fingerprints, buckets = zip(*reference["rows"], strict=True)
    got = hash_all([base64.b64decode(string) for string in encoded])
    assert got == list(fingerprints)
    for count, column in zip(reference["bucket_counts"], zip(*buckets, strict=True), strict=True):
        assert [fingerprint % count for fingerprint in got] == list(column)


def test_reference_holds_every_length_up_to_300_bytes() -> None:
    rows = json.loads(REFERENCE.read_text())["rows"]
    assert len(rows) >= 2000
    assert {len(base64.b64decode(row[0])) for row in rows} >= set(range(301))


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_fingerprints_equal_the_scalar_algorithms(strings: list[bytes]) -> None:
    assert hash_all(strings) == [Scalar(string).hash() for string in strings]


@pytest.mark.parametrize("length", [0, 1, 3, 4, 7, 8, 16, 17, 32, 33, 64, 65, 128, 129, 192, 193])
def test_more_strings_than_a_block_holds(length: int) -> None:
    strings = [f"{i:0{length}d}".encode()[-length:] if length else b"" for i in range(9000)]
    picked = [0, 1, 4095, 4096, 8191, 8999]
    got = hash_all(strings)
    assert [got[i] for i in picked] == [Scalar(strings[i]).hash() for i in picked]


def test_strings_may_overlap_and_lie_in_any_order_in_a_strided_buffer() -> None:
    data = np.zeros((20, 2), np.uint8)
    data[:, 0] = np.arange(97, 117)
    got = fingerprint64(data[:, 0], np.array([12, 0, 3]), np.array([8, 20, 9]))
    text = bytes(range(97, 117))
    assert got.tolist() == [Scalar(part).hash() for part in (text[12:], text, text[3:12])]


def test_no_strings_have_no_fingerprints() -> None:
    got = fingerprint64(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
    assert got.dtype == np.uint64
    assert got.shape == (0,)


@given(st.lists(st.tuples(st.integers(0, MASK), st.integers(0, MASK)), max_size=5))
def test_folded_fingerprints_equal_the_scalar_algorithms(pairs: list[tuple[int, int]]) -> None:
    multiplier = 0xC6A4A7935BD1E995
    want = []
    for first, second in pairs:
        folded = first ^ multiplier ^ Scalar.mix(second * multiplier) * multiplier & MASK
        want.append(Scalar.mix(Scalar.mix(folded * multiplier) * multiplier))
    first, second = np.array(pairs, np.uint64).reshape(-1, 2).T
    assert fingerprint_cat64(first, second).tolist() == want
