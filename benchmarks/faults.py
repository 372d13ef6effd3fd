"""What production does to training: kills, full disks, damaged files, readers; and that nothing is lost by it.

    python -m benchmarks.faults [--kills 200] [--seed 0]

Kills: processes of `train_and_evaluate` are killed with SIGKILL at random moments, each time another one goes on, until
the training has ended; then the next training begins. All of them must end bit for bit as one that nobody
disturbed: weights, slots, random numbers, what hooks know, the rows of each epoch.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import torch

from benchmarks import fault_training
from benchmarks.fault_training import STEPS, differences, result_of, rows_per_epoch
from torchest.checkpoint.directory import Checkpoint, Contents, latest_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PRELOAD = ["torchest.api", "benchmarks.fault_training", "torch.utils.data", "torch._dynamo"]
_WRITES = {"os.mkdir", "os.rename"}  # besides open for writing


class Report:
    """Counts by name, in the order in which they came."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.failures: list[str] = []

    def add(self, name: str, number: int = 1) -> None:
        """Counts."""
        self.counts[name] = self.counts.get(name, 0) + number

    def compare(self, result: dict[str, Any], expected: dict[str, Any], what: str) -> None:
        """Counts what a finished training has lost against the undisturbed one."""
        lost, repeated = rows_per_epoch(result)
        different = differences(result, expected)
        self.add("rows lost", lost)
        self.add("rows repeated", repeated)
        self.add("tensors and values that differ", len(different))
        if lost or repeated or different:
            self.failures.append(f"{what}: {lost} lost, {repeated} repeated, {different}")

    def show(self, title: str) -> None:
        """Prints the counts, and a line for each failure."""
        listed = ", ".join(f"{number} {name}" for name, number in self.counts.items())
        print(f"{title}: {listed}", *self.failures, sep="\n  ", flush=True)


