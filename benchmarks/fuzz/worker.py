"""Calls in a process of their own, which may crash or hang without harm to the campaign."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import sys
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from types import TracebackType

    from benchmarks.fuzz.calls import Change

LONGEST = 5.0  # seconds that a call may take, of processors that nobody else uses
WARM_UP = 180.0  # seconds for the right call, which compiles loops and trains models
MEMORY = 16 * 2**30  # bytes of address space; a call that asks for more gets a MemoryError
HANG = "hang"
CRASH = "crash"


class Worker:
    """A process that makes calls one after the other, in a temporary directory; made anew when it hangs or dies."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._process: Any = None
        self._connection: Connection | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def changes(self, name: str, seed: int) -> list[Change]:
        """The calls to make of a callable; the worker makes the right one first."""
        answer = self._ask(name, seed)
        assert isinstance(answer, list), f"{name}: the right call gives {answer}"
        return answer

    def verdict(self, name: str, change: Change) -> str:
        """What became of a call; one that takes too long is made a second time, as others may be at work."""
        answer = self._ask(name, change)
        answer = self._ask(name, change) if answer == HANG else answer
        return str(answer)

    def _ask(self, name: str, asked: Change | int) -> list[Change] | str:
        if self._process is None:
            self._start()
        assert self._connection is not None
        self._connection.send((name, asked))
        limit = WARM_UP  # until the right call has been made
        while True:
            if not self._connection.poll(limit):
                self._stop()
                return HANG
            try:
                answer: list[Change] | str | None = self._connection.recv()
            except EOFError:
                self._stop()
                return CRASH
            if answer is not None:
                return answer
            limit = LONGEST * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._directory), daemon=True)
        self._process.start()
        other.close()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _serve(connection: Connection, directory: str) -> None:
    """Answers until nobody asks any more: with the calls to make for a seed, with what became of it for a call.

    None says that the call itself begins.
    """
    _be_quiet(directory)
    from benchmarks.fuzz import calls

    warm: set[str] = set()
    while True:
        try:
            name, asked = connection.recv()
        except EOFError:
            return
        if name not in warm:
            calls.check(name)
            warm.add(name)
        connection.send(None)
        is_seed = isinstance(asked, int)
        connection.send(calls.changes(name, asked) if is_seed else calls.verdict(name, asked))


def _be_quiet(directory: str) -> None:
    os.chdir(directory)
    os.environ["TMPDIR"] = tempfile.tempdir = directory
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    warnings.simplefilter("ignore")
    logging.disable()
    import torch

    torch.set_num_threads(1)
