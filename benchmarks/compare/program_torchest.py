"""The guide's programs as users write them for torchest, and the function calls of their steps."""

from __future__ import annotations

import cProfile
import pstats
from typing import TYPE_CHECKING, Any

import torch

import torchest
from benchmarks.compare.data import FLOWER_NUMBERS, TITANIC, make_flowers
from benchmarks.compare.worker import answer_requests, steps_a_second, task_and_seconds
from torchest import columns, inputs

if TYPE_CHECKING:
    from collections.abc import Callable


def titanic(steps: int) -> None:
    """A linear classifier of three columns of a CSV file."""

    def input_fn() -> inputs.Dataset:
        dataset = inputs.make_csv_dataset(TITANIC, batch_size=32, label_name="survived")
        return dataset.cache().repeat().shuffle(500).prefetch(2)

    age = columns.numeric_column("age")
    cls = columns.categorical_column_with_vocabulary_list("class", ["First", "Second", "Third"])
    embark = columns.categorical_column_with_hash_bucket("embark_town", 32)
    model = torchest.LinearClassifier(feature_columns=[embark, cls, age], n_classes=2)
    model.train(input_fn, steps=steps)


def iris(steps: int) -> None:
    """A deep classifier of four numbers."""
    flowers = make_flowers()

    def input_fn() -> inputs.Dataset:
        return inputs.Dataset.from_tensor_slices(flowers).shuffle(1000).repeat().batch(256)

    numbers = [columns.numeric_column(key) for key in FLOWER_NUMBERS]
    model = torchest.DNNClassifier([30, 10], numbers, n_classes=3)
    model.train(input_fn, steps=steps)


def toy(steps: int) -> None:
    """A model_fn with one linear layer."""

    def model_fn(features: Any, labels: Any, mode: str) -> torchest.EstimatorSpec:  # noqa: ARG001
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 5))
        loss = (net(features["x"]) - features["y"]).abs().mean()
        optimizer = torchest.get_or_create(
            "optimizer", lambda: torch.optim.Adam(net.parameters(), lr=0.1)
        )
        return torchest.EstimatorSpec(mode, loss=loss, train_op=optimizer)

    def input_fn() -> inputs.Dataset:
        x = torch.arange(10.0)[:, None]
        rows = {"x": x, "y": 5 * x + torch.arange(5.0)}
        return inputs.Dataset.from_tensor_slices(rows).repeat().batch(2)

    torchest.Estimator(model_fn).train(input_fn, steps=steps)


PROGRAMS = {"titanic": titanic, "iris": iris, "toy": toy}


def calls_a_step(program: Callable[[int], None], steps: int) -> float:
    """The function calls of one more step, in the thread that trains."""
    program(10)  # imports modules and loads kernels
    fewer, more = (_calls(program, count) for count in (steps, 2 * steps))
    return (more - fewer) / steps


def _calls(program: Callable[[int], None], steps: int) -> int:
    profile = cProfile.Profile()
    profile.runcall(program, steps)
    calls: int = pstats.Stats(profile).total_calls
    return calls


def main() -> None:
    """Runs one task."""
    task, _ = task_and_seconds()
    program, steps = PROGRAMS[task["model"]], task["steps"]
    measure = calls_a_step if task["what"] == "calls" else steps_a_second
    answer_requests(lambda: measure(program, steps))


if __name__ == "__main__":
    main()