def processes() -> Any:
    """Processes that fork from one that has imported torch, so that a trial takes a moment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    return context


def undisturbed() -> tuple[dict[str, Any], float]:
    """The end of a training that nobody disturbs, and the seconds that it takes."""
    run_in_a_process(_nothing)  # starts the process that the others fork from
    with tempfile.TemporaryDirectory() as model_dir:
        began = time.monotonic()
        run_in_a_process(fault_training.train, model_dir)
        return result_of(model_dir), time.monotonic() - began


def _nothing() -> None:
    pass


def run_in_a_process(function: Callable[..., Any], *arguments: Any) -> int:
    """Its exit code, 0 if the function returned."""
    process = processes().Process(target=function, args=arguments)
    process.start()
    process.join(120)
    code: int = process.exitcode
    return code


def kills(number: int, seed: int) -> Report:
    """Kills training at random moments, the latest of which lies before its end."""
    report, moments = Report(), random.Random(seed)
    expected, seconds = undisturbed()
    while report.counts.get("kills", 0) < number:
        with tempfile.TemporaryDirectory() as model_dir:
            _train_to_the_end(model_dir, report, moments, 0.9 * seconds)
            report.add("trainings")
            report.compare(result_of(model_dir), expected, f"training {report.counts['trainings']}")
    return report


def _train_to_the_end(
    model_dir: str, report: Report, moments: random.Random, longest: float
) -> None:
    for attempt in itertools.count():
        process = processes().Process(target=fault_training.train, args=(model_dir,))
        process.start()
        if attempt:
            report.add("restarts")
        process.join(moments.uniform(0.05, longest))
        if process.exitcode is None:
            process.kill()
            process.join()
            report.add("kills")
        elif process.exitcode == 0:
            return
        else:
            raise RuntimeError(f"Training failed with exit code {process.exitcode}.")


def full_disks(seed: int, writes: int = 24, sizes: int = 12) -> Report:
    """Lets each write of a save fail, and lets files end at any size; then there is space again.

    Args:
        seed: For the sizes.
        writes: How many writes fail, one after the other: those of at least two saves.
        sizes: How many sizes are tried.
    """
    report, chance = Report(), random.Random(seed)
    expected, _ = undisturbed()
    with tempfile.TemporaryDirectory() as stopped:
        run_in_a_process(_train_and_stop, stopped, 9)
        largest = max(file.stat().st_size for file in Path(stopped).glob("model.ckpt-*/*"))
        faults = [(_train_without_space, write) for write in range(writes)]
        faults += [(_train_with_limit, chance.randrange(largest)) for _ in range(sizes)]
        for train, fault in faults:
            with tempfile.TemporaryDirectory() as directory:
                model_dir = shutil.copytree(stopped, os.path.join(directory, "model"))
                _injure(train, model_dir, fault, report)
                run_in_a_process(fault_training.train, model_dir)
                report.compare(result_of(model_dir), expected, f"{train.__name__} {fault}")
    return report


def _injure(train: Callable[..., None], model_dir: str, fault: int, report: Report) -> None:
    """Trains with a fault: the newest checkpoint must stay whole, with nothing beside it."""
    killed = _hidden(
        model_dir
    )  # left by the training that was killed; the first write comes before they go
    code = run_in_a_process(train, model_dir, fault)
    if code != os.EX_IOERR:
        report.failures.append(f"{train.__name__} {fault} ended with {code}")
        return
    report.add("errors for want of space")
    newest = Checkpoint(latest_checkpoint(model_dir) or "").check()
    if newest.global_step < 6:
        report.failures.append(f"Step {newest.global_step} is left of 6.")
    report.add("leftovers", len(_hidden(model_dir) - killed))


def _hidden(directory: str) -> set[str]:
    return {name for name in os.listdir(directory) if name[0] == "."}


@contextlib.contextmanager
def _errors_end_the_process() -> Iterator[None]:
    try:
        yield
    except (OSError, safetensors.SafetensorError):
        os._exit(os.EX_IOERR)


def _train_without_space(model_dir: str, at_write: int) -> None:
    """Trains; the write of this number in model_dir fails."""
    count = itertools.count()

    def watch(event: str, arguments: Any) -> None:
        writes = event in _WRITES or (event == "open" and (arguments[2] or 0) & os.O_CREAT)
        if writes and model_dir in str(arguments) and next(count) == at_write:
            raise OSError(28, "No space left on device")

    with _errors_end_the_process():
        sys.addaudithook(watch)
        fault_training.train(model_dir, evaluate=False)


def _train_with_limit(model_dir: str, size: int) -> None:
    """Trains; no file may become larger."""
    with _errors_end_the_process():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        fault_training.train(model_dir, evaluate=False)


def _train_and_stop(model_dir: str, after: int = 10) -> None:
    """Trains, and is killed at a checkpoint."""

    def watch(event: str, arguments: Any) -> None:
        if event == "os.rename" and str(arguments[1]).endswith(f"model.ckpt-{after - after % 3}"):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    fault_training.train(model_dir)


def damage(seed: int, number: int = 40) -> Report:
    """Cuts files of the newest checkpoint off, or turns a bit over: training goes on from the one before."""
    report, chance = Report(), random.Random(seed)
    expected, _ = undisturbed()
    for trial in range(number):
        with tempfile.TemporaryDirectory() as model_dir:
            run_in_a_process(_train_and_stop, model_dir, 9 + 3 * (trial % 5))
            newest = Path(latest_checkpoint(model_dir) or "")
            file = chance.choice(sorted(newest.iterdir()))
            content = bytearray(file.read_bytes())
            if trial % 2:
                file.write_bytes(content[: chance.randrange(len(content))])
                report.add("files cut off")
            else:
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
                file.write_bytes(content)
                report.add("bits turned over")
            if run_in_a_process(fault_training.train, model_dir):
                report.failures.append(f"{file.name} damaged: training failed")
                continue
            report.add(
                "damaged checkpoints set aside", len(list(Path(model_dir).glob("damaged-*")))
            )
            report.compare(result_of(model_dir), expected, f"{file.name} damaged")
    return report


def readers(seconds: float) -> Report:
    """Reads the newest checkpoint again and again while it is replaced, and keeps what was read before."""
    report = Report()
    with tempfile.TemporaryDirectory() as model_dir:
        _write_step(model_dir, 0)
        writer = processes().Process(target=_write_for_ever, args=(model_dir,))
        writer.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                read = Checkpoint(latest_checkpoint(model_dir) or "")
            except ValueError as error:
                if "is not a checkpoint" not in str(error):
                    raise
                report.add("checkpoints gone before they were opened")
                continue
            report.add("checkpoints read")
            time.sleep(0.002)
            weight = read.model()["weight"]
            if not torch.equal(weight, torch.full_like(weight, float(read.global_step))):
                report.failures.append(f"A mixture was read at step {read.global_step}.")
        writer.kill()
        writer.join()
        newest = Checkpoint(latest_checkpoint(model_dir) or "").check()
        report.add("checkpoints written", newest.global_step)
    return report


def _write_for_ever(model_dir: str) -> None:
    for step in itertools.count(1):
        _write_step(model_dir, step)


def _write_step(model_dir: str, step: int) -> None:
    weight = torch.full((20_000,), float(step))
    write_checkpoint(model_dir, step, lambda: Contents({"weight": weight}), keep=1)


def main() -> None:
    """Runs the campaign and ends with 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    logging.getLogger("torchest").setLevel(logging.ERROR)
    began = time.monotonic()
    print(f"A training of {STEPS} steps; a checkpoint and an evaluation every 3 steps.", flush=True)
    reports = {
        "Kills": lambda: kills(chosen.kills, chosen.seed),
        "Full disk": lambda: full_disks(chosen.seed),
        "Damaged files": lambda: damage(chosen.seed),
        "A reader during saves": lambda: readers(5.0),
    }
    failures = 0
    for title, run in reports.items():
        report = run()
        report.show(title)
        failures += len(report.failures) + report.counts.get("leftovers", 0)
    print(f"{time.monotonic() - began:.0f} s; {failures} failures.")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
