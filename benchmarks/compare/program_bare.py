"""The guide's programs as bare torch loops, on batches that are tensors before the clock starts."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchmarks.compare.data import FLOWER_NUMBERS, TITANIC, make_flowers
from benchmarks.compare.device import DEVICE, wait
from benchmarks.compare.worker import answer_requests, steps_a_second, task_and_seconds
from torchest.optimizers import Ftrl

if TYPE_CHECKING:
    from collections.abc import Callable

    Program = Callable[[int], None]
    Batches = list[tuple[Tensor, Tensor]]


def titanic() -> Program:
    """A linear model of numbers that are the columns' one-hot vectors and the age."""
    with Path(TITANIC).open(encoding="utf-8") as file:
        passengers = list(csv.DictReader(file))
    towns = sorted({row["embark_town"] for row in passengers})
    classes = sorted({row["class"] for row in passengers})
    features = torch.zeros(len(passengers), 32 + len(classes) + 1)
    for place, row in enumerate(passengers):
        features[place, towns.index(row["embark_town"])] = 1
        features[place, 32 + classes.index(row["class"])] = 1
        features[place, -1] = float(row["age"])
    labels = torch.tensor([[float(row["survived"])] for row in passengers])
    batches = _batches(features, labels, 32)

    def program(steps: int) -> None:
        net = nn.Linear(features.shape[1], 1).to(DEVICE)
        loss = nn.functional.binary_cross_entropy_with_logits
        _train(net, Ftrl(net.parameters(), lr=0.2), loss, batches, steps)

    return program


def iris() -> Program:
    """A deep classifier of four numbers."""
    numbers, kinds = make_flowers()
    features = torch.stack([torch.from_numpy(numbers[key]) for key in FLOWER_NUMBERS], 1).float()
    repeated = torch.arange(256 * 15) % len(kinds)
    batches = _batches(features[repeated], torch.from_numpy(kinds)[repeated], 256)

    def program(steps: int) -> None:
        net = nn.Sequential(
            nn.Linear(4, 30), nn.ReLU(), nn.Linear(30, 10), nn.ReLU(), nn.Linear(10, 3)
        ).to(DEVICE)
        optimizer = torch.optim.Adagrad(net.parameters(), lr=0.001, initial_accumulator_value=0.1)
        _train(net, optimizer, nn.functional.cross_entropy, batches, steps)

    return program


def toy() -> Program:
    """One linear layer."""
    x = torch.arange(10.0)[:, None]
    batches = _batches(x, 5 * x + torch.arange(5.0), 2)

    def program(steps: int) -> None:
        net = nn.Linear(1, 5).to(DEVICE)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
        _train(net, optimizer, nn.functional.l1_loss, batches, steps)

    return program


def _batches(features: Tensor, labels: Tensor, rows: int) -> Batches:
    """All whole batches, on the device."""
    features, labels = features.to(DEVICE), labels.to(DEVICE)
    whole = len(features) // rows * rows
    return list(zip(features[:whole].split(rows), labels[:whole].split(rows), strict=True))


def _train(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    batches: Batches,
    steps: int,
) -> None:
    for features, labels in itertools.islice(itertools.cycle(batches), steps):
        optimizer.zero_grad()
        loss_fn(net(features), labels).backward()
        optimizer.step()
    wait()


PROGRAMS = {"titanic": titanic, "iris": iris, "toy": toy}


def main() -> None:
    """Runs one task."""
    task, _ = task_and_seconds()
    program = PROGRAMS[task["model"]]()
    answer_requests(lambda: steps_a_second(program, task["steps"]))


if __name__ == "__main__":
    main()
