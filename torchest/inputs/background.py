"""Items made ahead in a thread: always, or once measurements say that it is faster."""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import os
import sys
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

T = TypeVar("T")
_EARLY = 3  # items that may take longer than later ones
_HANDING_OVER = 1.5e-3  # seconds that a step loses to another thread of Python
_ENOUGH = 0.1  # seconds gained that start the thread: more than a slow moment of the machine takes
_MOST = 1.0  # seconds gained that are remembered while clocks show that steps would lose as much


def in_background(
    iterable: Iterable[T], buffer_size: int, size_of: Callable[[T], int] | None = None
) -> Generator[T, None, None]:
    """Iterates over the items of an iterable, made ahead in a separate thread.

    The thread starts with the first `next`. It sees the context variables of the caller of this
    function, and it has ended once the iterator is exhausted, closed or garbage. An exception in the
    iterable is raised here, after the items before it.

    Args:
        iterable: What to iterate. The thread also runs the clean-up of a generator.
        buffer_size: How many items may wait, at least 1. One more may be in progress.
        size_of: How many items one item counts for; 1 each by default.

    Returns:
        An iterator with `close()`.

    >>> list(in_background(range(3), buffer_size=2))
    [0, 1, 2]
    """
    return _consume(_Channel(buffer_size, size_of), iterable, contextvars.copy_context())


def in_background_if_faster(
    items: Iterator[T], buffer_size: int, size_of: Callable[[T], int] | None = None
) -> Generator[T, None, None]:
    """Iterates over items made in this thread, and moves to a separate thread once that would have saved time.

    Args:
        items: Made one by one while the caller uses the one before.
        buffer_size: As for `in_background`.
        size_of: As for `in_background`.

    Returns:
        An iterator with `close()`.
    """
    clock = time.perf_counter
    gain = _Gain()
    most = 0.0  # what a thread would have saved if it took nothing from the steps
    for number in itertools.count(1):
        # The clocks of the processor take longer than the making of a small batch: slow items alone are worth them.
        is_slow = most > _ENOUGH
        if is_slow:
            gain.item_begins(number)
        is_early = number <= _EARLY
        began = clock()
        worked = time.thread_time() if is_early else 0.0
        try:
            item = next(items)
        except StopIteration:
            return
        most += clock() - began - _HANDING_OVER
        if (
            is_early
        ):  # which imports and compiles; only what it waits for says something of later items
            most -= time.thread_time() - worked
        most = 0.0 if most < 0 else _MOST if most > _MOST else most
        if is_slow:
            gain.item_ends()
        yield item
        if gain.seconds > _ENOUGH:
            break
    yield from in_background(_with_sleeping_threads(items), buffer_size, size_of)


class _Clocks(NamedTuple):
    """Seconds of wall time, of CPU time of this thread, and of CPU time of the process."""

    wall: float
    thread: float
    process: float

    @classmethod
    def read(cls) -> _Clocks:
        return cls(time.perf_counter(), time.thread_time(), time.process_time())


