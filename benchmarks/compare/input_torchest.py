"""torchest's input: CSV files that are read once, and batches of data in memory."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.compare.data import TITANIC, make_flowers, write_csv
from benchmarks.compare.worker import answer_requests, median_time, task_and_seconds
from torchest import inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

_BATCHES = 500  # between two looks at the clock


def read_once(path: Path, rows: int) -> None:
    """Goes through a file."""
    dataset = inputs.make_csv_dataset(path, rows, label_name="label", num_epochs=1, shuffle=False)
    for _ in dataset:
        pass


def endless(task: dict[str, Any]) -> inputs.Dataset:
    """Batches of the guide's data, which is in memory once it has been read."""
    rows = task["rows"]
    if task["model"] == "iris":
        return inputs.Dataset.from_tensor_slices(make_flowers()).shuffle(1000).repeat().batch(rows)
    dataset = inputs.make_csv_dataset(
        TITANIC, rows, label_name="survived", num_epochs=1, shuffle=False
    )
    dataset = dataset.cache().repeat()
    return dataset.shuffle(500).prefetch(2) if task["source"] == "shuffled" else dataset


def take(batches: Iterator[Any], count: int) -> None:
    """Goes through `count` batches."""
    for _ in itertools.islice(batches, count):
        pass


def main() -> None:
    """Runs one task."""
    task, seconds = task_and_seconds()
    if task["source"] == "csv":
        count = task["in_memory"] // 4
        path = Path(tempfile.mkdtemp(), "rows.csv")
        write_csv(path, count)
        read_once(path, task["rows"])
        answer_requests(
            lambda: count / median_time(lambda: read_once(path, task["rows"]), 1, seconds)
        )
        return
    batches = iter(endless(task))
    take(batches, _BATCHES)
    answer_requests(
        lambda: 1e6 / _BATCHES * median_time(lambda: take(batches, _BATCHES), 3, seconds)
    )


if __name__ == "__main__":
    main()
