"""Work ahead in a thread: `in_background` makes the next items while the caller uses the last one."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

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
    """A queue with an end, which both sides can close."""

    def __init__(self, capacity: int, size_of: Callable[[T], int] | None) -> None:
        self._capacity = max(capacity, 1)
        self._size_of = size_of or (lambda _: 1)
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._waiting = 0
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Waits for room; False once nobody will take the item any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting < self._capacity)
            if self._closed:
                return False
            self._items.append(item)
            self._waiting += self._size_of(item)
            self._changed.notify_all()
            return True

    def end(self, error: BaseException | None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def get(self) -> T:
        """The next item; StopIteration, or the producer's exception, at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended)
            if self._items:
                item = self._items.popleft()
                self._waiting -= self._size_of(item)
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        raise error or StopIteration

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


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
