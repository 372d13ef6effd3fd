"""Copies to a CUDA device that run beside what it computes.

stream = CopyStream(device)
with stream.copying() as copied:                # in the thread that makes batches
    batch = make_batch(device)
copied.use(tensors_of(batch))                   # in the thread that computes, before it does
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


class CopyStream:
    """A stream of a CUDA device that copies go to.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def copying(self) -> Iterator[Copied]:
        """What is copied and computed inside goes to the stream, in this thread."""
        copied = Copied(self._device)
        with torch.cuda.stream(self._stream):
            yield copied
            copied.event = self._stream.record_event()


class Copied:
    """Copies that are under way.

    Attributes:
        event: When they are done; None before all of them were asked for.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.event: torch.cuda.Event | None = None

    def use(self, tensors: Iterable[Tensor]) -> None:
        """Has the current stream of this thread wait for the copies, without waiting itself.

        Args:
            tensors: What was copied: their memory is not given to others before this stream is done with it.
        """
        assert self.event is not None
        current = torch.cuda.current_stream(self._device)
        current.wait_event(self.event)
        for tensor in tensors:
            if tensor.device.type == "cuda":
                tensor.record_stream(current)


def tensors_of(value: Any) -> Iterator[Tensor]:
    """The tensors in dataclasses, mappings, lists and tuples of any depth."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tensors_of(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from tensors_of(inner)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from tensors_of(getattr(value, field.name))
