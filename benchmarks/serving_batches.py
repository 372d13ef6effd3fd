"""The models and batches of the serving benchmark; the same for every library."""

from __future__ import annotations

from typing import Any

import numpy as np

WORDS = [f"word {number}" for number in range(1000)]
BUCKETS = 100_000
DIMENSION = 8
HIDDEN = [64, 32]
MODELS = {
    "6 vocabulary columns": [f"v{number}" for number in range(6)],
    "26 hashed columns": [f"h{number:02}" for number in range(26)],
}


def make_batch(model: str, rows: int, seed: int) -> dict[str, Any]:
    """Features of one string a row, as arrays of objects [rows, 1]; a tenth of the vocabulary's words is unknown."""
    random = np.random.default_rng([seed, rows])
    batch = {}
    for place, name in enumerate(MODELS[model]):
        if name.startswith("v"):
            drawn = random.integers(0, len(WORDS) * 10 // 9, rows)
            words = [f"word {number}" for number in drawn]
        else:
            words = [str(number) for number in random.integers(0, 10 ** (3 + place % 10), rows)]
        batch[name] = np.array(words, dtype=object).reshape(rows, 1)
    return batch


def seconds_of(answer: Any, batches: list[dict[str, Any]]) -> list[float]:
    """How long each batch takes to be answered."""
    import time

    answer(batches[0])
    actual = []
    for batch in batches:
        start = time.perf_counter()
        answer(batch)
        actual.append(time.perf_counter() - start)
    return actual
