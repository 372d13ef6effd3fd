"""Where a model runs. The loop works with a `Strategy` and never asks whether it is distributed."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from torchest.distributed.input_context import InputContext
from torchest.distributed.waiting import Patience
from torchest.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from torchest.inputs.batch import Batch
    from torchest.spec import EstimatorSpec

Value = TypeVar("Value")
_PATIENCE = Patience()


class Steps(Iterator["list[Batch]"]):
    """The batches of a training, in a list for each step.

    Args:
        batches: The batches of this process.
        size: The number of batches in a step; the last step may have fewer.
    """

    def __init__(self, batches: Iterator[Batch], size: int) -> None:
        self._batches = batches
        self._size = size

    def stopped(self, stop_requested: bool) -> bool:
        """Whether the training ends before its next step; called once before each.

        Args:
            stop_requested: Whether this process requests the end.
        """
        return stop_requested

    def __next__(self) -> list[Batch]:
        batches = self._read()
        if not batches:
            raise StopIteration
        return batches

    def _read(self) -> list[Batch]:
        """The batches of the next step; none at the end of the input."""
        return list(itertools.islice(self._batches, self._size))


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
    def num_replicas_in_sync(self) -> int:
        """The number of copies of the model that train together: one for each process."""
        return self.world_size

    @property
    def all_have_batches(self) -> bool:
        """Whether every process has batches of its own in the current step."""
        return True

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

    @contextlib.contextmanager
    def call(
        self,
        name: str,
        model_dir: str | None,
        patience: Patience = _PATIENCE,
        *,
        may_be_alone: bool = False,
    ) -> Iterator[None]:
        """A context for a call that all processes make, such as `train`.

        Args:
            name: The name of the method.
            model_dir: The directory of the model, if it has one.
            patience: How long processes wait for each other.
            may_be_alone: Whether the chief may make the call alone; `current` inside is then for this process alone.
        """
        del name, model_dir, patience, may_be_alone
        yield

    def alone(self, what: str) -> contextlib.AbstractContextManager[None]:
        """A context in which this process does something alone, for which others wait longer.

        Args:
            what: What it does, such as "writes a checkpoint".
        """
        del what
        return contextlib.nullcontext()

    def report_step(self, step: Callable[[], int]) -> None:
        """Sets how messages about waiting find out the global step."""

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

    def check_input(
        self, input_fn: Callable[..., object], source: object, first: Batch | None
    ) -> None:
        """Warns if all processes read the whole input.

        Args:
            input_fn: The user's function.
            source: The result of the function.
            first: The first batch of this process, if there is one.
        """

    def first(self, batch: Batch | None) -> Batch | None:
        """The batch from which the model is made; None if no process has one.

        Args:
            batch: The first batch of this process. If it is None and another process has one, that one is returned.
        """
        return batch

    def share(self, modules: Mapping[str, nn.Module]) -> None:
        """Copies the weights and buffers of the chief to all processes.

        Args:
            modules: All modules of the model by name.
        """

    def start(
        self,
        modules: Mapping[str, nn.Module],
        *,
        steps_itself: bool = False,
        comm_hook: Callable[..., Any] | None = None,
        sends_messages: bool = False,
    ) -> None:
        """Called when training begins: gives all processes the weights of the chief.

        Args:
            modules: All modules of the model by name. Gradients of their parameters are synchronised until
                the next start.
            steps_itself: Whether train_op is a function.
            comm_hook: See `RunConfig.ddp_comm_hook`.
            sends_messages: Whether modules send messages in their forward and backward passes.
        """

    def in_steps(self, batches: Iterator[Batch], size: int) -> Steps:
        """The batches of a training, in a list for each step.

        Args:
            batches: The batches of this process. Batches without rows follow until the inputs of all processes have
                ended.
            size: The number of batches in a step.
        """
        return Steps(batches, size)

    def begin_batch(self) -> None:
        """Called before the forward pass of each batch; a step may have several batches."""

    def forward(self, model_fn: Callable[[], EstimatorSpec]) -> EstimatorSpec:
        """Runs model_fn on a batch in training.

        Args:
            model_fn: Runs it on this process's batch.
        """
        return model_fn()

    def backward(self, loss: Tensor, reduction: str) -> Tensor:
        """Adds the gradients of this process's batch to those of earlier batches of the step.

        Args:
            loss: The loss of the batch, a scalar.
            reduction: How the loss was reduced over examples; see `EstimatorSpec.loss_reduction`.

        Returns:
            The contribution to the loss of the step, a scalar.
        """
        del reduction
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def add_up(self, loss: Tensor) -> Tensor:
        """Adds up gradients over all processes, once in a step.

        Args:
            loss: The contribution of this process to the loss of the step.

        Returns:
            The loss of the batches of all processes.
        """
        return loss

    def backward_at_once(self, loss: Tensor, reduction: str) -> Tensor:
        """`backward` and `add_up`, for a train_op that is a function, which may call it several times in a step."""
        return self.add_up(self.backward(loss, reduction))

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
