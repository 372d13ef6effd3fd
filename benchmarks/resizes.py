"""Kills of random workers under torchrun, and restarts in other numbers of processes: no row is lost or used twice.

    python -m benchmarks.resizes [--kills 20] [--resizes 10] [--seed 0]

One training runs in 2, 3, 1, 4, 2, … processes. Workers are killed with SIGKILL at random steps, and torchrun starts
all again; launches end by SIGTERM or SIGKILL in turn, and the next one has another number of processes. The training
must end at its last step, with each row used once in each pass, and with the weights of one process that nobody
disturbs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.resize_training import BATCH, PASSES, ROWS, STEPS
from torchest.checkpoint.directory import Checkpoint, latest_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZES = (2, 3, 1, 4)
_PATIENCE = 180.0  # seconds that a launch or a restart may take


_ALONE = "import sys, benchmarks.resize_training as training; training.train(sys.argv[1])"


def environment() -> dict[str, str]:
    """The environment of processes of a training."""
    root = str(Path(__file__).parent.parent)
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": root}


class Attempt(NamedTuple):
    """What the processes that torchrun started together have logged.

    Attributes:
        pids: Their process numbers.
        steps: For each rank the lines of its steps.
    """

    pids: list[int]
    steps: list[list[dict[str, Any]]]


class Launch:
    """A torchrun.

    Args:
        directory: The directory of the training.
        number: The number of the launch.
        processes: The number of processes.
        seconds: How long each step takes, at least.
    """

    def __init__(self, directory: Path, number: int, processes: int, seconds: float) -> None:
        self._directory = directory
        self._name = f"{number:03}"
        self._processes = processes
        self.began = time.time()
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=100",
            f"--nproc-per-node={processes}", "-m", "benchmarks.resize_training",
            str(directory), self._name, str(seconds),
        ]  # fmt: skip
        self._log = (directory / f"log.{self._name}").open("w")
        self._torchrun = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env=environment()
        )

    def attempt(self, number: int) -> Attempt | None:
        """The attempt of this number; None until all of its processes have begun."""
        paths = [
            self._directory / "rows" / f"{self._name}.{number:03}.{rank}"
            for rank in range(self._processes)
        ]
        if not all(path.exists() for path in paths):
            return None
        lines = list(map(lines_of, paths))
        if not all(lines):
            return None
        return Attempt([first["pid"] for first, *_ in lines], [steps for _, *steps in lines])

    def wait_for_steps(self, number: int, steps: int) -> Attempt:
        """Waits until each process of an attempt has made some steps."""

        def made() -> Attempt | None:
            if self._torchrun.poll() is not None:
                raise RuntimeError(f"torchrun has ended:\n{self.output()}")
            attempt = self.attempt(number)
            is_there = attempt is not None and min(map(len, attempt.steps)) >= steps
            return attempt if is_there else None

        return self._patiently(made)

    def end(self, number: int, *, gently: bool) -> None:
        """Ends torchrun and the processes of its attempt of this number."""
        attempt = self.attempt(number)
        if gently:
            self._torchrun.terminate()
        else:
            self._torchrun.kill()
            for pid in attempt.pids if attempt is not None else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._torchrun.wait(_PATIENCE)

    def wait(self) -> None:
        """Waits until training has ended.

        Raises:
            RuntimeError: It failed.
        """
        if self._torchrun.wait(_PATIENCE):
            raise RuntimeError(f"torchrun has failed:\n{self.output()}")

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._torchrun.poll() is None:
            self._torchrun.terminate()
            self._torchrun.wait(_PATIENCE)
        self._log.close()

    def output(self) -> str:
        """What it has printed."""
        return Path(self._log.name).read_text()

    def _patiently(self, made: Callable[[], Attempt | None]) -> Attempt:
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            result = made()
            if result is not None:
                return result
            time.sleep(0.02)
        raise RuntimeError(f"No steps within {_PATIENCE:.0f} s:\n{self.output()}")


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log."""
    text, end, _ = path.read_text().rpartition("\n")
    return [json.loads(line) for line in (text + end).splitlines()]


class Result(NamedTuple):
    """What came of a campaign.

    Attributes:
        sizes: The number of processes of each launch.
        to_training: Seconds from each kill to the next step.
        to_launch: Seconds from each launch to its first step.
        step: The step of the last checkpoint.
        lost: How many uses of a row are missing.
        repeated: How many uses of a row are too many, or in another pass.
        difference: The largest difference of weights from those of one process that nobody disturbs.
    """

    sizes: list[int]
    to_training: list[float]
    to_launch: list[float]
    step: int
    lost: int
    repeated: int
    difference: float


