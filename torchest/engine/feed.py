"""The feed of a model: reads batches, encodes them on the host and moves them to the device, ahead of the loop."""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
import threading
from collections.abc import Generator, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np
import torch

from torchest.columns.features import Features
from torchest.inputs.background import in_background, in_background_if_faster
from torchest.inputs.reading import Reading
from torchest.inputs.source import batches as source_batches

if TYPE_CHECKING:
    from torchest.columns.features import Usage
    from torchest.inputs.batch import Batch
    from torchest.utils.copy_stream import Copied

_AHEAD = 2  # batches
_of_training: ContextVar[Feed | None] = ContextVar("torchest_feed_of_training", default=None)


@contextlib.contextmanager
def training_paused() -> Iterator[None]:
    """Pauses the feed of the running training, if any, and restores the random state afterwards.

    Inside, the input is not read ahead. At the end, the random states of NumPy and Python are restored, so that the
    rows of training do not depend on what a hook or a listener runs inside. (A user's generator may use these states.
    The random state of torch, which a DataLoader uses, is restored elsewhere.)
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
    """The batches of an input_fn.

    Args:
        source: The result of the input_fn, or a `Reading` of it.
        device: The device of numbers. Strings stay on the host.
    """

    def __init__(self, source: object, device: torch.device) -> None:
        self._device = device
        self._reading = source if isinstance(source, Reading) else None
        self._source = source.batches() if isinstance(source, Reading) else source_batches(source)
        # torch_xla 2.9 mixes up tensors that come from another thread while a step is compiled
        self._device_ahead = torch.device("cpu") if device.type == "xla" else device
        self._first: Batch | None = None
        self._ahead: Iterator[Batch] | None = None
        self._source_in_use = threading.RLock()

    @contextlib.contextmanager
    def of_training(self) -> Iterator[None]:
        """Lets `training_paused` stop this feed."""
        token = _of_training.set(self)
        try:
            yield
        finally:
            _of_training.reset(token)

    def first(self) -> Batch | None:
        """The first batch, which `batches` yields again; None if there is none."""
        if self._first is None:
            batch = next(self._source, None)
            self._first = None if batch is None else batch.to(self._device)
        return self._first

    def batches(self, count: int | None = None, in_step: int = 1) -> Iterator[Batch]:
        """The batches, which a background thread prepares: it encodes the features that the model used in the first.

        Args:
            count: The largest number of batches, at least 1. No more are read from the source. None: all.
            in_step: The number of batches in a step, which may be requested before the step before has ended.
        """
        first = self.first()
        if first is None:
            return
        yield first
        self._forget(1 - in_step)
        used = first.features.usage.copy() if isinstance(first.features, Features) else None
        others = self._read(None if count is None else count - 1)
        if self._device.type == "cuda":
            self._ahead = self._copied_ahead(others, used)
        else:
            ready = map(functools.partial(self._prepared, used=used), others)
            self._ahead = in_background_if_faster(ready, _AHEAD)
        for number, batch in enumerate(self._ahead, 2):
            yield batch if self._device_ahead == self._device else batch.to(self._device)
            self._forget(number - in_step)

    def close(self) -> None:
        """Stops the background thread."""
        for running in (self._ahead, self._source):
            if isinstance(running, Generator):
                running.close()

    def _forget(self, count: int) -> None:
        if self._reading is not None:
            self._reading.forget(max(count, 0))

    def _read(self, count: int | None) -> Iterator[Batch]:
        batches = itertools.islice(self._source, count)
        while True:
            with self._source_in_use:
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _prepared(self, batch: Batch, used: Usage | None) -> Batch:
        batch = batch.to(self._device_ahead)
        if used is not None and isinstance(batch.features, Features):
            batch.features.prepare(used)
        return batch

    def _copied_ahead(
        self, batches: Iterator[Batch], used: Usage | None
    ) -> Generator[Batch, None, None]:
        from torchest.utils.copy_stream import CopyStream, tensors_of

        stream = CopyStream(self._device)

        def copies() -> Iterator[tuple[Batch, Copied]]:
            for batch in batches:
                with stream.copying() as copied:
                    prepared = self._prepared(batch, used)
                yield prepared, copied

        with contextlib.closing(in_background(copies(), _AHEAD)) as ahead:
            for batch, copied in ahead:
                features = batch.features
                placed = features.placed() if isinstance(features, Features) else features
                copied.use(tensors_of((placed, batch.labels)))
                yield batch
