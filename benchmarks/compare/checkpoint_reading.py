"""The limit of restoring: reading a file of the checkpoint's size once."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.compare.saves import state_bytes
from benchmarks.compare.worker import answer_requests, task_and_seconds

_BLOCK = 2**24


def read(path: Path) -> float:
    """The seconds that reading a file takes, block by block."""
    block = bytearray(_BLOCK)
    start = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass
    return time.perf_counter() - start


def main() -> None:
    """Runs one task."""
    task, _ = task_and_seconds()
    path = Path(tempfile.mkdtemp(), "state")
    block = np.random.default_rng(0).bytes(_BLOCK)
    with path.open("wb") as file:
        for _ in range(-(-state_bytes(task) // _BLOCK)):
            file.write(block)
    answer_requests(lambda: read(path))


if __name__ == "__main__":
    main()
