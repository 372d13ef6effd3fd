"""One point of `distributed.py`: trains a model for some steps, and prints what a step costs this process.

python -m benchmarks.distributed_point '{"model": "linear", "rows": 512, "steps": 100}'
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

import torchest
from benchmarks.growth_point import Point as Growth
from benchmarks.growth_point import make_batches
from torchest import columns
from torchest.distributed import traffic

if TYPE_CHECKING:
    from collections.abc import Callable

_WARM_UP = 10  # steps


@dataclass(frozen=True)
class Point:
    """What is trained.

    Attributes:
        model: "linear", "dnn", or a name in `NETS`.
        rows: The size of a batch, in each process.
        accumulate: The batches of a step.
        is_torch_alone: Whether a net is trained by a loop with DistributedDataParallel, without torchest.
        steps: The number of steps.
    """

    model: str = "linear"
    rows: int = 512
    accumulate: int = 1
    is_torch_alone: bool = False
    steps: int = 100


class Meter:
    """Measures between the end of the warm-up and the last step."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._done = 0
        self.figures: dict[str, float] = {}

    def step(self) -> bool:
        """A step has run. Returns whether it was the last."""
        self._done += 1
        if self._done == _WARM_UP:
            self._counting = traffic.counted()
            self._traffic = self._counting.__enter__()
            self._start = time.process_time(), time.perf_counter()
        if self._done < _WARM_UP + self._steps:
            return False
        cpu, wall = self._start
        self.figures = {
            "cpu_ms": (time.process_time() - cpu) / self._steps * 1000,
            "wall_ms": (time.perf_counter() - wall) / self._steps * 1000,
            "messages": self._traffic.messages / self._steps,
            "bytes": self._traffic.bytes / self._steps,
        }
        self._counting.__exit__(None, None, None)
        return True


class _Hook(torchest.SessionRunHook):
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self._meter.step():
            run_context.request_stop()


def make_net() -> nn.Module:
    """Dense layers, 7 MB."""
    return nn.Sequential(
        nn.Linear(64, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU(),
        nn.Linear(512, 1),
    )  # fmt: skip


def make_convolutions() -> nn.Module:
    """Convolutions with batch normalisation, 6 MB."""
    widths = (3, 64, 128, 256, 512)
    layers: list[nn.Module] = []
    for width, next_width in itertools.pairwise(widths):
        layers += [nn.Conv2d(width, next_width, 3, 2), nn.BatchNorm2d(next_width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1))


class Net(NamedTuple):
    """A net, and the shape of an example."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]


NETS = {"net": Net(make_net, (64,)), "convolutions": Net(make_convolutions, (3, 64, 64))}


def net_batches(point: Point) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of noise in memory."""
    random = torch.Generator().manual_seed(0)
    shape = (point.rows, *NETS[point.model].shape)
    return [
        (
            torch.randn(shape, generator=random),
            torch.randint(2, (point.rows, 1), generator=random).float(),
        )
        for _ in range(4)
    ]


def _loss(net: nn.Module, numbers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.binary_cross_entropy_with_logits(net(numbers), labels)


def _net_model_fn(features: Any, labels: Any, mode: str, params: Any) -> torchest.EstimatorSpec:
    net = torchest.get_or_create("net", NETS[params["net"]].make)
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.01))
    return torchest.EstimatorSpec(mode, loss=_loss(net, features["x"], labels), train_op=sgd)


def _estimator(point: Point) -> tuple[torchest.Estimator, list[Any]]:
    config = torchest.RunConfig(
        save_checkpoints_secs=None, save_checkpoints_steps=None,
        save_summary_steps=None, log_step_count_steps=None, accumulate_steps=point.accumulate,
    )  # fmt: skip
    if point.model in NETS:
        batches = [({"x": numbers}, labels) for numbers, labels in net_batches(point)]
        return torchest.Estimator(_net_model_fn, None, config, {"net": point.model}), batches
    growth = Growth(rows=point.rows)
    batches = make_batches(growth, seed=config.global_id_in_cluster or 0)
    strings = [
        columns.categorical_column_with_hash_bucket(f"C{n}", growth.buckets)
        for n in range(growth.strings)
    ]
    numbers = [columns.numeric_column(f"I{n}") for n in range(growth.numbers)]
    if point.model == "linear":
        return torchest.LinearClassifier([*strings, *numbers], config=config), batches
    embedded = [columns.embedding_column(column, 16) for column in strings]
    return torchest.DNNClassifier([256, 128, 64], [*embedded, *numbers], config=config), batches


def train_estimator(point: Point, meter: Meter) -> None:
    """Trains by an estimator."""
    estimator, batches = _estimator(point)
    estimator.train(lambda: itertools.cycle(batches), hooks=[_Hook(meter)])


def train_by_torch_alone(point: Point, meter: Meter) -> None:
    """Trains a net in a loop with DistributedDataParallel."""
    net = NETS[point.model].make()
    if "RANK" in os.environ:
        torch.distributed.init_process_group("gloo")
        net = nn.parallel.DistributedDataParallel(net)
    sgd = torch.optim.SGD(net.parameters(), lr=0.01)
    for numbers, labels in itertools.cycle(net_batches(point)):
        sgd.zero_grad()
        _loss(net, numbers, labels).backward()  # type: ignore[no-untyped-call]
        sgd.step()
        if meter.step():
            break
    if isinstance(net, nn.parallel.DistributedDataParallel):
        told = net._get_ddp_logging_data()
        buckets = [int(size) for size in told["rebuilt_bucket_sizes"].split(",")]
        meter.figures.update(messages=len(buckets), bytes=sum(buckets))
        torch.distributed.destroy_process_group()


def main() -> None:
    """Trains one point."""
    torch.manual_seed(0)
    point = Point(**json.loads(sys.argv[1]))
    meter = Meter(point.steps)
    (train_by_torch_alone if point.is_torch_alone else train_estimator)(point, meter)
    print(json.dumps(meter.figures))


if __name__ == "__main__":
    main()
