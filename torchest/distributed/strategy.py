"""Where a model runs. The loop works with a `Strategy` and never asks whether it is distributed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from torchest.distributed.input_context import InputContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from torchest.inputs.batch import Batch

Value = TypeVar("Value")


class Batches(Iterator["Batch"]):
    """The batches of one run, step by step.

    Args:
        batches: Those of this process.
    """

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches

    def stopped(self, wish: bool) -> bool:
        """Whether the run ends before its next step; asked once before each.

        Args:
            wish: Whether this process wants that.
        """
        return wish

    def __next__(self) -> Batch:
        return next(self._batches)


class Strategy:
    """One device, one process: every method does the least that is right.

    Attributes:
        device: The first CUDA device where there is one, else the CPU.
        rank: The number of this process, from 0.
        world_size: How many processes train one model together.
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
        """What an input_fn is told of the processes."""
        return InputContext(self.world_size, self.rank, self.world_size)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """What begins inside, such as an evaluation in a hook, is this process's own: others need not do it too."""
        yield

    def now(self) -> Strategy:
        """The strategy for what begins now: this one, or inside of `alone` one for this process."""
        return self

    def in_chief(self, function: Callable[[], Value]) -> Value:
        """What a function returns, in all processes, when the chief alone calls it."""
        return function()

    def seed(self, seed: int | None) -> int | None:
        """The seed of shuffles that have none of their own; all processes must shuffle alike."""
        return seed

    def broadcast(self, value: Value) -> Value:
        """What the chief gave, in all processes."""
        return value

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank."""
        return [value]

    def any_of(self, flag: bool) -> bool:
        """Whether the flag of any process is set."""
        return flag

    def barrier(self) -> None:
        """Waits until all processes are here."""

    def check_input(self, input_fn: Any, source: Any) -> None:
        """Warns of input that all processes read whole.

        Args:
            input_fn: The user's.
            source: What it returned.
        """

    def first(self, batch: Batch | None) -> Batch | None:
        """A batch to make the model from, where any process has one; it may have no rows.

        Args:
            batch: The first one of this process; None if it has none.
        """
        return batch

    def share(self, modules: Mapping[str, nn.Module]) -> None:
        """Gives all processes the weights and buffers of the chief.

        Args:
            modules: All modules of the model by name.
        """

    def start(self, modules: Mapping[str, nn.Module]) -> None:
        """Training begins: all processes start with the weights of the chief.

        Args:
            modules: All modules of the model by name. Gradients of their parameters are synchronised until
                the next start.
        """

    def batches(self, batches: Iterator[Batch], mode: str) -> Batches:
        """The batches that this process runs on.

        Args:
            batches: Its own. In training a process that has no more of them goes on with batches without
                rows until all have ended.
            mode: A `ModeKeys`.
        """
        del mode
        return Batches(batches)

    def begin_batch(self) -> None:
        """The forward pass of the next of the batches begins; a step may have several."""

    def backward(self, loss: Tensor, reduction: str) -> Tensor:
        """Computes the gradients of the loss of the batches of all processes.

        Args:
            loss: That of this process's batch, a scalar.
            reduction: What it is of the losses of examples: see `EstimatorSpec.loss_reduction`.

        Returns:
            The loss of the batches of all processes.
        """
        del reduction
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def total(self, loss: Tensor, reduction: str) -> Tensor:
        """The loss of the batches of all processes, without gradients. For the arguments see `backward`."""
        del reduction
        return loss

    def end_step(self) -> None:
        """A step has done its part: what the device has put off begins to run.

        Values are read after this, by hooks, and of predictions.
        """

    def merge(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Metrics of the batches of all processes, by name.

        Args:
            metrics: Those of this process, each with a method `merge`; none if it had no batch.
        """
        return dict(metrics)
