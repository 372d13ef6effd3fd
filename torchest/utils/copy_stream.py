"""Copies to a CUDA device that run in parallel with its computations.

stream = CopyStream(device)
with stream.copying() as copied:                # in the thread that makes batches
    batch = make_batch(device)
copied.use(tensors_of(batch))                   # in the thread that computes, before it does
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.utils.nested import named_leaves

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class CopyStream:
    """A CUDA stream for copies.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def copying(self) -> Iterator[Copied]:
        """A context in which copies and computations of this thread use the stream."""
        copied = Copied(self._device)
        with torch.cuda.stream(self._stream):
            yield copied
            copied.event = self._stream.record_event()


class Copied:
    """Copies that are under way.

    Attributes:
        event: Marks the end of the copies; None until all of them were requested.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.event: torch.cuda.Event | None = None

    def use(self, tensors: Iterable[Tensor]) -> None:
        """Makes the current stream of this thread wait for the copies. The thread itself does not wait.

        Args:
            tensors: The copied tensors. Their memory is not reused before this stream has finished with it.
        """
        assert self.event is not None
        current = torch.cuda.current_stream(self._device)
        current.wait_event(self.event)
        for tensor in tensors:
            if tensor.device.type == "cuda":
                tensor.record_stream(current)


def tensors_of(value: object) -> Iterator[Tensor]:
    """The tensors in dataclasses, mappings, lists and tuples of any depth."""
    for _, leaf in named_leaves(value):
        if isinstance(leaf, Tensor):
            yield leaf
        elif dataclasses.is_dataclass(leaf):
            yield from tensors_of([getattr(leaf, field.name) for field in dataclasses.fields(leaf)])
