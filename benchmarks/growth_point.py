"""One point of `growth.py`: trains a model for some seconds and prints the rows a second of all processes.

python -m benchmarks.growth_point '{"model": "linear", "rows": 512, ...}'
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import torchest
from benchmarks.compare.data import NUMBERS, STRINGS, make_rows
from torchest import columns

_ROWS_IN_MEMORY = 65_536
_WARM_UP = 5  # steps


@dataclass(frozen=True)
class Point:
    """What is trained.

    Attributes:
        model: "linear" or "dnn".
        rows: The size of a batch, in each process.
        strings: The number of hashed string columns.
        numbers: The number of numeric columns.
        buckets: The hash buckets of each string column.
        ranks: The number of processes.
        seconds: How long the clock runs.
    """

    model: str = "linear"
    rows: int = 512
    strings: int = len(STRINGS)
    numbers: int = len(NUMBERS)
    buckets: int = 100_000
    ranks: int = 1
    seconds: float = 2.0

    def json(self) -> str:
        """The text that `growth_point` reads."""
        return json.dumps(dataclasses.asdict(self))


class Speed(torchest.SessionRunHook):
    """Counts steps after a warm-up, and ends training when the time is up.

    Attributes:
        steps_a_second: The speed; 0 until the time is up.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._steps = -_WARM_UP
        self.steps_a_second = 0.0

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """A step has run."""
        self._steps += 1
        if self._steps <= 0:
            self._start = time.perf_counter()
            return
        elapsed = time.perf_counter() - self._start
        if elapsed >= self._seconds:
            self.steps_a_second = self._steps / elapsed
            run_context.request_stop()


def make_batches(point: Point, seed: int) -> list[tuple[dict[str, Any], Any]]:
    """Batches in memory; columns beyond those of `make_rows` have the same values again."""
    count = max(2, min(40, _ROWS_IN_MEMORY // point.rows))
    features, labels = make_rows(point.rows * count, seed)
    named = {f"C{n}": features[STRINGS[n % len(STRINGS)]] for n in range(point.strings)}
    named |= {f"I{n}": features[NUMBERS[n % len(NUMBERS)]] for n in range(point.numbers)}
    slices = [slice(start, start + point.rows) for start in range(0, len(labels), point.rows)]
    return [({key: column[rows] for key, column in named.items()}, labels[rows]) for rows in slices]


def make_estimator(point: Point) -> torchest.Estimator:
    """A classifier of the point's columns, without checkpoints."""
    hash_bucket = columns.categorical_column_with_hash_bucket
    strings = [hash_bucket(f"C{n}", point.buckets) for n in range(point.strings)]
    numbers = [columns.numeric_column(f"I{n}") for n in range(point.numbers)]
    config = torchest.RunConfig(
        tf_random_seed=1,
        save_checkpoints_secs=None,
        save_checkpoints_steps=None,
    )
    if point.model == "linear":
        return torchest.LinearClassifier([*strings, *numbers], config=config)
    embedded = [columns.embedding_column(column, 16) for column in strings]
    return torchest.DNNClassifier([256, 128, 64], [*embedded, *numbers], config=config)


def rows_a_second(point: Point) -> float | None:
    """The speed of all processes together; None in all but the first."""
    estimator, speed = make_estimator(point), Speed(point.seconds)
    batches = make_batches(point, seed=estimator.config.global_id_in_cluster or 0)
    estimator.train(lambda: itertools.cycle(batches), hooks=[speed])
    return speed.steps_a_second * point.rows * point.ranks if estimator.config.is_chief else None


def main() -> None:
    """Trains one point."""
    speed = rows_a_second(Point(**json.loads(sys.argv[1])))
    if speed is not None:
        print(json.dumps({"rows/s": speed}))


if __name__ == "__main__":
    main()
