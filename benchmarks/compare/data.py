"""Rows like those of click logs, the same on every side: 13 numbers and 26 strings with Zipf values, and labels.

Needs numpy alone, as TensorFlow's environment has nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = [f"I{number}" for number in range(1, 14)]
STRINGS = [f"C{number}" for number in range(1, 27)]
TITANIC = str(Path(__file__).parents[2] / "examples" / "data" / "titanic_train.csv")
FLOWER_NUMBERS = ["SepalLength", "SepalWidth", "PetalLength", "PetalWidth"]
NUMBERS_IN_ALL = 1000
_WORDS = 100_000  # that a column has


def make_rows(count: int, seed: int = 0) -> tuple[dict[str, np.ndarray[Any, Any]], Any]:
    """Features by key, each [count], and labels int64 [count]."""
    random = np.random.default_rng(seed)
    features: dict[str, Any] = {}
    score = np.zeros(count)
    for place, key in enumerate(STRINGS):
        words = _hexadecimal(random, _WORDS)
        effects = random.normal(0, 0.3, _WORDS)
        ranks = _zipf(random, 1.05 + 0.05 * (place % 4), count)
        features[key] = words[ranks]
        score += effects[ranks]
    for key in NUMBERS:
        features[key] = random.random(count, np.float32)
    clicked = random.random(count) < 1 / (1 + np.exp(1.2 - score))
    return features, clicked.astype(np.int64)


def make_flowers(count: int = 120) -> tuple[dict[str, np.ndarray[Any, Any]], Any]:
    """Four numbers of flowers around three centres, each float64 [count], and their kinds int64 [count]."""
    random = np.random.default_rng(0)
    centres = np.array([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
    kinds = random.integers(3, size=count)
    numbers = random.normal(centres[kinds], 0.3)
    return dict(zip(FLOWER_NUMBERS, numbers.T.copy(), strict=True)), kinds


def make_number_batches(rows: int, columns: int, count: int) -> list[tuple[dict[str, Any], Any]]:
    """Batches of `NUMBERS_IN_ALL` float32 numbers in `columns` columns, with labels."""
    random = np.random.default_rng(0)
    width = NUMBERS_IN_ALL // columns
    shape = (rows,) if width == 1 else (rows, width)
    return [
        ({f"x{place}": random.random(shape, np.float32) for place in range(columns)}, random.integers(2, size=rows))
        for _ in range(count)
    ]  # fmt: skip


def write_csv(path: Path, count: int) -> None:
    """A file of `count` rows of `make_rows`, with the column "label"."""
    features, labels = make_rows(count)
    texts = [
        column.astype("U").tolist() if column.dtype.kind == "S" else [f"{n:.6f}" for n in column]
        for column in features.values()
    ]
    with path.open("w", encoding="ascii") as file:
        file.write(",".join([*features, "label"]) + "\n")
        file.writelines(
            ",".join(row) + "\n" for row in zip(*texts, map(str, labels.tolist()), strict=True)
        )


def make_batches(rows: int, count: int) -> list[tuple[dict[str, Any], Any]]:
    """`count` batches of `rows` rows."""
    features, labels = make_rows(rows * count)
    return [
        ({key: column[start : start + rows] for key, column in features.items()}, labels[start : start + rows])
        for start in range(0, len(labels) - rows + 1, rows)
    ]  # fmt: skip


def _hexadecimal(random: np.random.Generator, count: int) -> np.ndarray[Any, Any]:
    """Strings of eight hexadecimal digits."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    return digits[random.integers(0, 16, (count, 8))].view("S8").reshape(-1)


def _zipf(random: np.random.Generator, exponent: float, count: int) -> np.ndarray[Any, Any]:
    """Ranks below _WORDS with probabilities rank^−exponent."""
    cumulative = np.cumsum(np.arange(1, _WORDS + 1, dtype=np.float64) ** -exponent)
    return np.searchsorted(cumulative, random.random(count) * cumulative[-1])
