"""The limit of reading CSV: Arrow's own reader, which makes one table of a file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pyarrow import csv

from benchmarks.compare.data import write_csv
from benchmarks.compare.worker import answer_requests, median_time, task_and_seconds


def main() -> None:
    """Runs one task."""
    task, seconds = task_and_seconds()
    count = task["in_memory"] // 4
    path = Path(tempfile.mkdtemp(), "rows.csv")
    write_csv(path, count)
    csv.read_csv(path)
    answer_requests(lambda: count / median_time(lambda: csv.read_csv(path), 1, seconds))


if __name__ == "__main__":
    main()
