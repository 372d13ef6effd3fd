"""One model in several processes: each runs on batches of its own, and all take the same steps.

A step is that of one process on the batches of all of them: gradients are added up, weighted by numbers of
examples. Each step begins with one message: how many examples each process has, and whether one of them wants to
stop. A process that has no more batches goes on with a batch without rows, whose gradients do not count, so that all
processes take the same number of steps, and optimizers, schedules and hooks are at the same place everywhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import secrets
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from torchest.distributed import collectives
from torchest.distributed.exchange import Exchange
from torchest.distributed.process_group import connect
from torchest.distributed.strategy import Batches, Strategy
from torchest.distributed.whole_input import seems_whole
from torchest.keys import ModeKeys
from torchest.losses import Reduction
from torchest.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor, nn

    from torchest.distributed.cluster import Cluster
    from torchest.inputs.batch import Batch

Value = TypeVar("Value")
_log = logging.getLogger("torchest")


class DataParallel(Strategy):
    """The processes that torchrun started.

    Args:
        cluster: Which those are. They are connected now.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.device = connect(cluster)
        self.rank = cluster.rank
        self.world_size = cluster.world_size
        self._examples = self._examples_of_all = 0
        self._agreed: deque[tuple[int, int]] = deque()
        self._empty: Batch | None = None
        self._exchange: Exchange
        self._alone = 0
        self._has_warned_of_input = self._has_warned_of_backward = False
        self._has_gradients = False
        self._on_its_own = Strategy()
        self._on_its_own.device = self.device
        _log.info(
            "Process %d of %d (%s), on %s.",
            self.rank, self.world_size, "chief" if self.is_chief else "worker", self.device,
        )  # fmt: skip

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """What begins inside is this process's own, in any of its threads."""
        self._alone += 1
        try:
            yield
        finally:
            self._alone -= 1

    def now(self) -> Strategy:
        """This, or inside of `alone` a strategy for this process."""
        return self._on_its_own if self._alone else self

    def in_chief(self, function: Callable[[], Value]) -> Value:
        """What a function returns, in all processes, when the chief alone calls it."""
        with self.alone():
            result = function() if self.is_chief else None
        return cast("Value", self.broadcast(result))

    def broadcast(self, value: Value) -> Value:
        """What the chief gave, in all processes."""
        return collectives.object_of(0, value)

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank."""
        return collectives.objects_of_all(value)

    def any_of(self, flag: bool) -> bool:
        """Whether the flag of any process is set."""
        return collectives.summed_numbers([int(flag)]) != [0]

    def barrier(self) -> None:
        """Waits until all processes are here."""
        collectives.summed_numbers([0])

    def seed(self, seed: int | None) -> int | None:
        """The chief's seed, or one that it draws, so that all processes shuffle alike."""
        return self.broadcast(secrets.randbits(63) if seed is None else seed)

    def check_input(self, input_fn: Any, source: Any) -> None:
        """Warns once of input that all processes read whole.

        Args:
            input_fn: The user's.
            source: What it returned.
        """
        if self.is_chief and not self._has_warned_of_input and seems_whole(input_fn, source):
            self._has_warned_of_input = True
            _log.warning(
                "Each of the %d processes seems to read the whole input, so that a step has every row %d times. Let "
                "the input_fn take input_context, and read its part by dataset.shard(input_context."
                "num_input_pipelines, input_context.input_pipeline_id).",
                self.world_size, self.world_size,
            )  # fmt: skip

    def first(self, batch: Batch | None) -> Batch | None:
        """A batch to make the model from; without rows where a process has none.

        Args:
            batch: The first one of this process; None if it has none.
        """
        has_one = collectives.numbers_of_all([int(batch is not None)])
        if [1] not in has_one:
            return None
        self._empty = None if batch is None else batch.without_rows()
        if [0] in has_one:
            empty = collectives.object_of(has_one.index([1]), self._empty)
            self._empty = self._empty or empty
        assert self._empty is not None
        return self._empty.to(self.device) if batch is None else batch

    def share(self, modules: Mapping[str, nn.Module]) -> None:
        """Gives all processes the weights and buffers of the chief.

        Raises:
            ValueError: The processes have made different models.
        """
        tensors = {**_parameters(modules), **_buffers(modules)}
        self._check_alike(tensors)
        collectives.copy_from_chief(tensors.values())

    def start(self, modules: Mapping[str, nn.Module]) -> None:
        """All processes start with the weights and buffers of the chief.

        Raises:
            ValueError: The processes have made different models.
        """
        self.share(modules)
        self._agreed.clear()
        self._exchange = Exchange(_parameters(modules).values(), _buffers(modules).values())
        if self.is_chief:
            _log.info(
                "Training in %d processes: a step is one on the batches of all of them together. A process whose "
                "input has ended goes on with batches without rows until the inputs of all have ended.",
                self.world_size,
            )

    def batches(self, batches: Iterator[Batch], mode: str) -> Batches:
        """The batches of this process; in training as many as in all others."""
        return _InStep(batches, self) if mode == ModeKeys.TRAIN else Batches(batches)

    def agree(self, batch: Batch | None, wish: bool) -> bool:
        """Whether training ends before the next step: no process has a batch, or one wants to stop."""
        own = 0 if batch is None else batch.rows
        told = [own, int(batch is not None), int(wish)]
        of_all, with_batch, wishes = collectives.summed_numbers(told)
        if wishes or not with_batch:
            return True
        self._agreed.append((own, of_all))
        return False

    def empty_batch(self) -> Batch:
        """A batch without rows."""
        assert self._empty is not None
        return self._empty.to(self.device)

    def begin_batch(self) -> None:
        """The forward pass of the next of the batches that were agreed on begins."""
        self._examples, self._examples_of_all = self._agreed.popleft()
        self._has_gradients = False

    def backward(self, loss: Tensor, reduction: str) -> Tensor:
        """Computes the gradients of the loss of the batches of all processes, and that loss."""
        self._has_gradients = True
        weighted = loss * self._weight(reduction)
        self._exchange.set_aside()
        weighted.backward()  # type: ignore[no-untyped-call]
        return self._exchange.add_up(weighted, self._share())

    def total(self, loss: Tensor, reduction: str) -> Tensor:
        """The loss of the batches of all processes, in a step that a function did."""
        if not self._has_gradients and not self._has_warned_of_backward:
            self._has_warned_of_backward = True
            _log.warning(
                "The function given as train_op did not call torchest.backward(loss): gradients that it computes "
                "otherwise are those of one process, and the copies of the model drift apart."
            )
        own = loss.detach() * self._weight(reduction)
        return collectives.summed(own if self._examples else torch.zeros_like(own))

    def merge(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Metrics of the batches of all processes.

        Raises:
            ValueError: Processes have metrics of other names.
        """
        merged: dict[str, Any] = {}
        for rank, found in enumerate(collectives.objects_of_all(_on_host(metrics))):
            if merged and found and merged.keys() != found.keys():
                raise ValueError(
                    f"Process {rank} has the metrics {sorted(found)} and those before it have {sorted(merged)}: "
                    "all processes must compute the same metrics."
                )
            for name, metric in found.items():
                merged[name] = merged[name].merge(metric) if name in merged else metric
        return merged

    def _share(self) -> float:
        """The share of this process in the examples of the step."""
        return self._examples / max(self._examples_of_all, 1)

    def _weight(self, reduction: str) -> float:
        return 1.0 if reduction == Reduction.SUM else self._share()

    def _check_alike(self, tensors: Mapping[str, Tensor]) -> None:
        own = {name: (list(each.shape), str(each.dtype)) for name, each in tensors.items()}
        for rank, found in enumerate(collectives.objects_of_all(own)):
            if list(found.items()) != list(own.items()):
                different = sorted(
                    name for name in {*found, *own} if found.get(name) != own.get(name)
                )
                raise ValueError(
                    f"Process {self.rank} and process {rank} have made different models; they differ in "
                    f"{', '.join(different) or 'the order of parameters'}. Make the same in every process, "
                    "whatever its data."
                )


class _InStep(Batches):
    """The batches of a process, and batches without rows as long as other processes have some."""

    def __init__(self, batches: Iterator[Batch], strategy: DataParallel) -> None:
        super().__init__(batches)
        self._strategy = strategy
        self._next: Batch | None = None
        self._has_ended = False

    def stopped(self, wish: bool) -> bool:
        """Whether all processes end before the next step."""
        self._next = None if wish else next(self._batches, None)
        ends = self._strategy.agree(self._next, wish)
        if self._next is None and not ends and not self._has_ended:
            self._has_ended = True
            _log.info(
                "The input of process %d has ended before that of others.", self._strategy.rank
            )
        return ends

    def __next__(self) -> Batch:
        return self._strategy.empty_batch() if self._next is None else self._next


def _parameters(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return _distinct(
        (f"{made}.{name}", parameter)
        for made, module in modules.items()
        for name, parameter in module.named_parameters()
    )


def _buffers(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return _distinct(
        (f"{made}.{name}", buffer)
        for made, module in modules.items()
        for name, buffer in module.named_buffers()
    )


def _distinct(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors that may have several names, each once."""
    found = {id(tensor): (name, tensor) for name, tensor in reversed(list(tensors))}
    return dict(reversed(found.values()))


def _on_host(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics whose statistics can be read without the device that they were made on."""
    return {
        name: dataclasses.replace(metric, statistics=metric.statistics.cpu())
        if isinstance(metric, Metric)
        else metric
        for name, metric in metrics.items()
    }
