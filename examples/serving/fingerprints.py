"""FarmHash Fingerprint64 of many strings with numpy alone: what `model.fingerprints.onnx` takes in place of strings.

session.run(None, {"town/fingerprint": fingerprints(["Köln", ""])})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

K0, K1, K2 = (
    np.uint64(each) for each in (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F)
)


def fingerprints(strings: Sequence[str]) -> np.ndarray:
    """The fingerprint of the UTF-8 bytes of each string, int64 [n]."""
    joined, parts = "".join(strings), strings
    data = joined.encode()
    if len(data) != len(joined):  # not only ASCII
        parts = [text.encode() for text in strings]  # type: ignore[misc]
    lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    starts = np.cumsum(lengths) - lengths
    found = np.full(len(lengths), K2)
    classes = np.searchsorted([1, 4, 8, 17, 33, 65], lengths, side="right")
    load = _Memory(data)
    for number in np.unique(classes[lengths > 0]):
        rows = np.flatnonzero(classes == number)
        found[rows] = _PATHS[number - 1](load, starts[rows], lengths[rows].astype(np.uint64))
    return found.view(np.int64)


class _Memory:
    """Little-endian words of a buffer at any byte."""

    def __init__(self, data: bytes) -> None:
        padded = data + bytes(8)
        self.words = {
            size: np.ndarray(len(padded) - size + 1, f"<u{size}", padded, strides=(1,))
            for size in (1, 4, 8)
        }

    def __call__(self, at: Any, size: int = 8) -> np.ndarray:
        return self.words[size][at].astype(np.uint64)


def _right(x: Any, bits: int) -> Any:
    return (x >> np.uint64(bits)) | (x << np.uint64(64 - bits))


def _shift(x: Any) -> Any:
    return x ^ (x >> np.uint64(47))


def _mix(u: Any, v: Any, multiplier: Any) -> Any:
    a = _shift((u ^ v) * multiplier)
    return _shift((v ^ a) * multiplier) * multiplier


def _upto_3(load: _Memory, at: Any, n: Any) -> Any:
    size = n.astype(np.int64)
    y = load(at, 1) + (load(at + size // 2, 1) << np.uint64(8))
    z = n + (load(at + size - 1, 1) << np.uint64(2))
    return _shift((y * K2) ^ (z * K0)) * K2


def _upto_7(load: _Memory, at: Any, n: Any) -> Any:
    last = load(at + n.astype(np.int64) - 4, 4)
    return _mix(n + (load(at, 4) << np.uint64(3)), last, K2 + n * np.uint64(2))


def _upto_16(load: _Memory, at: Any, n: Any) -> Any:
    multiplier = K2 + n * np.uint64(2)
    a, b = load(at) + K2, load(at + n.astype(np.int64) - 8)
    return _mix(_right(b, 37) * multiplier + a, (_right(a, 25) + b) * multiplier, multiplier)


def _ends(load: _Memory, at: Any, n: Any, first: Any, multiplier: Any) -> tuple[Any, Any, Any]:
    end = at + n.astype(np.int64)
    a, b = load(at) * first, load(at + 8)
    c, d = load(end - 8) * multiplier, load(end - 16) * K2
    return a, _right(a + b, 43) + _right(c, 30) + d, a + _right(b + K2, 18) + c


def _upto_32(load: _Memory, at: Any, n: Any) -> Any:
    multiplier = K2 + n * np.uint64(2)
    _, y, z = _ends(load, at, n, K1, multiplier)
    return _mix(y, z, multiplier)


def _upto_64(load: _Memory, at: Any, n: Any) -> Any:
    multiplier = K2 + n * np.uint64(2)
    a, y, z = _ends(load, at, n, K2, multiplier)
    z = _mix(y, z, multiplier)
    end = at + n.astype(np.int64)
    e, f = load(at + 16) * multiplier, load(at + 24)
    g, h = (y + load(end - 32)) * multiplier, (z + load(end - 24)) * multiplier
    return _mix(_right(e + f, 43) + _right(g, 30) + h, e + _right(f + a, 18) + g, multiplier)


def _absorb(words: list[Any], state: list[Any], factor: int, multiplier: Any) -> list[Any]:
    """Takes 64 bytes into the state."""
    x, y, z, v0, v1, w0, w1 = state
    nine = np.uint64(factor)
    x = _right(x + y + v0 + words[1], 37) * multiplier ^ w1 * nine
    y = _right(y + v1 + words[6], 42) * multiplier + v0 * nine + words[5]
    z = _right(z + w0, 33) * multiplier
    v0, v1 = _absorb_32(words[:4], v1 * multiplier, x + w0)
    w0, w1 = _absorb_32(words[4:], z + w1, y + words[2])
    return [z, y, x, v0, v1, w0, w1]


def _absorb_32(words: list[Any], a: Any, b: Any) -> tuple[Any, Any]:
    c = a + words[0]
    middle = c + words[1] + words[2]
    return middle + words[3], _right(b + c + words[3], 21) + _right(middle, 44) + c


def _longer(load: _Memory, at: Any, n: Any) -> Any:
    zero = np.zeros_like(n)
    seed = zero + np.uint64(81)
    y = seed * K1 + np.uint64(113)
    z = _shift(y * K2 + np.uint64(113)) * K2
    state = [load(at) + seed * K2, y, z, zero, zero, zero, zero]
    chunks = (n.astype(np.int64) - 1) // 64
    for chunk in range(int(chunks.max())):
        going = np.flatnonzero(chunks > chunk)
        words = [load(at[going] + 64 * chunk + offset) for offset in range(0, 64, 8)]
        changed = _absorb(words, [each[going] for each in state], 1, K1)
        state = [each.copy() for each in state]
        for old, new in zip(state, changed, strict=True):
            old[going] = new
    x, y, z, v0, v1, w0, w1 = state
    multiplier = K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
    w0 = w0 + ((n - np.uint64(1)) & np.uint64(63))
    v0 = v0 + w0
    w0 = w0 + v0
    last = at + n.astype(np.int64) - 64
    words = [load(last + offset) for offset in range(0, 64, 8)]
    x, y, z, v0, v1, w0, w1 = _absorb(words, [x, y, z, v0, v1, w0, w1], 9, multiplier)
    first = _mix(v0, w0, multiplier) + _shift(y) * K0 + z
    return _mix(first, _mix(v1, w1, multiplier) + x, multiplier)


_PATHS: list[Callable[[_Memory, Any, Any], Any]] = [
    _upto_3, _upto_7, _upto_16, _upto_32, _upto_64, _longer
]  # fmt: skip
