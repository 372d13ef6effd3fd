"""Runs on a GPU what needs one: the CUDA tests, a world of one process on NCCL among them, and the quick comparison.

    make gpu        # under eight minutes; where there is no GPU, it says so and runs nothing

The comparison prints its table; `--json FILE` writes the figures, too.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
LIMIT = 8 * 60  # seconds, for all of it
TASKS = (
    "program-iris-256",
    "train-linear-512",
    "train-linear-4096",
    "train-dnn-512",
    "train-dnn-4096",
)


def main() -> int:
    """Runs the tests, then the comparison; returns the exit code of the first that fails."""
    if not torch.cuda.is_available():
        print("make gpu: torch sees no CUDA device here, so nothing was run.")
        return 0
    start = time.monotonic()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    compare = [sys.executable, "-m", "benchmarks.compare", "--quick", *TASKS, *sys.argv[1:]]
    for command in (_tests(), compare):
        left = LIMIT - (time.monotonic() - start)
        done = subprocess.run(command, cwd=ROOT, check=False, timeout=left)
        print(f"{time.monotonic() - start:.0f} s so far", flush=True)
        if done.returncode:
            return done.returncode
    return 0


def _tests() -> list[str]:
    """The command that runs the tests with the mark `cuda`."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    marked = [
        str(file.relative_to(ROOT)) for file in files if "pytest.mark.cuda" in file.read_text()
    ]
    return [sys.executable, "-m", "pytest", "-m", "cuda", *marked]


if __name__ == "__main__":
    sys.exit(main())
