"""How long checkpoints take, how long they halt training, and how much memory they need."""

from __future__ import annotations

import contextlib
import resource
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.compare.data import NUMBERS, STRINGS
from benchmarks.compare.worker import Requests, say

if TYPE_CHECKING:
    from collections.abc import Callable

SAVE_SECONDS = 2  # between two checkpoints
_SHORTEST = 0.001  # seconds that are not in the noise of a step
_BEFORE = 10  # steps before the first request


def state_bytes(task: dict[str, Any]) -> int:
    """The size of the linear model's weights and of Ftrl's two slots."""
    return 3 * 4 * (task["buckets"] * len(STRINGS) + len(NUMBERS) + 1)


class SaveMeter:
    """Measures checkpoints that are written during training, between requests.

    Training saves every `SAVE_SECONDS`. A checkpoint is complete when the file that lists it has been written, which
    may be some steps after `before_save`, and listeners that want to know have been told. It halts training for as
    long as the longest of these steps takes more than the median step.

    Args:
        model_dir: Where the checkpoints are.
        state: The bytes of weights and slots.
    """

    def __init__(self, model_dir: str, state: int) -> None:
        self._index = Path(model_dir, "checkpoint")
        self._state = state
        self._memory_before = _resident_bytes()
        self._requests = Requests()
        self._durations: list[float] = []
        self._last: float | None = None
        self._is_requested = False
        self._start: int | None = None
        self._end: int | None = None

    def before_save(self) -> None:
        """A checkpoint begins."""
        if self._is_requested and self._start is None:
            self._first = len(self._durations)
            self._index_before = self._index_time()
            self._start = time.time_ns()

    def after_save(self) -> None:
        """A checkpoint has been written. Not called if listeners of the checkpoint would make training wait."""
        if self._start is not None and self._end is None:
            self._end = time.time_ns()

    def after_step(self) -> bool:
        """A step has run; returns whether to go on."""
        now = time.perf_counter()
        if self._last is not None:
            self._durations.append(now - self._last)
        self._last = now
        if self._start is None:
            is_warm = len(self._durations) >= _BEFORE
            return self._wait() if is_warm and not self._is_requested else True
        if self._index_time() == self._index_before:
            return True
        say(self._figures(max(self._index_time(), self._end or 0) - self._start))
        return self._wait()

    def _figures(self, nanoseconds: int) -> dict[str, float]:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        longest = max(self._durations[self._first :])
        return {
            "value": nanoseconds / 1e9,
            "halted": max(longest - statistics.median(self._durations), _SHORTEST),
            "memory": (peak - self._memory_before) / self._state,
        }

    def _wait(self) -> bool:
        self._start = self._end = None
        self._is_requested = self._requests.wait()
        self._last = time.perf_counter()
        if not self._is_requested:
            self._requests.end()
        return self._is_requested

    def _index_time(self) -> int:
        return self._index.stat().st_mtime_ns if self._index.exists() else 0


class Restored(Exception):  # noqa: N818
    """A hook raises it before the first step, as nothing after that is measured."""


def seconds_to_restore(train: Callable[[], object]) -> float:
    """The time that `train` takes until it raises `Restored`."""
    start = time.perf_counter()
    with contextlib.suppress(Restored):
        train()
    return time.perf_counter() - start


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()