class _Gain:
    """Estimates how much time a separate thread for the items would save.

    Two threads of Python wait for each other: for the GIL, and for what the other one has in its cache. That takes
    longer than making a small batch. If torch's threads use all cores, as they do on small machines, a step hardly
    progresses while another thread computes, since each operation waits for its slowest thread. So computing ahead
    saves time there only for items that take longer than a step; waiting ahead, for example for a disk, always saves
    time. Quick items offset slow ones, so that a chunk that is read occasionally counts for all batches made of it.

    Attributes:
        seconds: The time that slow items would have saved, minus the time that quick ones since then would have cost.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._cores = _number_of_cores()
        self._number = 0
        self._began = self._ended = _Clocks.read()
        self._steps = 0
        self._busy_cores = self._step_seconds = 0.0  # averages over the last ten steps or so

    def item_begins(self, number: int) -> None:
        """Counts the time since the item before as a step."""
        self._began = _Clocks.read()
        if number == self._number + 1:
            self._count_step(self._ended, self._began)
        else:  # others were not counted in between
            self.seconds = 0.0
            self._steps = 0
        self._number = number

    def item_ends(self) -> None:
        self._ended = _Clocks.read()
        self._count_item(self._began, self._ended)

    def _count_item(self, began: _Clocks, ended: _Clocks) -> None:
        gained = ended.wall - began.wall - _HANDING_OVER
        if not self._steps:  # nothing is known of steps, which may take all cores
            gained -= ended.thread - began.thread
        elif self._busy_cores > self._cores - 0.5:
            gained -= min(ended.thread - began.thread, self._step_seconds)
        self.seconds = max(0.0, self.seconds + gained)

    def _count_step(self, began: _Clocks, ended: _Clocks) -> None:
        self._steps += 1
        seconds = ended.wall - began.wall
        busy_cores = (ended.process - began.process) / max(seconds, 1e-9)
        # all steps weigh alike, however long: one that saves a checkpoint says little of the others
        weight = max(0.1, 1 / self._steps)
        self._busy_cores += weight * (busy_cores - self._busy_cores)
        self._step_seconds += weight * (seconds - self._step_seconds)


def _number_of_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _with_sleeping_threads(items: Iterator[T]) -> Iterator[T]:
    """Iterates over items in a thread in which torch's threads sleep instead of spinning.

    torch's OpenMP library spins while it waits for other threads, as long as the process has no more OpenMP threads
    than cores. It does not count the thread that makes items, so spinning takes the core that this thread needs, and
    steps take several times as long. One computation here gives this thread OpenMP threads of its own, which exceeds
    the number of cores and ends the spinning. (OMP_WAIT_POLICY=PASSIVE, set before torch is imported, does the same.)
    """
    if torch.get_num_threads() > 1:
        torch.zeros(1 << 17).add_(1)
    yield from items


class _Channel(Generic[T]):
    """A queue that ends, and that both sides can close.

    The consumer reports free room through a second queue. Queues are implemented in C and take a fraction of the time
    of a condition, for which the two threads of a training would wait.
    """

    def __init__(self, capacity: int, size_of: Callable[[T], int] | None) -> None:
        self._size_of = size_of
        self._room = max(capacity, 1)  # that the producer knows of
        self._more_room: SimpleQueue[int] = SimpleQueue()
        self._items: SimpleQueue[tuple[T, int] | _End] = SimpleQueue()
        self._end: _End | None = None
        self._closed = False

    def put(self, item: T) -> bool:
        """Waits for room and adds the item; False if the consumer has closed the queue."""
        while self._room < 1 and not self._closed:
            self._room += self._more_room.get()
        if self._closed:
            return False
        size = 1 if self._size_of is None else self._size_of(item)
        self._room -= size
        self._items.put((item, size))
        return True

    def end(self, error: BaseException | None) -> None:
        self._items.put(_End(error))

    def get(self) -> T:
        """The next item; StopIteration, or the producer's exception, at the end."""
        entry = self._end or self._items.get()
        if isinstance(entry, _End):
            self._end = _End(None)
            raise entry.error or StopIteration
        item, size = entry
        self._more_room.put(size)
        return item

    def close(self) -> None:
        self._closed = True
        self._more_room.put(0)
        with contextlib.suppress(Empty):
            while True:
                self._items.get_nowait()


class _End(NamedTuple):
    """Stands behind the last item."""

    error: BaseException | None


def _produce(iterable: Iterable[T], channel: _Channel[T]) -> None:
    error: BaseException | None = None
    iterator = None
    try:
        iterator = iter(iterable)
        for item in iterator:
            if not channel.put(item):
                break
    except BaseException as caught:  # the consumer raises it
        error = caught
    finally:
        close = getattr(iterator, "close", None)
        try:
            if close is not None:
                close()
        except BaseException as caught:
            error = error or caught
        channel.end(error)


def _consume(
    channel: _Channel[T], iterable: Iterable[T], context: contextvars.Context
) -> Generator[T, None, None]:
    # The thread knows the channel only, never this generator, so that dropping the generator ends it.
    thread = threading.Thread(
        target=context.run,
        args=(_produce, iterable, channel),
        name="torchest-background",
        daemon=True,
    )
    del iterable
    thread.start()
    try:
        while True:
            try:
                item = channel.get()
            except StopIteration:
                return
            yield item
            del item
    finally:
        channel.close()
        # A garbage collection may run this in the thread itself; at the interpreter's end daemon
        # threads stand still, and waiting for one would never end.
        if thread is not threading.current_thread() and not sys.is_finalizing():
            thread.join()