def campaign(
    directory: Path, kills: int, resizes: int, seed: int = 0, seconds: float = 0.02
) -> Result:
    """Trains to the end.

    Args:
        directory: An empty directory.
        kills: How many workers are killed.
        resizes: How often the number of processes changes.
        seed: For the moments of kills, and who is killed.
        seconds: How long each step takes, at least.
    """
    chance = random.Random(seed)
    sizes = [SIZES[number % len(SIZES)] for number in range(resizes + 1)]
    to_training: list[float] = []
    to_launch: list[float] = []
    for number, processes in enumerate(sizes):
        some = kills // len(sizes) + (number < kills % len(sizes))
        with Launch(directory, number, processes, seconds) as launch:
            to_launch.append(_first_step(launch.wait_for_steps(0, 1)) - launch.began)
            to_training += [_kill(launch, kill, chance) for kill in range(some)]
            if number == resizes:
                launch.wait()
            else:
                launch.wait_for_steps(some, chance.randint(1, 9))
                launch.end(some, gently=number % 2 == 0)
    lost, repeated = uses(directory)
    last = last_checkpoint(directory)
    return Result(
        sizes,
        to_training,
        to_launch,
        last.global_step,
        lost,
        repeated,
        difference(directory, last),
    )


def _kill(launch: Launch, number: int, chance: random.Random) -> float:
    """Kills a random process some steps after the kill before; returns the seconds until the next step."""
    attempt = launch.wait_for_steps(number, chance.randint(1, 9))
    os.kill(chance.choice(attempt.pids), signal.SIGKILL)
    killed = time.time()
    return _first_step(launch.wait_for_steps(number + 1, 1)) - killed


def _first_step(attempt: Attempt) -> float:
    """When all processes had made their first step."""
    return max(steps[0]["time"] for steps in attempt.steps)


def uses(directory: Path) -> tuple[int, int]:
    """How many uses of a row are missing in its pass, and how many are too many there.

    A step that was made again, as its checkpoint was lost, counts once. The rows of all steps so far are those of whole
    passes and of a part of the next one.
    """
    of_steps: dict[int, tuple[str, list[int]]] = {}
    for path in sorted((directory / "rows").iterdir()):
        attempt, _, _ = path.name.rpartition(".")
        for line in lines_of(path)[1:]:
            before, rows = of_steps.get(line["step"], ("", []))
            of_steps[line["step"]] = attempt, [*(rows if before == attempt else []), *line["rows"]]
    lost = repeated = 0
    used: Counter[int] = Counter()
    for step in range(1, STEPS + 1):
        used.update(of_steps.get(step, ("", []))[1])
        whole = step * BATCH // ROWS
        lost = max(lost, sum(max(0, whole - used[row]) for row in range(ROWS)))
        repeated = max(repeated, sum(max(0, used[row] - whole - 1) for row in range(ROWS)))
    return lost, repeated + sum(max(0, used[row] - PASSES) for row in range(ROWS))


def last_checkpoint(directory: Path) -> Checkpoint:
    """The last checkpoint of the training."""
    return Checkpoint(latest_checkpoint(directory / "model") or "").check()


def difference(directory: Path, last: Checkpoint) -> float:
    """The largest difference of the weights from those of one process that nobody disturbs."""
    alone = directory / "alone"
    subprocess.run(
        [sys.executable, "-c", _ALONE, str(alone)],
        check=True,
        timeout=_PATIENCE,
        env=environment(),
    )
    expected = Checkpoint(latest_checkpoint(alone) or "").model()
    actual = last.model()
    return max(float((actual[name] - expected[name]).abs().max()) for name in expected)


def main() -> None:
    """Runs the campaign and ends with 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--resizes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        result = campaign(Path(directory), chosen.kills, chosen.resizes, chosen.seed)
    print(
        f"{len(result.to_training)} kills; processes: {', '.join(map(str, result.sizes))}\n"
        f"ended at step {result.step} of {STEPS}; {result.lost} uses of rows lost, {result.repeated} repeated; "
        f"weights differ by {result.difference:.1e} from those of one process\n"
        f"seconds from a kill to the next step: {_spread(result.to_training)}\n"
        f"seconds from a launch to the first step: {_spread(result.to_launch)}\n"
        f"{time.monotonic() - began:.0f} s"
    )
    is_right = result.step == STEPS and not result.lost and not result.repeated
    sys.exit(0 if is_right and result.difference < 1e-9 else 1)


def _spread(seconds: Sequence[float]) -> str:
    return f"median {statistics.median(seconds):.1f}, {min(seconds):.1f} to {max(seconds):.1f}"


if __name__ == "__main__":
    main()
