"""Work ahead in a thread: `in_background` makes the next items while the caller uses the last one."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

T = TypeVar("T")


def in_background(
    iterable: Iterable[T], buffer_size: int, size_of: Callable[[T], int] | None = None
) -> Generator[T, None, None]:
    """The items of the iterable, made ahead in a thread of its own.

    The thread starts with the first `next`. It sees the context variables of the caller of this
    function, and it has ended once the iterator is exhausted, closed or garbage. An exception in the
    iterable is raised here, after the items before it.

    Args:
        iterable: What to iterate. If it is a generator, its clean-up too runs in the thread.
        buffer_size: How many items may wait, at least 1. One more is in the making.
        size_of: How many items one item counts for; default 1 each.

    Returns:
        An iterator with `close()`.

    >>> list(in_background(range(3), buffer_size=2))
    [0, 1, 2]
    """
    return _consume(_Channel(buffer_size, size_of), iterable, contextvars.copy_context())


class _Channel(Generic[T]):
    """A queue with an end, which both sides can close.

    The consumer says what room it made in a queue of its own: queues, which are of C, take a fraction of the time of
    a condition, in which the two threads of a training would wait for each other.
    """

    def __init__(self, capacity: int, size_of: Callable[[T], int] | None) -> None:
        self._size_of = size_of
        self._room = max(capacity, 1)  # that the producer knows of
        self._more_room: SimpleQueue[int] = SimpleQueue()
        self._items: SimpleQueue[tuple[T, int] | _End] = SimpleQueue()
        self._end: _End | None = None
        self._closed = False

    def put(self, item: T) -> bool:
        """Waits for room; False once nobody will take the item any more."""
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
        found = self._end or self._items.get()
        if isinstance(found, _End):
            self._end = _End(None)
            raise found.error or StopIteration
        item, size = found
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
