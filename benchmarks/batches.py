"""The batches of the encoding benchmark; the same for every library, as they depend on the seed only."""

from __future__ import annotations

from typing import Any

import numpy as np

STRINGS = [f"s{number:02}" for number in range(26)]
NUMBERS = [f"n{number:02}" for number in range(13)]
CROSSES = [("s00", "s01"), ("s02", "s03"), ("s04", "s05"), ("s06", "s07")]
BUCKETS = 100_000
DIMENSION = 16


def make_batches(rows: int, count: int, seed: int) -> list[dict[str, Any]]:
    """Batches of fresh strings (numpy "S" arrays of 1 to 12 bytes) and float32 numbers."""
    random = np.random.default_rng([seed, rows])
    return [_batch(rows, random) for _ in range(count)]


def hexadecimal(count: int, seed: int) -> np.ndarray[Any, Any]:
    """Strings of eight hexadecimal digits, as an "S8" array."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    random = np.random.default_rng(seed)
    return digits[random.integers(0, 16, (count, 8))].view("S8").reshape(-1)


def _batch(rows: int, random: np.random.Generator) -> dict[str, Any]:
    batch: dict[str, Any] = {}
    for place, name in enumerate(STRINGS):
        # From a few hundred to 10¹² values, so that strings of all these lengths come together.
        batch[name] = random.integers(0, 10 ** (3 + place % 10), rows).astype("S")
    for name in NUMBERS:
        batch[name] = random.random(rows, np.float32)
    return batch
