"""torchest with 1,000 numbers, in as many columns as the task says: encoding them, and training a linear model."""

from __future__ import annotations

import itertools

import torch

import torchest
from benchmarks.compare.data import NUMBERS_IN_ALL, make_number_batches
from benchmarks.compare.side_torchest import Measure, make_config
from benchmarks.compare.worker import answer_requests, median_time, task_and_seconds
from torchest import columns


def main() -> None:
    """Runs one task."""
    task, seconds = task_and_seconds()
    batches = make_number_batches(task["rows"], task["columns"], 20)
    width = NUMBERS_IN_ALL // task["columns"]
    numbers = [columns.numeric_column(key, width) for key in batches[0][0]]
    if task["what"] == "train":
        model = torchest.LinearClassifier(numbers, config=make_config(task))
        model.train(lambda: itertools.cycle(batches), hooks=[Measure(task, seconds)])
        return
    layer = columns.DenseFeatures(numbers)
    endless = itertools.cycle(batches)

    @torch.inference_mode()
    def encode() -> None:
        layer(next(endless)[0])

    encode()
    answer_requests(lambda: 1e3 * median_time(encode, 20, seconds))


if __name__ == "__main__":
    main()
