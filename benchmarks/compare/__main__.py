"""Compares torchest with tf.estimator, a bare torch loop and Vowpal Wabbit, side by side on this machine.

    python -m benchmarks.compare                          # the whole table, about twenty minutes
    python -m benchmarks.compare --quick                  # every task, one short round each
    python -m benchmarks.compare train-linear-512 'evaluate-*' --rounds 7
    python -m benchmarks.compare --json results.json --plot results.png

TF_PYTHON is the Python of an environment with TensorFlow 2.15; without it there is no tf.estimator. Every side of a
task has a process of its own; the sides measure in turns, one after the other, so that what else the machine does
meets all of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.compare.report import Result, print_table, write_plot
from benchmarks.compare.tasks import (
    BARE,
    BARE_STRINGS,
    FEWER_BUCKETS,
    PRODUCTS,
    TASKS,
    TENSORFLOW,
    TORCHEST,
    VOWPAL,
    Task,
)

ROOT = Path(__file__).parent.parent.parent
MODULES = {
    TORCHEST: "side_torchest",
    FEWER_BUCKETS: "side_torchest 100000",
    TENSORFLOW: "side_tensorflow",
    BARE: "side_bare",
    BARE_STRINGS: "side_bare strings",
    VOWPAL: "side_vowpal",
    PRODUCTS: "side_products",
}


def main() -> None:
    """Runs the tasks and tells what they took."""
    arguments = _arguments()
    tasks = _chosen(arguments.tasks)
    rounds, seconds = (1, 0.5) if arguments.quick else (arguments.rounds, arguments.seconds)
    results: list[Result] = []
    for number, task in enumerate(tasks, 1):
        print(f"{number}/{len(tasks)} {task.name}", file=sys.stderr, flush=True)
        sides = [side for side in task.sides if _python(side)]
        run = first_steps if task.what == "first step" else in_turns
        results += run(task, sides, rounds, seconds, arguments.verbose)
    print_table(results)
    if arguments.json:
        threads = {name: os.environ[name] for name in os.environ if name.startswith("OMP_")}
        about = {
            "commit": _commit(),
            "machine": platform.platform(),
            "cpus": os.cpu_count(),
            **threads,
        }
        kept = {**about, "results": [dataclasses.asdict(result) for result in results]}
        Path(arguments.json).write_text(json.dumps(kept, indent=1), encoding="utf-8")
    if arguments.plot:
        write_plot(results, arguments.plot)


def in_turns(
    task: Task, sides: list[str], rounds: int, seconds: float, verbose: bool
) -> list[Result]:
    """Starts all sides of a task, and lets them measure one after the other, round by round."""
    workers = {side: Worker(side, task, seconds, verbose) for side in sides}
    results = {side: Result(task.name, task.unit, side) for side in sides}
    for worker in workers.values():
        worker.start()
        worker.answer("ready")
    for number in range(rounds):
        # whoever comes first changes from round to round
        for side in sorted(sides, key=sides.index, reverse=bool(number % 2)):
            value = workers[side].measure()
            if value is not None:
                results[side].values.append(value)
    for side, worker in workers.items():
        results[side].memory = worker.end()
    return list(results.values())


def first_steps(
    task: Task, sides: list[str], rounds: int, seconds: float, verbose: bool
) -> list[Result]:
    """How long it takes from the start of a process to the end of its first training step."""
    results = {side: Result(task.name, task.unit, side) for side in sides}
    for _ in range(rounds):
        for side in sides:
            worker = Worker(side, task, seconds, verbose)
            start = time.time()
            worker.start()
            end = worker.answer("first_step")
            if end is not None:
                results[side].values.append(end - start)
            worker.end()
    return list(results.values())


class Worker:
    """The process of one side of one task."""

    def __init__(self, side: str, task: Task, seconds: float, verbose: bool) -> None:
        self._side = side
        given = {"task": dataclasses.asdict(task), "seconds": seconds}
        module, *more = f"benchmarks.compare.{MODULES[side]}".split()
        self._command = [_python(side), "-W", "ignore", "-m", module, json.dumps(given), *more]
        self._errors = None if verbose else subprocess.DEVNULL

    def start(self) -> None:
        """Starts the process."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            text=True, env=environment, cwd=ROOT,
        )  # fmt: skip

    def measure(self) -> float | None:
        """One measurement."""
        assert self._process.stdin is not None
        if self._process.poll() is None:
            print("go", file=self._process.stdin, flush=True)
        return self.answer("value")

    def answer(self, key: str) -> Any:
        """The next answer, or None if the process has ended."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line).get(key)
        print(f"{self._side} ended; --verbose shows why.", file=sys.stderr)
        return None

    def end(self) -> int | None:
        """Ends the process; returns how much memory it took, in bytes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        lines = [line for line in self._process.stdout if line.startswith("{")]
        self._process.wait()
        return json.loads(lines[-1]).get("memory") if lines else None


def _python(side: str) -> str:
    """The Python that a side runs in; empty if there is none."""
    return os.environ.get("TF_PYTHON", "") if side == TENSORFLOW else sys.executable


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.strip()


def _chosen(patterns: list[str]) -> list[Task]:
    chosen = [
        task
        for name, task in TASKS.items()
        if not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    ]
    if not chosen:
        sys.exit(f"No task is called {patterns}: there are {', '.join(TASKS)}.")
    return chosen


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tasks", nargs="*", help="names or patterns; all if none")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side measures")
    parser.add_argument("--seconds", type=float, default=1.5, help="how long each time")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--plot", metavar="FILE", help="write a PNG; needs matplotlib")
    parser.add_argument("--verbose", action="store_true", help="show what the sides log")
    return parser.parse_args()


if __name__ == "__main__":
    main()
