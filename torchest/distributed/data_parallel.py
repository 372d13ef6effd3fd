"""One model in several processes: each runs on batches of its own, and all take the same steps.

A step equals that of one process on the batches of all: gradients are added up, weighted by numbers of examples. It
begins with one message: the numbers of examples of each process, and whether one of them requests the end. A process
without more batches continues with batches without rows, whose gradients have no weight. So all processes take the
same number of steps, with optimizers, schedulers and hooks in the same state.

Gradients are added up once in a step, whatever the number of its batches.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from torchest.columns.layers.stored_parameters import stored_parameters
from torchest.distributed import collectives
from torchest.distributed.buffers import Buffers
from torchest.distributed.calls import Call, calls_of_group
from torchest.distributed.dense_gradients import DenseGradients, dense_parameters, pays
from torchest.distributed.exchange import Exchange
from torchest.distributed.process_group import connect
from torchest.distributed.strategy import Steps, Strategy, on_host
from torchest.distributed.waiting import Patience
from torchest.distributed.whole_input import digest, shuffles_by_itself
from torchest.losses import Reduction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from torchest.distributed.cluster import Cluster
    from torchest.inputs.batch import Batch
    from torchest.spec import EstimatorSpec

Value = TypeVar("Value")
_log = logging.getLogger("torchest")
_PATIENCE = Patience()


class DataParallel(Strategy):
    """The processes that torchrun started.

    Args:
        cluster: The processes, which the constructor connects.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.device = connect(cluster)
        self.rank = cluster.rank
        self.world_size = cluster.world_size
        self._examples = self._examples_of_all = 0  # of the running batch
        self._to_come: deque[tuple[int, int]] = (
            deque()
        )  # examples of the further batches of the step
        self._is_within_step = False
        self._all_have_batches = True
        self._empty: Batch | None = None
        self._exchange: Exchange
        self._buffers: Buffers
        self._dense: DenseGradients | None = None
        self._sends_messages = False
        self._detached = 0
        self._has_warned_of_input = self._has_warned_of_backward = False
        self._has_gradients = False
        self._single = Strategy()
        self._single.device = self.device
        _log.info(
            "Process %d of %d (%s), on %s.",
            self.rank, self.world_size, "chief" if self.is_chief else "worker", self.device,
        )  # fmt: skip

    @contextlib.contextmanager
    def detached(self) -> Iterator[None]:
        """A context in which runs use only this process, in any of its threads."""
        self._detached += 1
        try:
            yield
        finally:
            self._detached -= 1

    @property
    def all_have_batches(self) -> bool:
        """Whether every process has batches of its own in the current step."""
        return self._all_have_batches

    def current(self) -> Strategy:
        """This strategy; inside `detached`, one for this process alone."""
        return self._single if self._detached else self

    @contextlib.contextmanager
    def call(
        self,
        name: str,
        model_dir: str | None,
        patience: Patience = _PATIENCE,
        *,
        may_be_alone: bool = False,
    ) -> Iterator[None]:
        """A context for a call that all processes make, which is checked.

        Raises:
            RuntimeError: The processes make different calls, or one did not come in time.
        """
        call = Call.here(name, model_dir, may_be_alone=may_be_alone)
        if self._detached:
            with self.alone(f"makes the call {call.text}"):
                yield
            return
        with contextlib.ExitStack() as opened:
            if not opened.enter_context(calls_of_group().begin(call, patience)):
                opened.enter_context(self.detached())
            yield

    def alone(self, what: str) -> contextlib.AbstractContextManager[None]:
        """A context in which others wait longer for this process."""
        return calls_of_group().watch.alone(what)

    def report_step(self, step: Callable[[], int]) -> None:
        """Sets how messages about waiting find out the global step."""
        calls_of_group().watch.call.step = step

    def in_chief(self, function: Callable[[], Value]) -> Value:
        """Calls a function in the chief, and returns its result in all processes."""
        result = None
        if self.is_chief:
            with self.detached(), self.alone("does what only the chief does"):
                result = function()
        return cast("Value", self.broadcast(result))

    def broadcast(self, value: Value) -> Value:
        """The chief's value, in all processes."""
        return collectives.object_of(0, value)

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank."""
        return collectives.objects_of_all(value)

    def any_of(self, flag: bool) -> bool:
        """Whether the flag of any process is set."""
        return collectives.summed_numbers([int(flag)]) != [0]

    def barrier(self) -> None:
        """Waits until all processes have come here."""
        collectives.summed_numbers([0])

    def seed(self, seed: int | None) -> int | None:
        """The chief's seed, or one that it draws, so that all processes shuffle in the same order."""
        return self.broadcast(secrets.randbits(63) if seed is None else seed)

    def check_input(self, input_fn: object, source: object, first: Batch | None) -> None:
        """Warns once if all processes read the whole input: if their first batches are equal."""
        own = [0, 0] if first is None else [1, digest(first)]
        of_all = collectives.numbers_of_all(own)
        seems_whole = first is not None and all(each == own for each in of_all)
        seems_whole = seems_whole or shuffles_by_itself(input_fn, source)
        if self.is_chief and not self._has_warned_of_input and seems_whole:
            self._has_warned_of_input = True
            _log.warning(
                "Each of the %d processes seems to read the whole input, so that a step has every row %d times. Let "
                "the input_fn take input_context, and read its part by dataset.shard(input_context."
                "num_input_pipelines, input_context.input_pipeline_id).",
                self.world_size, self.world_size,
            )  # fmt: skip

    def first(self, batch: Batch | None) -> Batch | None:
        """The batch from which the model is made; that of another process if this one has none."""
        has_one = collectives.numbers_of_all([int(batch is not None)])
        if [1] not in has_one:
            return None
        if [0] in has_one:
            owner = has_one.index([1])
            own = batch.first_rows(batch.rows) if batch is not None and owner == self.rank else None
            sent = collectives.object_of(owner, own)
            assert sent is not None
            batch = sent.to(self.device) if batch is None else batch
        assert batch is not None
        self._empty = batch.first_rows(0)
        return batch

    def share(self, modules: Mapping[str, nn.Module]) -> None:
        """Copies the weights and buffers of the chief to all processes.

        Raises:
            ValueError: The processes have made different models.
        """
        tensors = {**_parameters(modules), **_buffers(modules)}
        self._check_alike(modules)
        collectives.copy_from_chief(tensors.values())

    def start(
        self,
        modules: Mapping[str, nn.Module],
        *,
        steps_itself: bool = False,
        comm_hook: Callable[..., Any] | None = None,
        sends_messages: bool = False,
    ) -> None:
        """All processes start with the weights and buffers of the chief.

        Raises:
            ValueError: The processes have made different models, or train them differently.
        """
        self.share(modules)
        self._check_same("train_op", "a function" if steps_itself else "an optimizer")
        self._check_same("RunConfig(ddp_comm_hook)", "None" if comm_hook is None else "a function")
        self._to_come.clear()
        self._is_within_step = False
        self._sends_messages = sends_messages
        self._buffers = Buffers(_buffers(modules).values())
        dense = [] if steps_itself else dense_parameters(modules)
        overlaps = bool(dense) and (comm_hook is not None or pays(dense))
        self._dense = DenseGradients(dense, comm_hook) if overlaps else None
        elsewhere = set(map(id, dense if self._dense else ()))
        every = _parameters(modules).values()
        self._exchange = Exchange(each for each in every if id(each) not in elsewhere)
        if self.is_chief:
            _log.info(
                "Training in %d processes: each step uses the batches of all of them. A process whose "
                "input has ended continues with batches without rows until the inputs of all have ended.",
                self.world_size,
            )

    def in_steps(self, batches: Iterator[Batch], size: int) -> Steps:
        """The batches of this process in steps, of which all processes have the same number."""
        self._check_same("RunConfig(accumulate_steps)", str(size))
        return _EqualSteps(batches, size, self)

    def agree(self, batches: Sequence[Batch], size: int, stop_requested: bool) -> int:
        """Begins a step.

        Args:
            batches: The batches of this process in the step.
            size: The largest number of batches in a step.
            stop_requested: Whether this process requests the end.

        Returns:
            The number of batches of the step; 0 if training ends before it, as no process has a batch, or one requests
            the end.
        """
        rows = [batch.rows for batch in batches]
        missing = [0] * (size - len(rows))
        requests, *counts = collectives.summed_numbers(
            [int(stop_requested), *[1] * len(rows), *missing, *rows, *missing]
        )
        steps = 0 if requests else sum(count > 0 for count in counts[:size])
        self._to_come = deque(list(zip([*rows, *missing], counts[size:], strict=True))[:steps])
        self._is_within_step = False
        self._all_have_batches = all(count == self.world_size for count in counts[:steps])
        return steps

    def empty_batch(self) -> Batch:
        """A batch without rows."""
        assert self._empty is not None
        return self._empty.to(self.device)

    def begin_batch(self) -> None:
        """The forward pass of the next batch begins."""
        if self._is_within_step:
            self._add_up_buffers()
        self._examples, self._examples_of_all = self._to_come.popleft()
        self._is_within_step = True
        self._has_gradients = False

    def forward(self, model_fn: Callable[[], EstimatorSpec]) -> EstimatorSpec:
        """Runs model_fn on a batch."""
        if self._dense is None or not self._takes_part():
            return model_fn()
        return self._dense.forward(model_fn, is_last=not self._to_come)

    def backward(self, loss: Tensor, reduction: str) -> Tensor:
        """Adds the gradients of a batch, by its weight among those of all processes; nothing from one without rows."""
        self._has_gradients = True
        if not self._takes_part():
            return torch.zeros_like(loss)
        weighted = loss * self._weight(reduction)
        if self._dense is None:
            weighted.backward()  # type: ignore[no-untyped-call]
        else:
            self._dense.backward(weighted, is_last=not self._to_come)
        return weighted.detach() if self._examples else torch.zeros_like(loss)

    def add_up(self, loss: Tensor) -> Tensor:
        """Adds up the gradients of a step over all processes, and its loss."""
        if self._dense is not None:
            self._dense.finish()
        self._add_up_buffers()
        return self._exchange.add_up(loss)

    def backward_at_once(self, loss: Tensor, reduction: str) -> Tensor:
        """`backward` and `add_up`, beside gradients that are there already.

        Raises:
            RuntimeError: `train_op` was no function in the first batch.
        """
        if self._dense is not None:
            raise RuntimeError(
                "train_op is a function now, and was an optimizer in the first batch: where several processes train, "
                "gradients of the two are added up at different times. Return the same kind for every batch."
            )
        self._exchange.set_aside()
        return super().backward_at_once(loss, reduction)

    def total(self, loss: Tensor, reduction: str) -> Tensor:
        """The loss over the batches of all processes, for a train_op that is a function."""
        if not self._has_gradients and not self._has_warned_of_backward:
            self._has_warned_of_backward = True
            _log.warning(
                "The function given as train_op did not call torchest.backward(loss): gradients that it computes "
                "otherwise cover one process only, and the copies of the model diverge."
            )
        own = loss.detach() * self._weight(reduction)
        return collectives.summed(own if self._examples else torch.zeros_like(own))

    def merge(self, metrics: Mapping[str, object]) -> dict[str, Any]:
        """Merges the metrics of all processes.

        Raises:
            ValueError: The processes have different metrics.
        """
        merged: dict[str, Any] = {}
        for rank, others in enumerate(collectives.objects_of_all(on_host(metrics))):
            if merged and others and merged.keys() != others.keys():
                raise ValueError(
                    f"Process {rank} has the metrics {sorted(others)} and those before it have {sorted(merged)}: "
                    "all processes must compute the same metrics."
                )
            for name, metric in others.items():
                merged[name] = merged[name].merge(metric) if name in merged else metric
        return merged

    def _add_up_buffers(self) -> None:
        self._buffers.add_up(self._share(), all_have_batches=self._all_have_batches)

    def _takes_part(self) -> bool:
        """Whether this process computes gradients of the batch: if it has rows, or if others wait for its messages."""
        return self._examples > 0 or self._sends_messages

    def _share(self) -> float:
        """The fraction of the step's examples that this process has."""
        return self._examples / max(self._examples_of_all, 1)

    def _weight(self, reduction: str) -> float:
        if reduction not in Reduction.all():
            raise ValueError(
                f"loss_reduction={reduction!r} divides by the weights of one process's batch, which several processes "
                "cannot join to the loss of all: use 'sum' or 'sum_over_batch_size'."
            )
        return 1.0 if reduction == Reduction.SUM and self._examples else self._share()

    def _check_same(self, what: str, own: str) -> None:
        """Raises an error in all processes if they do not have the same, as their messages would differ."""
        of_all = self.gather(own)
        for rank, other in enumerate(of_all):
            if other != of_all[0]:
                raise ValueError(
                    f"{what} is {of_all[0]} in process 0 and {other} in process {rank}: it must be the same in all "
                    "processes."
                )

    def _check_alike(self, modules: Mapping[str, nn.Module]) -> None:
        parameters = {
            f"{made}.{each.name}": each.value
            for made, module in modules.items()
            for each in stored_parameters(module)
        }
        tensors = {**parameters, **_buffers(modules)}
        own = {name: (list(each.shape), str(each.dtype)) for name, each in tensors.items()}
        for rank, others in enumerate(collectives.objects_of_all(own)):
            if list(others.items()) != list(own.items()):
                different = sorted(
                    name for name in {*others, *own} if others.get(name) != own.get(name)
                )
                raise ValueError(
                    f"Process {self.rank} and process {rank} have made different models; they differ in "
                    f"{', '.join(different) or 'the order of parameters'}. Every process must make the same model, "
                    "whatever its data."
                )


class _EqualSteps(Steps):
    """The batches of a process, followed by batches without rows as long as other processes have more."""

    def __init__(self, batches: Iterator[Batch], size: int, strategy: DataParallel) -> None:
        super().__init__(batches, size)
        self._strategy = strategy
        self._next: list[Batch] = []
        self._has_ended = False

    def stopped(self, stop_requested: bool) -> bool:
        """Whether all processes end before the next step."""
        own = [] if stop_requested else self._read()
        count = self._strategy.agree(own, self._size, stop_requested)
        missing = count - len(own)
        self._next = own + [self._strategy.empty_batch() for _ in range(missing)]
        if missing > 0 and not self._has_ended:
            self._has_ended = True
            _log.info(
                "The input of process %d has ended before that of others.", self._strategy.rank
            )
        return count == 0

    def __next__(self) -> list[Batch]:
        return self._next


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
    """Each tensor under the first of its names."""
    by_id = {id(tensor): (name, tensor) for name, tensor in reversed(list(tensors))}
    return dict(reversed(by_id.values()))
