"""Wrong calls of every public callable: each needs a sentence that names the argument and shows the value.

    python -m benchmarks.fuzz                        # `make fuzz`
    python -m benchmarks.fuzz --seed 1 --only Dataset columns.

Exits with 1 if fewer than 95 % of a callable's wrong calls get a clear answer, or one hangs or crashes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

from benchmarks.fuzz.recipes import EXEMPT, RECIPES
from benchmarks.fuzz.report import Outcome, Result, lines, row
from benchmarks.fuzz.surface import callables
from benchmarks.fuzz.worker import Worker

WORKERS = 2


def main() -> int:
    """Runs a campaign, and prints what came of it."""
    parser = argparse.ArgumentParser(description="Fuzzes the public callables of torchest.")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of calls")
    parser.add_argument(
        "--only", nargs="*", default=[""], help="callables whose names contain one of these"
    )
    parser.add_argument("--calls", type=int, default=10**6, help="at most so many of each callable")
    asked = parser.parse_args()
    missing = sorted(callables().keys() ^ (RECIPES.keys() | EXEMPT.keys()))
    if missing:
        print(
            f"Give recipes, or reasons for none, in benchmarks/fuzz/recipes: {', '.join(missing)}"
        )
        return 1
    names = [name for name in RECIPES if any(part in name for part in asked.only)]
    results = campaign(names, asked.seed, asked.calls)
    print("\n".join(lines(results)))
    return 0 if all(result.is_good for result in results) else 1


def campaign(names: list[str], seed: int, calls: int, workers: int = WORKERS) -> list[Result]:
    """Calls callables wrongly, in processes beside each other."""
    waiting: SimpleQueue[str] = SimpleQueue()
    for name in names:
        waiting.put(name)

    def work(_: int) -> list[Result]:
        results = []
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory,
            Worker(directory) as worker,
        ):
            while True:
                try:
                    name = waiting.get_nowait()
                except Empty:
                    return results
                began = time.monotonic()
                outcomes = tuple(
                    Outcome(str(change), worker.verdict(name, change))
                    for change in worker.changes(name, seed)[:calls]
                )
                results.append(Result(name, outcomes, time.monotonic() - began))
                print(row(results[-1]), flush=True)

    with ThreadPoolExecutor(workers) as pool:
        return [result for part in pool.map(work, range(workers)) for result in part]


if __name__ == "__main__":
    sys.exit(main())
