"""Where a model runs. The loop works with a `Strategy` and never asks whether it is distributed."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from torchest.distributed.input_context import InputContext
from torchest.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from torchest.inputs.batch import Batch

Value = TypeVar("Value")


class Batches(Iterator["Batch"]):
    """The batches of one run, step by step.

    Args:
        batches: The batches of this process.
    """

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches

    def stopped(self, stop_requested: bool) -> bool:
        """Whether the run ends before its next step; called once before each.

        Args:
            stop_requested: Whether this process requests the end.
        """
        return stop_requested

    def __next__(self) -> Batch:
        return next(self._batches)


class Strategy:
    """Where and how a model runs: by default in this process, on one device.

    Pass a subclass as `RunConfig(train_distribute=...)`, or as `eval_distribute` for evaluation and prediction. It
    overrides what differs: each method here does the minimum for a single process.

    Attributes:
        device: The first CUDA device where there is one, else the CPU.
        rank: The number of this process, from 0.
        world_size: The number of processes that train one model together.

    >>> import torch, torchest
    >>> class OnCPU(torchest.distributed.Strategy):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.device = torch.device("cpu")
    >>> config = torchest.RunConfig(train_distribute=OnCPU(), eval_distribute=OnCPU())
    """

    def __init__(self) -> None:
        self.device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
        self.rank = 0
        self.world_size = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints and events."""
        return self.rank == 0

    @property
    def input_context(self) -> InputContext:
        """The `input_context` of an input_fn."""
        return InputContext(self.world_size, self.rank, self.world_size)

    @contextlib.contextmanager
    def detached(self) -> Iterator[None]:
        """A context in which runs, such as an evaluation in a hook, use only this process."""
        yield

    def current(self) -> Strategy:
        """The strategy for a run that starts now: this one; inside `detached`, one for this process alone."""
        return self

    def in_chief(self, function: Callable[[], Value]) -> Value:
        """Calls a function in the chief, and returns its result in all processes."""
        return function()

    def seed(self, seed: int | None) -> int | None:
        """The seed of shuffles without a seed; the same in all processes."""
        return seed

    def broadcast(self, value: Value) -> Value:
        """The chief's value, in all processes."""
        return value

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank."""
        return [value]

    def any_of(self, flag: bool) -> bool:
        """Whether the flag of any process is set."""
        return flag

    def barrier(self) -> None:
        """Waits until all processes have come here."""

    def check_input(self, input_fn: Callable[..., object], source: object) -> None:
        """Warns if all processes read the whole input.

        Args:
            input_fn: The user's function.
            source: The result of the function.
        """

    def first(self, batch: Batch | None) -> Batch | None:
        """The batch from which the model is made; None if no process has one.

        Args:
            batch: The first batch of this process. If it is None and another process has one, a batch without rows is
                returned.
        """
        return batch

    def share(self, modules: Mapping[str, nn.Module]) -> None:
        """Copies the weights and buffers of the chief to all processes.

        Args:
            modules: All modules of the model by name.
        """

    def start(self, modules: Mapping[str, nn.Module]) -> None:
        """Called when training begins: gives all processes the weights of the chief.

        Args:
            modules: All modules of the model by name. Gradients of their parameters are synchronised until
                the next start.
        """

    def batches(self, batches: Iterator[Batch], mode: str) -> Batches:
        """The batches that this process runs on.

        Args:
            batches: The batches of this process. In training, batches without rows follow until the inputs of all
                processes have ended.
            mode: A `ModeKeys`.
        """
        del mode
        return Batches(batches)

    def begin_batch(self) -> None:
        """Called before the forward pass of each batch; a step may have several batches."""

    def backward(self, loss: Tensor, reduction: str) -> Tensor:
        """Computes the gradients of the loss over the batches of all processes.

        Args:
            loss: The loss of this process's batch, a scalar.
            reduction: How the loss was reduced over examples; see `EstimatorSpec.loss_reduction`.

        Returns:
            The loss of the batches of all processes, a scalar.
        """
        del reduction
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def total(self, loss: Tensor, reduction: str) -> Tensor:
        """The loss of the batches of all processes, without gradients. For the arguments see `backward`."""
        del reduction
        return loss

    def end_step(self) -> None:
        """Called at the end of a step, before values are read: a device with deferred execution runs the operations."""

    def merge(self, metrics: Mapping[str, object]) -> dict[str, Any]:
        """Merges the metrics of all processes.

        Args:
            metrics: The metrics of this process by name, each with a method `merge`; empty if it had no batch.
        """
        return dict(metrics)


def on_host(metrics: Mapping[str, object]) -> dict[str, Any]:
    """Metrics with their statistics on the CPU, where reading them does not wait for a device."""
    return {
        name: dataclasses.replace(metric, statistics=metric.statistics.cpu())
        if isinstance(metric, Metric)
        else metric
        for name, metric in metrics.items()
    }
