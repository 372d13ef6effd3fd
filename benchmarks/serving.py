"""How fast an exported model answers raw strings: its ONNX file in onnxruntime, beside TensorFlow's SavedModel.

    python benchmarks/serving.py [--tensorflow PYTHON] [--rounds 5] [--threads 1]

PYTHON is that of an environment with TensorFlow 2.15 (default: the environment variable TF_PYTHON). Both sides
take turns in processes of their own, on the same batches of Python strings, which come fresh in each round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving_batches import BUCKETS, DIMENSION, HIDDEN, MODELS, WORDS, make_batch, seconds_of

import torchest
from torchest import columns

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS = {1: 300, 512: 30}  # batches of a round, by their rows


def column(name: str) -> columns.FeatureColumn:
    """The embedding of one feature."""
    if name.startswith("v"):
        source = columns.categorical_column_with_vocabulary_list(name, WORDS)
    else:
        source = columns.categorical_column_with_hash_bucket(name, BUCKETS)
    return columns.embedding_column(source, DIMENSION)


def exported(model: str) -> str:
    """The directory of a model that takes raw strings."""
    names = MODELS[model]
    estimator = torchest.DNNClassifier(HIDDEN, [column(name) for name in names])
    batch = make_batch(model, 8, 0)
    estimator.train(lambda: (batch, [0] * 8), steps=1)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
        {name: columns.FixedLenFeature((1,), str) for name in names}
    )
    return estimator.export_saved_model(tempfile.mkdtemp(), receiver_fn, formats=("onnx",))


def onnx_model(model: str, threads: int) -> Callable[[dict[str, Any]], Any]:
    """A function of a batch: the ONNX file in onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        os.path.join(exported(model), "model.onnx"), options, ["CPUExecutionProvider"]
    )
    return lambda batch: session.run(["probabilities"], batch)


class TensorFlow:
    """Timings of TensorFlow, in another process."""

    def __init__(self, python: str, threads: int) -> None:
        script = str(Path(__file__).with_name("serving_tensorflow.py"))
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
        found: list[float] = json.loads(answer)
        return found


def main() -> None:
    """Runs the rounds and prints the table."""
    given = _arguments()
    ours = {model: onnx_model(model, given.threads) for model in MODELS}
    sides: dict[str, Callable[[str, int, list[int]], list[float]]] = {
        "torchest": lambda model, rows, seeds: seconds_of(
            ours[model], [make_batch(model, rows, seed) for seed in seeds]
        )
    }
    if given.tensorflow:
        sides["TensorFlow"] = TensorFlow(given.tensorflow, given.threads).seconds
    measured: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for number in range(given.rounds):
        for model in MODELS:
            for rows, count in COUNTS.items():
                seeds = list(range(number * count, (number + 1) * count))
                # Whoever comes first changes from round to round.
                for side in sorted(sides, reverse=bool(number % 2)):
                    seconds = sides[side](model, rows, seeds)
                    measured[model, rows, side].append(statistics.median(seconds))
    print_table(measured)


def print_table(measured: dict[tuple[str, int, str], list[float]]) -> None:
    """The table: of the rounds' medians the least, the median and the largest."""
    print(
        "\n| model | rows | | min | median | max (ms a batch) | rows/s |\n|---|---|---|---|---|---|---|"
    )
    for (model, rows, side), seconds in sorted(measured.items(), reverse=True):
        middle = statistics.median(seconds)
        shown = " | ".join(f"{each * 1000:.3f}" for each in (min(seconds), middle, max(seconds)))
        print(f"| {model} | {rows} | {side} | {shown} | {rows / middle:,.0f} |")
    print(
        "\n| model | rows | times TensorFlow's speed: min | median | max |\n|---|---|---|---|---|"
    )
    for model, rows, side in sorted(measured, reverse=True):
        theirs = measured.get((model, rows, "TensorFlow"))
        if side == "torchest" and theirs:
            ratios = [b / a for a, b in zip(measured[model, rows, side], theirs, strict=True)]
            spread = (min(ratios), statistics.median(ratios), max(ratios))
            print(f"| {model} | {rows} | {' | '.join(f'{each:.2f}×' for each in spread)} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--tensorflow", metavar="PYTHON", default=os.environ.get("TF_PYTHON"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
