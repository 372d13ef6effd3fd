"""Vowpal Wabbit's side: a linear model of the same rows, in passes over the cache that it makes of a text file."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from benchmarks.compare.data import NUMBERS, STRINGS, make_rows
from benchmarks.compare.worker import Requests, say, task_and_seconds

PASSES = 4


def main() -> None:
    """Answers requests with the rows a second of passes over the cache."""
    task, _ = task_and_seconds()
    rows = task["in_memory"] // 2
    path = tempfile.mkdtemp() + "/rows.txt"
    write(path, rows)
    run(path, 1)
    requests = Requests()
    while requests.wait():
        once, often = run(path, 1), run(path, 1 + PASSES)
        say({"value": PASSES * rows / (often - once)})
    requests.end()


def write(path: str, count: int) -> None:
    """Writes rows as text."""
    features, labels = make_rows(count)
    strings = [features[key].astype("U").tolist() for key in STRINGS]
    numbers = [features[key].tolist() for key in NUMBERS]
    with open(path, "w", encoding="ascii") as file:
        for row in range(count):
            listed = " ".join(
                f"{key}:{n[row]:.6f}" for key, n in zip(NUMBERS, numbers, strict=True)
            )
            words = " ".join(f"{key}={s[row]}" for key, s in zip(STRINGS, strings, strict=True))
            file.write(f"{2 * labels[row] - 1} |n {listed} |s {words}\n")


def run(path: str, passes: int) -> float:
    """The seconds that a run takes; it uses the cache that is there."""
    command = [
        sys.executable, "-m", "vowpalwabbit", "--data", path, "--cache", "--passes", str(passes),
        "--loss_function", "logistic", "--holdout_off", "--bit_precision", "22", "--quiet",
    ]  # fmt: skip
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
