"""Compares torchest with tf.estimator, a bare torch loop and Vowpal Wabbit, side by side on this machine.

    python -m benchmarks.compare                          # the whole table, about an hour
    python -m benchmarks.compare --quick                  # less of everything, five minutes
    python -m benchmarks.compare train-linear-512 'evaluate-*' --rounds 7
    python -m benchmarks.compare --json results.json --plot results.png

TF_PYTHON is the Python of an environment with TensorFlow 2.15; without it there is no tf.estimator. Every side of a
task has a process of its own; the sides measure in turns, one after the other, so that what else the machine does
meets all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fnmatch
import importlib.util
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.compare.report import Result, print_ratios, print_table, write_plot
from benchmarks.compare.tasks import (
    BARE,
    BARE_STRINGS,
    FEWER_BUCKETS,
    IN_MEMORY,
    ONE_COLUMN,
    PRODUCTS,
    PYARROW,
    QUICK,
    READING,
    TASKS,
    TENSORFLOW,
    TF_DATA,
    TORCHEST,
    VOWPAL,
    Task,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
# the end of the name of a side's module, whose beginning is the task's
MODULES = {
    TORCHEST: "torchest",
    FEWER_BUCKETS: "torchest",
    IN_MEMORY: "torchest",
    TENSORFLOW: "tensorflow",
    BARE: "bare",
    BARE_STRINGS: "bare",
    VOWPAL: "vowpal",
    PRODUCTS: "products",
    READING: "reading",
    ONE_COLUMN: "torchest",
    TF_DATA: "tensorflow",
    PYARROW: "pyarrow",
}
CHANGES: dict[str, dict[str, Any]] = {
    FEWER_BUCKETS: {"buckets": 100_000},
    IN_MEMORY: {"source": "batches"},
    BARE_STRINGS: {"source": "strings"},
    ONE_COLUMN: {"columns": 1},
}


def main() -> None:
    """Runs the tasks and prints what they took."""
    arguments = _arguments()
    tasks = _chosen(arguments.tasks, arguments.quick)
    effort = Effort(arguments.rounds, arguments.seconds, arguments.verbose)
    if arguments.quick:
        effort = Effort(1, 0.5, arguments.verbose, start_together=True)
    results: list[Result] = []
    for number, task in enumerate(tasks, 1):
        print(f"{number}/{len(tasks)} {task.name}", file=sys.stderr, flush=True)
        sides = [side for side in task.sides if _python(side)]
        results += RUNNERS.get(task.what, in_turns)(task, sides, effort)
    print_table(results)
    print()
    print_ratios(results)
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


class Effort(NamedTuple):
    """How much is done to measure.

    Attributes:
        rounds: How often each side measures.
        seconds: How long it does each time.
        verbose: Whether to show what the sides log.
        start_together: Whether the sides of a task start and warm up at the same time, which is less exact.
    """

    rounds: int
    seconds: float
    verbose: bool
    start_together: bool = False


def in_turns(task: Task, sides: list[str], effort: Effort) -> list[Result]:
    """Starts all sides of a task, and lets them measure one after the other, round by round."""
    workers = {side: Worker(side, task, effort) for side in sides}
    results = _empty(task, sides)
    if effort.start_together:
        for worker in workers.values():
            worker.start()
    for worker in workers.values():
        if not effort.start_together:
            worker.start()
        worker.answer("ready")
    with _busy_cores() if task.busy else contextlib.nullcontext():
        for number in range(effort.rounds):
            # whoever comes first changes from round to round
            for side in sorted(sides, key=sides.index, reverse=bool(number % 2)):
                _add(results[side], workers[side].measure())
    for side, worker in workers.items():
        memory = worker.end()
        for result in results[side].values():
            result.memory = memory
    return _listed(results)


def in_fresh_processes(task: Task, sides: list[str], effort: Effort) -> list[Result]:
    """As `in_turns`, with processes that measure once and are started anew for each round."""
    rounds = [
        in_turns(task, sides[::-1] if number % 2 else sides, effort._replace(rounds=1))
        for number in range(effort.rounds)
    ]
    results = {(result.side, result.task): result for result in rounds[0]}
    for result in itertools.chain(*rounds[1:]):
        first = results[result.side, result.task]
        first.values += result.values
        first.memory = max(filter(None, (first.memory, result.memory)), default=None)
    return list(results.values())


def first_steps(task: Task, sides: list[str], effort: Effort) -> list[Result]:
    """Measures the time from the start of a process to the end of its first training step."""
    results = _empty(task, sides)
    for _ in range(effort.rounds):
        for side in sides:
            worker = Worker(side, task, effort)
            start = time.time()
            worker.start()
            end = worker.answer("first_step")
            _add(results[side], end and {"value": end["first_step"] - start})
            worker.end()
    return _listed(results)


RUNNERS = {"program": in_fresh_processes, "first step": first_steps}


def _empty(task: Task, sides: list[str]) -> dict[str, dict[str, Result]]:
    """Results without values, by side and figure."""
    return {
        side: {
            figure: Result(task.name if figure == "value" else f"{task.name}, {figure}", unit, side)
            for figure, unit in task.units.items()
        }
        for side in sides
    }


def _add(results: dict[str, Result], answer: dict[str, float] | None) -> None:
    for figure, result in results.items():
        if answer is not None and figure in answer:
            result.values.append(answer[figure])


def _listed(results: dict[str, dict[str, Result]]) -> list[Result]:
    """The results of the main figure first, then those of the others."""
    return [
        result
        for of_figure in zip(*(each.values() for each in results.values()), strict=True)
        for result in of_figure
    ]


@contextlib.contextmanager
def _busy_cores() -> Iterator[None]:
    """Inside, each core has a process that never waits."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


