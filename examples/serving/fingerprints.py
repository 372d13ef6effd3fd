"""FarmHash Fingerprint64 of many strings with numpy alone: what `model.fingerprints.onnx` takes in place of strings.

session.run(None, {"town/fingerprint": fingerprints(["Köln", ""])})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
MASK = 2**64 - 1


def fingerprints(strings: Sequence[str]) -> np.ndarray:
    """The fingerprint of the UTF-8 bytes of each string, int64 [n]."""
    joined, parts = "".join(strings), strings
    data = joined.encode()
    if len(data) != len(joined):  # not only ASCII
        parts = [text.encode() for text in strings]  # type: ignore[misc]
    lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    ends = np.cumsum(lengths)
    answers = np.full(len(lengths), K2, np.uint64)
    classes = np.searchsorted([1, 4, 8, 17, 33, 65], lengths, side="right")
    load = _Memory(data)
    for number in np.unique(classes[lengths > 0]):
        rows = np.flatnonzero(classes == number)
        n, end = lengths[rows], ends[rows]
        answers[rows] = _CLASSES[number](load, end - n, end, n.astype(np.uint64))
    return answers.view(np.int64)


class _Memory:
    """Little-endian words of a buffer at any byte."""

    def __init__(self, data: bytes) -> None:
        padded = data + bytes(8)
        self.words = {
            size: np.ndarray(len(padded) - size + 1, f"<u{size}", padded, strides=(1,))
            for size in (1, 4, 8)
        }

    def __call__(self, at: Any, size: int = 8) -> Any:
        return self.words[size][at].astype(np.uint64, copy=False)


def _right(x: Any, bits: int) -> Any:
    return (x >> bits) | (x << (64 - bits))


def _shift(x: Any) -> Any:
    return x ^ (x >> 47)


def _mix(u: Any, v: Any, by: Any) -> Any:
    return _shift((v ^ _shift((u ^ v) * by)) * by) * by


def _upto_3(load: Any, at: Any, end: Any, n: Any) -> Any:
    y = load(at, 1) + (load((at + end) // 2, 1) << 8)
    return _shift((y * K2) ^ ((n + (load(end - 1, 1) << 2)) * K0)) * K2


def _upto_7(load: Any, at: Any, end: Any, n: Any) -> Any:
    return _mix(n + (load(at, 4) << 3), load(end - 4, 4), n * 2 + K2)


def _upto_16(load: Any, at: Any, end: Any, n: Any) -> Any:
    by = n * 2 + K2
    a, b = load(at) + K2, load(end - 8)
    return _mix(_right(b, 37) * by + a, (_right(a, 25) + b) * by, by)


def _blend(a: Any, b: Any, c: Any, d: Any, e: Any, by: Any) -> tuple[Any, Any]:
    y = _right(a + b, 43) + _right(c, 30) + d
    return y, _mix(y, a + _right(b + e, 18) + c, by)


def _ends(load: Any, at: Any, end: Any, a: Any, by: Any) -> tuple[Any, Any]:
    return _blend(a, load(at + 8), load(end - 8) * by, load(end - 16) * K2, K2, by)


def _upto_32(load: Any, at: Any, end: Any, n: Any) -> Any:
    return _ends(load, at, end, load(at) * K1, n * 2 + K2)[1]


def _upto_64(load: Any, at: Any, end: Any, n: Any) -> Any:
    by, a = n * 2 + K2, load(at) * K2
    y, z = _ends(load, at, end, a, by)
    g, h = (y + load(end - 32)) * by, (z + load(end - 24)) * by
    return _blend(load(at + 16) * by, load(at + 24), g, h, a, by)[1]


def _longer(load: Any, at: Any, end: Any, n: Any) -> Any:
    y = 81 * K1 + 113 & MASK
    z = _shift(y * K2 + 113 & MASK) * K2 & MASK
    state = np.zeros((7, len(n)), np.uint64)
    state[0], state[1], state[2] = load(at) + (81 * K2 & MASK), y, z
    chunks = (end - at - 1) // 64
    for chunk in range(int(chunks.max())):
        going = np.flatnonzero(chunks > chunk)
        state[:, going] = _absorb(load, at[going] + 64 * chunk, state[:, going], 1, K1)
    x, y, z, v0, v1, w0, w1 = state
    by = ((z & 0xFF) << 1) + K1
    w0 = w0 + ((n - 1) & 63)
    v0 = v0 + w0
    x, y, z, v0, v1, w0, w1 = _absorb(load, end - 64, (x, y, z, v0, v1, w0 + v0, w1), 9, by)
    return _mix(_mix(v0, w0, by) + _shift(y) * K0 + z, _mix(v1, w1, by) + x, by)


def _absorb(load: Any, at: Any, state: Any, factor: int, by: Any) -> tuple[Any, ...]:
    """Takes 64 bytes into the state."""
    x, y, z, v0, v1, w0, w1 = state
    words = [load(at + offset) for offset in range(0, 64, 8)]
    x = _right(x + y + v0 + words[1], 37) * by ^ w1 * factor
    y = _right(y + v1 + words[6], 42) * by + v0 * factor + words[5]
    z = _right(z + w0, 33) * by
    v = _absorb_32(words[:4], v1 * by, x + w0)
    return z, y, x, *v, *_absorb_32(words[4:], z + w1, y + words[2])


def _absorb_32(words: list[Any], a: Any, b: Any) -> tuple[Any, Any]:
    c = a + words[0]
    total = c + words[1] + words[2]
    return total + words[3], _right(b + c + words[3], 21) + _right(total, 44) + c


_CLASSES = [None, _upto_3, _upto_7, _upto_16, _upto_32, _upto_64, _longer]
