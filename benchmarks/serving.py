"""How fast an exported model answers raw strings: its ONNX file in onnxruntime, beside TensorFlow's SavedModel.

    python benchmarks/serving.py [--tensorflow PYTHON] [--older CHECKOUT] [--rounds 9] [--threads 1]

PYTHON is that of an environment with TensorFlow 2.15 (default: the environment variable TF_PYTHON). CHECKOUT is a
directory with an older torchest, whose file takes part too. All sides take turns on the same batches of Python
strings, which come fresh in each round; TensorFlow has a process of its own. A file of fingerprints gets them from
numpy, within the time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from serving_batches import MODELS, make_batch, seconds_of

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "examples" / "serving"))
from fingerprints import fingerprints  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    Batch = dict[str, Any]
    # Of a number of rows and the seeds of batches: how long each takes.
    Side = Callable[[int, list[int]], list[float]]

TENSORFLOW, OLDER = "TensorFlow", "older `model.onnx`"
COUNTS = {1: 300, 512: 30}  # batches of a round, by their rows


def exported(checkout: Path, directory: str, *formats: str) -> dict[str, str]:
    """The directories of exports by a checkout of torchest, by the names of models."""
    done = subprocess.run(
        [sys.executable, HERE / "serving_export.py", directory, *formats],
        env={**os.environ, "PYTHONPATH": str(checkout)}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    paths: dict[str, str] = json.loads(done.stdout)
    return paths


def opened(path: str, threads: int) -> Any:
    """A file in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


def answer_strings(session: Any, batch: Batch) -> Any:
    """Probabilities of a file that takes strings."""
    return session.run(["probabilities"], batch)


def answer_fingerprints(session: Any, batch: Batch) -> Any:
    """Probabilities of a file that takes fingerprints."""
    # One call for all columns: each has a fixed cost of some microseconds.
    columns = np.stack([*batch.values()])
    hashed = fingerprints(columns.ravel().tolist()).reshape(columns.shape)
    feeds = {f"{name}/fingerprint": column for name, column in zip(batch, hashed, strict=True)}
    return session.run(["probabilities"], feeds)


def timed(
    answer: Callable[[Any, Batch], Any], session: Any, model: str, rows: int, seeds: list[int]
) -> list[float]:
    """How long a file takes for each batch."""
    batches = [make_batch(model, rows, seed) for seed in seeds]
    return seconds_of(partial(answer, session), batches)


class TensorFlow:
    """Timings of TensorFlow, in another process."""

    def __init__(self, python: str, threads: int) -> None:
        script = str(HERE / "serving_tensorflow.py")
        self._process = subprocess.Popen(
            [python, script, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def seconds(self, model: str, rows: int, seeds: list[int]) -> list[float]:
        """How long each batch takes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"model": model, "rows": rows, "seeds": seeds}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit("TensorFlow's process ended; run benchmarks/serving_tensorflow.py to see why.")
        seconds: list[float] = json.loads(answer)
        return seconds


def all_sides(options: argparse.Namespace, directory: str) -> dict[str, dict[str, Side]]:
    """What takes part, by models and the names in the table."""
    paths = exported(HERE.parent, directory, "onnx", "onnx-fingerprints")
    older = exported(options.older, directory, "onnx") if options.older else {}
    tensorflow = TensorFlow(options.tensorflow, options.threads) if options.tensorflow else None
    sides: dict[str, dict[str, Side]] = {}
    for model, names in MODELS.items():
        files = {"`model.onnx`": (answer_strings, f"{paths[model]}/model.onnx")}
        if names[0].startswith("h"):
            path = f"{paths[model]}/model.fingerprints.onnx"
            files["`model.fingerprints.onnx`"] = (answer_fingerprints, path)
        if older:
            files[OLDER] = (answer_strings, f"{older[model]}/model.onnx")
        sides[model] = {
            side: partial(timed, answer, opened(path, options.threads), model)
            for side, (answer, path) in files.items()
        }
        if tensorflow:
            sides[model][TENSORFLOW] = partial(tensorflow.seconds, model)
    return sides


def main() -> None:
    """Runs the rounds and prints the table."""
    options = _arguments()
    measured: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        sides = all_sides(options, directory)
        for number in range(options.rounds):
            for model, (rows, count) in itertools.product(MODELS, COUNTS.items()):
                seeds = list(range(number * count, (number + 1) * count))
                # Whoever comes first changes from round to round.
                first = number % len(sides[model])
                turns = [*sides[model].items()]
                for side, seconds_of_batches in turns[first:] + turns[:first]:
                    seconds = seconds_of_batches(rows, seeds)
                    measured[model, rows, side].append(statistics.median(seconds))
    print_table(measured)


def print_table(measured: dict[tuple[str, int, str], list[float]]) -> None:
    """The table: of the rounds' medians the least, the median and the largest; how many times as fast as others."""
    others = [other for other in (TENSORFLOW, OLDER) if any(side == other for *_, side in measured)]
    head = ["model", "rows", "", "min", "median", "max (ms a batch)", "rows/s"]
    print(f"| {' | '.join([*head, *(f'to {other}' for other in others)])} |")
    print(f"|---|--:|---|{'--:|' * (4 + len(others))}")
    for (model, rows, side), seconds in measured.items():
        middle = statistics.median(seconds)
        cells = [model, f"{rows}", side]
        cells += [f"{each * 1000:.3f}" for each in (min(seconds), middle, max(seconds))]
        cells.append(f"{rows / middle:,.0f}")
        for other in others:
            theirs = measured[model, rows, other]
            ratio = statistics.median(b / a for a, b in zip(seconds, theirs, strict=True))
            cells.append("" if side == other else f"{ratio:.2f}×")
        print(f"| {' | '.join(cells)} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--tensorflow", metavar="PYTHON", default=os.environ.get("TF_PYTHON"))
    parser.add_argument("--older", metavar="CHECKOUT", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