class Worker:
    """The process of one side of one task."""

    def __init__(self, side: str, task: Task, effort: Effort) -> None:
        self._side = side
        task = dataclasses.replace(task, **CHANGES.get(side, {}))
        message = {"task": dataclasses.asdict(task), "seconds": effort.seconds}
        module = f"benchmarks.compare.{task.module}_{MODULES[side]}"
        self._command = [_python(side), "-W", "ignore", "-m", module, json.dumps(message)]
        self._errors = None if effort.verbose else subprocess.DEVNULL

    def start(self) -> None:
        """Starts the process."""
        self._files = tempfile.TemporaryDirectory()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": self._files.name}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages are compiled once
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            text=True, env=environment, cwd=ROOT,
        )  # fmt: skip

    def measure(self) -> dict[str, float] | None:
        """One measurement: its figures by name."""
        assert self._process.stdin is not None
        if self._process.poll() is None:
            print("go", file=self._process.stdin, flush=True)
        return self.answer("value")

    def answer(self, key: str) -> dict[str, Any] | None:
        """The next answer, which has `key`, or None if the process has ended."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer if key in answer else None
        print(f"{self._side} ended; --verbose shows why.", file=sys.stderr)
        return None

    def end(self) -> int | None:
        """Ends the process; returns how much memory it took, in bytes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        lines = [line for line in self._process.stdout if line.startswith("{")]
        self._process.wait()
        self._files.cleanup()
        return json.loads(lines[-1]).get("memory") if lines else None


def _python(side: str) -> str:
    """The Python that a side runs in; empty if there is none."""
    if side in (TENSORFLOW, TF_DATA):
        return os.environ.get("TF_PYTHON", "")
    if side == VOWPAL and importlib.util.find_spec("vowpalwabbit") is None:
        return ""
    return sys.executable


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.strip()


def _chosen(patterns: list[str], quick: bool) -> list[Task]:
    """All tasks that match a pattern, those of a quick run if there is none."""
    patterns = patterns or (list(QUICK) if quick else ["*"])
    chosen = [
        task.quick() if quick else task
        for name, task in TASKS.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
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
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short round of the most important tasks, or of those that are named",
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--plot", metavar="FILE", help="write a PNG; needs matplotlib")
    parser.add_argument("--verbose", action="store_true", help="show what the sides log")
    return parser.parse_args()


if __name__ == "__main__":
    main()
