"""What every side does: it gets ready, and then measures as often as the program asks it to.

A side runs in a process of its own, which lives as long as its task, and waits while another one measures. It
talks in lines of JSON: it says that it is ready, then answers each line with a figure, and at the end of the
lines says how much memory it took at most.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WARM_UP = 10  # steps


def task_and_seconds() -> tuple[dict[str, Any], float]:
    """What the program gave: the fields of the task, and how long a measurement takes."""
    given = json.loads(sys.argv[1])
    return given["task"], given["seconds"]


class Requests:
    """The lines that the program writes, one for each measurement."""

    def __init__(self) -> None:
        self._told = False

    def wait(self) -> bool:
        """Says that the worker is ready, and waits for the next request; False if there is none."""
        if not self._told:
            say({"ready": True})
            self._told = True
        return bool(sys.stdin.readline())

    def end(self) -> None:
        """Says how much memory the process took at most."""
        say({"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})


class Stopwatch:
    """Measures steps between requests: `tick` is called after each, and says whether to go on.

    After the warm-up, of a second at least, and after each measurement, it waits for the next request. Batches that
    were made ahead while it waited are used up by two steps before the clock starts.

    Args:
        rows: The rows of a step.
        seconds: How long a measurement takes.
        finish: Waits until a device has done what the steps asked for.
    """

    def __init__(
        self, rows: int, seconds: float, finish: Callable[[], object] = lambda: None
    ) -> None:
        self._rows = rows
        self._seconds = seconds
        self._finish = finish
        self._requests = Requests()
        self._until_wait = WARM_UP
        self._warm_at: float | None = None
        self._steps = 0
        self._start = 0.0

    def tick(self) -> bool:
        """One more step has run."""
        if self._until_wait > 0:
            self._warm_at = self._warm_at or time.perf_counter() + 1
            if self._until_wait > 1 or time.perf_counter() > self._warm_at:
                self._until_wait -= 1
            return self._until_wait > 0 or self._wait()
        self._steps += 1
        if self._steps <= 0:
            self._finish()
            self._start = time.perf_counter()
            return True
        if time.perf_counter() - self._start < self._seconds:
            return True
        self._finish()
        say({"value": self._rows * self._steps / (time.perf_counter() - self._start)})
        return self._wait()

    def _wait(self) -> bool:
        self._steps = -3
        if self._requests.wait():
            return True
        self._requests.end()
        return False


def answer_requests(measure: Callable[[], float]) -> None:
    """Answers each request with a measurement."""
    requests = Requests()
    while requests.wait():
        say({"value": measure()})
    requests.end()


def steps_a_second(program: Callable[[int], None], steps: int) -> float:
    """The speed of a whole training of `steps` steps, with its start and its end."""
    start = time.perf_counter()
    program(steps)
    return steps / (time.perf_counter() - start)


def median_time(call: Callable[[], object], at_least: int, seconds: float = 0) -> float:
    """The median time of calls: `at_least` so many, and at least for so many seconds."""
    times: list[float] = []
    while len(times) < at_least or sum(times) < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure_rows(rows: Iterator[Any], count: int, seconds: float) -> None:
    """Answers requests with the number of rows a second that are taken from an iterator.

    Args:
        rows: Endless.
        count: The rows in one item.
        seconds: How long to take.
    """
    requests = Requests()
    every = max(1, 4096 // count)
    _take(rows, WARM_UP * every)
    while requests.wait():
        _take(rows, 3 * every)
        start, taken = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            _take(rows, every)
            taken += every
        say({"value": count * taken / (time.perf_counter() - start)})
    requests.end()


def _take(rows: Iterator[Any], count: int) -> None:
    for _ in range(count):
        next(rows)


def say(message: dict[str, Any]) -> None:
    """One line to the program."""
    print(json.dumps(message), file=sys.__stdout__, flush=True)
