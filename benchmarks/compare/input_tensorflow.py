"""tf.data's input: CSV files that are read once, and batches of data in memory.

Batches are counted in TensorFlow's own threads, and not handed to Python.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

from benchmarks.compare.data import TITANIC, make_flowers, write_csv
from benchmarks.compare.worker import answer_requests, median_time, task_and_seconds

_BATCHES = 20_000  # so many that filling a shuffle buffer of 500 does not count
tf.get_logger().setLevel("ERROR")


def rows_of(path: str, rows: int, label: str) -> Any:
    """The batches of a file, once."""
    return tf.data.experimental.make_csv_dataset(
        path, rows, label_name=label, num_epochs=1, shuffle=False
    )


def endless(task: dict[str, Any]) -> Any:
    """Batches of the guide's data, which is in memory once it has been read."""
    rows = task["rows"]
    if task["model"] == "iris":
        return tf.data.Dataset.from_tensor_slices(make_flowers()).shuffle(1000).repeat().batch(rows)
    dataset = rows_of(TITANIC, rows, "survived").cache().repeat()
    return dataset.shuffle(500).prefetch(2) if task["source"] == "shuffled" else dataset


def go_through(dataset: Any) -> None:
    """Counts the batches of a dataset."""
    dataset.reduce(0, lambda count, _: count + 1).numpy()


def main() -> None:
    """Runs one task."""
    task, seconds = task_and_seconds()
    if task["source"] == "csv":
        count = task["in_memory"] // 4
        path = Path(tempfile.mkdtemp(), "rows.csv")
        write_csv(path, count)
        batches = rows_of(str(path), task["rows"], "label")
        go_through(batches)
        answer_requests(lambda: count / median_time(lambda: go_through(batches), 1, seconds))
        return
    batches = endless(task).take(_BATCHES)
    go_through(batches)
    answer_requests(lambda: 1e6 / _BATCHES * median_time(lambda: go_through(batches), 1, seconds))


if __name__ == "__main__":
    main()
