"""The limit of the deep model: how fast its matrix products could go, were there nothing else."""

from __future__ import annotations

import itertools
import time

import torch

from benchmarks.compare.data import NUMBERS, STRINGS
from benchmarks.compare.device import DEVICE, wait
from benchmarks.compare.worker import Requests, say, task_and_seconds

SIZE = 2048
WIDTHS = [len(NUMBERS) + 16 * len(STRINGS), 256, 128, 64, 1]
# forwards, and backwards once for the inputs and once for the weights; a product is two operations
OPERATIONS_PER_ROW = 3 * 2 * sum(a * b for a, b in itertools.pairwise(WIDTHS))


def main() -> None:
    """Answers requests with the rows a second that products of large float32 matrices allow."""
    _, seconds = task_and_seconds()
    one, other = torch.randn(2, SIZE, SIZE, device=DEVICE)
    result = one @ other
    requests = Requests()
    while requests.wait():
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            torch.mm(one, other, out=result)
            wait()
            count += 1
        rate = count * 2 * SIZE**3 / (time.perf_counter() - start)
        say({"value": rate / OPERATIONS_PER_ROW})
    requests.end()


if __name__ == "__main__":
    main()
