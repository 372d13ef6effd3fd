"""How fast columns encode: 26 hashed string columns, 13 numeric ones and 4 crosses, every batch fresh.

    python benchmarks/encoding.py [--tensorflow PYTHON] [--rounds 5] [--threads 1]

PYTHON is that of an environment with TensorFlow 2.15 (default: the environment variable TF_PYTHON).
TensorFlow then runs in a process of its own, in turns with this one and on the same batches. Its strings
are tensors before the clock starts; torchest's are numpy arrays.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import torch
from batches import BUCKETS, CROSSES, DIMENSION, NUMBERS, STRINGS, hexadecimal, make_batches

from torchest import columns

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = (512, 4096)
ROWS_A_ROUND = 40_960
STRINGS_A_ROUND = 1_000_000
TASKS = ("encode", "DenseFeatures", "linear model")

Request = dict[str, int]
Rates = dict[str, float]


def main() -> None:
    """Runs the rounds and prints the tables."""
    arguments = _arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    sides: dict[str, Callable[[Request], Rates]] = {"torchest": Torchest().rates}
    if arguments.tensorflow:
        sides["TensorFlow"] = TensorFlow(arguments.tensorflow, arguments.threads).rates
    measured: dict[Any, list[float]] = defaultdict(list)
    for number in range(arguments.rounds):
        for rows in ROWS:
            request = {"rows": rows, "count": ROWS_A_ROUND // rows, "seed": number}
            # Whoever comes first changes from round to round.
            for side in sorted(sides, reverse=bool(number % 2)):
                for task, rate in sides[side](request).items():
                    measured[rows, task, side].append(rate)
        for source, rate in hashing(number).items():
            measured[source].append(rate)
    print_rates(measured)
    if arguments.tensorflow:
        print_ratios(measured)
    print_hashing(measured)


class Torchest:
    """Timings of this library."""

    def __init__(self) -> None:
        numeric = [columns.numeric_column(name) for name in NUMBERS]
        hashed = [columns.categorical_column_with_hash_bucket(name, BUCKETS) for name in STRINGS]
        crossed = [columns.crossed_column(keys, BUCKETS) for keys in CROSSES]
        categorical = [*hashed, *crossed]
        embedded = [columns.embedding_column(column, DIMENSION) for column in categorical]
        self._columns = [*numeric, *categorical]
        self._tasks: dict[str, Callable[[dict[str, Any]], Any]] = {
            "encode": self._encode,
            "DenseFeatures": columns.DenseFeatures([*numeric, *embedded]),
            "linear model": columns.LinearFeatures(self._columns),
        }

    @torch.inference_mode()
    def rates(self, request: Request) -> Rates:
        """Rows per second of each task."""
        batches = make_batches(request["rows"], request["count"], request["seed"])
        rates = {}
        for name, task in self._tasks.items():
            task(batches[0])
            start = time.perf_counter()
            for batch in batches:
                task(batch)
            rates[name] = request["rows"] * len(batches) / (time.perf_counter() - start)
        return rates

    def _encode(self, batch: dict[str, Any]) -> None:
        features = columns.Features(batch)
        features.expect(self._columns)
        for column in self._columns:
            features.encoded(column)


class TensorFlow:
    """Timings of TensorFlow, in another process."""

    def __init__(self, python: str, threads: int) -> None:
        script = str(Path(__file__).with_name("encoding_tensorflow.py"))
        self._process = subprocess.Popen(
            [python, script, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def rates(self, request: Request) -> Rates:
        """Rows per second of each task."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit(
                "TensorFlow's process ended; run benchmarks/encoding_tensorflow.py to see why."
            )
        rates: Rates = json.loads(answer)
        return rates


def hashing(seed: int) -> Rates:
    """Strings per second and core that one column makes ids of, from fresh arrays of each kind."""
    column = columns.categorical_column_with_hash_bucket("word", BUCKETS)
    words = hexadecimal(STRINGS_A_ROUND, seed)
    texts = words.astype("U").tolist()
    arrays = {
        "numpy S": words,
        "Arrow string": pa.array(texts, pa.string()),
        "pandas string": pd.Series(texts, dtype=pd.StringDtype("pyarrow")),
    }
    rates = {}
    for source, given in arrays.items():
        start = time.perf_counter()
        columns.Features({"word": given}).encoded(column)
        rates[source] = STRINGS_A_ROUND / (time.perf_counter() - start)
    return rates


def print_rates(measured: dict[Any, list[float]]) -> None:
    """The table of rows per second."""
    print("\n| batch | task | | min | median | max |  (rows/s)\n|---|---|---|---|---|---|")
    for rows in ROWS:
        for task in TASKS:
            for side in ("torchest", "TensorFlow"):
                if (rows, task, side) in measured:
                    shown = " | ".join(f"{n:,.0f}" for n in spread(measured[rows, task, side]))
                    print(f"| {rows:,} | {task} | {side} | {shown} |")


def print_ratios(measured: dict[Any, list[float]]) -> None:
    """How many times faster torchest was, round by round."""
    print(
        "\n| batch | torchest | to TensorFlow's | min | median | max |\n|---|---|---|---|---|---|"
    )
    pairs = [*((task, task) for task in TASKS), *(("encode", task) for task in TASKS[1:])]
    for rows in ROWS:
        for ours, theirs in pairs:
            rounds = zip(
                measured[rows, ours, "torchest"], measured[rows, theirs, "TensorFlow"], strict=True
            )
            shown = " | ".join(f"{n:.2f}×" for n in spread([a / b for a, b in rounds]))
            print(f"| {rows:,} | {ours} | {theirs} | {shown} |")


def print_hashing(measured: dict[Any, list[float]]) -> None:
    """The table of hashed strings."""
    print(
        "\n| strings of 8 bytes from | min | median | max |  (million/s, one core)\n|---|---|---|---|"
    )
    for source in ("numpy S", "Arrow string", "pandas string"):
        shown = " | ".join(f"{n / 1e6:.1f}" for n in spread(measured[source]))
        print(f"| {source} | {shown} |")


def spread(numbers: list[float]) -> tuple[float, float, float]:
    """Minimum, median, maximum."""
    return min(numbers), statistics.median(numbers), max(numbers)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--tensorflow", metavar="PYTHON", default=os.environ.get("TF_PYTHON"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
