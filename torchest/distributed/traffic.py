"""Counts what a step costs besides its arithmetic: messages between processes, and waits for the device.

>>> import torch
>>> with counted() as traffic:
...     _ = sent(torch.zeros(3))
>>> traffic
Traffic(messages=1, bytes=12)
>>> with DeviceWaits() as waits:
...     _ = torch.ones(2).nonzero()
>>> waits.places.total()
1
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

    from torch import Tensor

_counters: list[Traffic] = []


@dataclass
class Traffic:
    """The messages of this process, in all of its threads.

    Attributes:
        messages: Their number. Messages of objects, which begin and end a run, are left out.
        bytes: The bytes that this process put into them.
    """

    messages: int = 0
    bytes: int = 0


@contextlib.contextmanager
def counted() -> Iterator[Traffic]:
    """A context in which messages are counted."""
    traffic = Traffic()
    _counters.append(traffic)
    try:
        yield traffic
    finally:
        _counters.remove(traffic)


def sent(message: Tensor) -> Tensor:
    """Counts a message, and returns it."""
    for traffic in _counters:
        traffic.messages += 1
        traffic.bytes += message.nbytes
    return message


class DeviceWaits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations that wait for a device, as what the host does next depends on their results.

    It sees operations, not devices: on a CPU it says what would wait if all tensors were on a GPU. It sees no copies to
    the host.

    Attributes:
        places: How often each operation was called, with the function outside of torch that called it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.places: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func.overloadpacket in _WAITING or _selects_by_mask(func, args):
            self.places[f"{func} in {_caller()}"] += 1
        return func(*args, **(kwargs or {}))


def _caller() -> str:
    """The innermost function outside of torch and this module."""
    frame = sys._getframe(2)
    while frame.f_back and (_module(frame) == "torch" or frame.f_code.co_name in _NAMELESS):
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_name}"


def _module(frame: FrameType) -> str:
    name: str = frame.f_globals["__name__"]
    return name.partition(".")[0]


_NAMELESS = ("<listcomp>", "<genexpr>", "<lambda>", "<dictcomp>", "<setcomp>")
_aten = torch.ops.aten
_WAITING = {
    _aten._local_scalar_dense, _aten.nonzero, _aten.masked_select, _aten._unique2, _aten.unique_dim,
    _aten.unique_consecutive, _aten.equal, _aten.is_nonzero, _aten.bincount,
}  # fmt: skip


def _selects_by_mask(func: Any, args: Sequence[Any]) -> bool:
    if func.overloadpacket not in (_aten.index, _aten.index_put, _aten.index_put_):
        return False
    return any(each is not None and each.dtype in (torch.bool, torch.uint8) for each in args[1])
