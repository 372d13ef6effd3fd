"""Batches on their way to the model: encoded on the host and moved to its device, ahead of the loop."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from torchest.columns.features import Features
from torchest.columns.ids import Ids
from torchest.inputs.background import in_background
from torchest.inputs.reading import Reading
from torchest.inputs.source import batches as source_batches
from torchest.utils import arrays
from torchest.utils.host_copies import to_device

if TYPE_CHECKING:
    from torchest.columns.features import Usage
    from torchest.utils.copy_stream import Copied

_AHEAD = 2
_UNTIMED = 3  # batches that are made before the clock is looked at
_HANDING_OVER = 1.5e-3  # seconds that a step loses to another thread of Python
_ENOUGH = 0.1  # seconds won that say it would have been worth it: more than what a slow moment of the machine takes
_of_training: ContextVar[Feed | None] = ContextVar("torchest_feed_of_training", default=None)


@contextlib.contextmanager
def training_paused() -> Iterator[None]:
    """Inside, a training that this is called from, by a hook or a listener, is as it was before.

    Its input is not read ahead meanwhile, and the random numbers of numpy and of Python that are drawn
    inside are given back; so the rows of training do not depend on what runs inside. (A user's generator
    may draw from them; so may torch's DataLoader, whose random numbers are given back elsewhere.)
    """
    feed = _of_training.get()
    if feed is None:
        yield
        return
    with feed._source_in_use:
        of_numpy, of_python = np.random.get_state(), random.getstate()
        try:
            yield
        finally:
            np.random.set_state(of_numpy)
            random.setstate(of_python)


class Feed:
    """The batches that an input_fn gives.

    Args:
        source: What the input_fn returned, or a `Reading` of it.
        device: Where numbers go. Strings stay on the host.
    """

    def __init__(self, source: Any, device: torch.device) -> None:
        self._device = device
        self._reading = source if isinstance(source, Reading) else None
        self._source = source.batches() if isinstance(source, Reading) else source_batches(source)
        # torch_xla 2.9 mixes up tensors that come from another thread while a step is compiled
        self._device_ahead = torch.device("cpu") if device.type == "xla" else device
        self._first: tuple[Any, Any] | None = None
        self._ahead: Iterator[tuple[Any, Any]] | None = None
        self._source_in_use = threading.RLock()

    @contextlib.contextmanager
    def of_training(self) -> Iterator[None]:
        """Lets `training_paused` find this feed."""
        token = _of_training.set(self)
        try:
            yield
        finally:
            _of_training.reset(token)

    def first(self) -> tuple[Any, Any] | None:
        """The first batch, which `batches` gives again; None if there is none."""
        if self._first is None:
            for features, labels in self._source:
                self._first = _on(self._device, features, labels)
                break
        return self._first

    def batches(self, count: int | None = None) -> Iterator[tuple[Any, Any]]:
        """All batches, or the first `count`, which is at least 1; the source is not asked for more.

        What the model used of the first batch is made ready for all others in the background.
        """
        first = self.first()
        if first is None:
            return
        yield first
        self._forget(1)
        used = first[0].usage.copy() if isinstance(first[0], Features) else None
        others = itertools.islice(self._source, None if count is None else count - 1)
        self._ahead = self._made_ahead(others, used)
        if self._device_ahead != self._device:
            self._ahead = self._moved(self._ahead)
        for number, batch in enumerate(self._ahead, 2):
            yield batch
            self._forget(number)

    def _forget(self, count: int) -> None:
        """The batch of this number has been used, and the next one is asked for."""
        if self._reading is not None:
            self._reading.forget(count - 1)  # a step may be asked for ahead of the one before it

    def close(self) -> None:
        """Ends what runs in the background."""
        for running in (self._ahead, self._source):
            if isinstance(running, Generator):
                running.close()

    def _read(self, batches: Iterator[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        while True:
            with self._source_in_use:
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _made_ahead(
        self, batches: Iterator[tuple[Any, Any]], used: Usage | None
    ) -> Generator[tuple[Any, Any], None, None]:
        if self._device.type == "cuda":
            return self._copied_ahead(batches, used)
        return _ahead_if_worth_it(self._ready(*batch, used) for batch in self._read(batches))

    def _copied_ahead(
        self, batches: Iterator[tuple[Any, Any]], used: Usage | None
    ) -> Generator[tuple[Any, Any], None, None]:
        from torchest.utils.copy_stream import CopyStream, tensors_of

        stream = CopyStream(self._device)

        def copies() -> Iterator[tuple[Any, Copied]]:
            for given in self._read(batches):
                with stream.copying() as copied:
                    batch = self._ready(*given, used)
                yield batch, copied

        with contextlib.closing(in_background(copies(), _AHEAD)) as ahead:
            for (features, labels), copied in ahead:
                placed = features.placed() if isinstance(features, Features) else features
                copied.use(tensors_of((placed, labels)))
                yield features, labels

    def _ready(self, features: Any, labels: Any, used: Usage | None) -> tuple[Any, Any]:
        batch = _on(self._device_ahead, features, labels)
        if used is not None and isinstance(batch[0], Features):
            batch[0].prepare(used)
        return batch

    def _moved(self, ahead: Generator[tuple[Any, Any], None, None]) -> Iterator[tuple[Any, Any]]:
        with contextlib.closing(ahead):
            for batch in ahead:
                yield _on(self._device, *batch)


def _ahead_if_worth_it(batches: Iterator[Any]) -> Generator[Any, None, None]:
    """Batches that are made in this thread as long as no more would be won, and ahead in another one otherwise."""
    gain = _Gain()
    asked = _Clocks.now()
    for number in itertools.count(1):
        batch = next(batches, None)
        if batch is None:
            return
        given = _Clocks.now()
        if number > _UNTIMED:
            gain.made_a_batch(asked, given)
        yield batch
        if gain.seconds > _ENOUGH:
            break
        asked = _Clocks.now()
        if number > 1:  # the first one loads and makes what the others have
            gain.took_a_step(given, asked)
    yield from in_background(_politely(batches), _AHEAD)


class _Clocks(NamedTuple):
    """Seconds that have passed, and those that this thread and all threads of the process have run."""

    passed: float
    of_thread: float
    of_process: float

    @classmethod
    def now(cls) -> _Clocks:
        return cls(time.perf_counter(), time.thread_time(), time.process_time())


class _Gain:
    """What would be won if batches were made in another thread.

    Two threads of Python wait for each other: for the interpreter's lock, and for what one has in its cache. That takes
    longer than to make a small batch. And where the threads of torch take all cores, as they do of a few, a step gets
    hardly ahead while another thread computes: they share out each operation, and then wait for the one whose
    core is missing. So what is computed wins nothing there, but for what takes longer than a step; what a batch
    waits for, a disk say, can be had meanwhile. Quick batches make up for slow ones, so that a chunk that is read
    now and then counts for all batches that are made of it.

    Attributes:
        seconds: What batches would have won, less what others would have lost since then.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._cores = _number_of_cores()
        self._steps = 0
        # of a step, on average of the last ten or so: the cores that it takes, and its seconds
        self._taken = self._step = 0.0

    def made_a_batch(self, began: _Clocks, ended: _Clocks) -> None:
        """Counts a batch."""
        won = ended.passed - began.passed - _HANDING_OVER
        if self._taken > self._cores - 0.5:
            won -= min(ended.of_thread - began.of_thread, self._step)
        self.seconds = max(0.0, self.seconds + won)

    def took_a_step(self, began: _Clocks, ended: _Clocks) -> None:
        """Counts what went on until the next batch was asked for."""
        self._steps += 1
        passed = ended.passed - began.passed
        taken = (ended.of_process - began.of_process) / max(passed, 1e-9)
        # step by step, however long: the moment in which a checkpoint is saved says little of the others
        weight = max(0.1, 1 / self._steps)
        self._taken += weight * (taken - self._taken)
        self._step += weight * (passed - self._step)


def _number_of_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _politely(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches, made in a thread in which torch's threads sleep rather than wait busily."""
    _wait_politely()
    yield from batches


def _on(device: torch.device, features: Any, labels: Any) -> tuple[Any, Any]:
    placed: Any
    if isinstance(features, Features):
        placed = features.to(device)
    elif isinstance(features, Mapping):
        placed = Features(features, device=device)
    else:
        placed = _move("features", features, device)
    if type(labels) is list and len(labels) == 1:
        _refuse_comparison(placed, labels[0])
    return placed, _move("labels", labels, device)


def _refuse_comparison(features: Any, label: Any) -> None:
    hint = arrays.comparison_hint(label)
    if hint and isinstance(features, Features) and features.batch_size > 1:
        raise ValueError(
            f"labels are [{label}] for {features.batch_size} rows: give one for each row{hint}."
        )


def _move(name: str, value: Any, device: torch.device) -> Any:
    """Numbers as tensors on the device, strings and ragged lists as they are, in the same structure."""
    if value is None:
        return None
    if isinstance(value, Ids):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {key: _move(key, inner, device) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_move(f"{name}[{i}]", inner, device) for i, inner in enumerate(value))
    array = arrays.to_host(value, name)
    if arrays.is_textual(array) or arrays.is_ragged(array):
        return array
    return to_device(arrays.to_tensor(array, name), device)


def _wait_politely() -> None:
    """Has torch's threads sleep rather than wait busily; called by the thread that makes batches, when it begins.

    The OpenMP library of torch waits busily for the other threads of a computation, as long as the process has no
    more OpenMP threads than there are cores. It does not count the thread that makes batches, and so a core is
    held that this one needs: steps take several times as long. One computation in this thread gives it threads of its
    own, and then there are more than cores. (OMP_WAIT_POLICY=PASSIVE does the same, before torch is imported.)
    """
    if torch.get_num_threads() > 1:
        torch.zeros(1 << 17).add_(1)
