"""The stages of a pipeline: each reads chunks from the previous stage and yields chunks.

`chunks(epoch, skip)` starts anew each time. `epoch` identifies the pass by one number for every `repeat` after the
stage; random numbers depend only on the seed of the stage and on the epoch. `skip` leaves out the first elements,
without making them if possible.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import itertools
import math
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from torchest.inputs import seeds
from torchest.inputs.background import in_background, in_background_if_faster
from torchest.inputs.chunks import (
    Chunk,
    Elements,
    Rows,
    blocks,
    concatenate,
    drop,
    share_columns,
)
from torchest.inputs.structure import Structure, read_only
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Epoch: TypeAlias = tuple[int, ...]
JSON: TypeAlias = Any  # whatever json.dumps takes

_LISTED = 100  # file names that a description lists
_PREDICATE_ROWS = 256  # rows that a filter reads before it gives those it keeps


class Varies(enum.IntEnum):
    """How two passes over a stage differ. Each kind includes those before it."""

    NOTHING = 0
    ORDER = 1
    ELEMENTS = 2
    NUMBER = 3


class Stage(ABC):
    """One step of a pipeline."""

    @property
    def upstreams(self) -> tuple[Stage, ...]:
        """The stages that it reads: none, for a source."""
        return ()

    def with_upstreams(self, upstreams: tuple[Stage, ...]) -> Stage:  # noqa: ARG002
        """The same stage, reading others."""
        return self

    @abstractmethod
    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """The elements of one pass after the first `skip`, in nonempty chunks."""

    @abstractmethod
    def cardinality(self) -> int | float | None:
        """The number of elements; math.inf if endless, None if unknown."""

    def varies(self) -> Varies:
        """How its passes differ, as far as known; by default as those of what it reads."""
        return max((each.varies() for each in self.upstreams), default=Varies.NOTHING)

    def description(self) -> dict[str, JSON]:
        """The settings that the elements depend on, except for seeds, functions and other stages."""
        fields = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        values = {name: getattr(self, name) for name in fields}
        plain = (bool, int, str, type(None))
        return {name: value for name, value in values.items() if isinstance(value, plain)}


@dataclasses.dataclass(frozen=True)
class Table(Stage):
    """Rows in memory."""

    rows: Rows

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:  # noqa: ARG002
        """Blocks of the rows, as views."""
        return blocks(self.rows.slice(skip, len(self.rows)) if skip else self.rows)

    def cardinality(self) -> int:
        """The number of rows."""
        return len(self.rows)

    def description(self) -> dict[str, JSON]:
        """The number of rows and the names of the columns."""
        return {"rows": len(self.rows), "columns": self.rows.names()}


@dataclasses.dataclass(frozen=True)
class FileNames(Table):
    """The paths of files; in another folder they may have the same names."""

    def description(self) -> dict[str, JSON]:
        """The names without the folders."""
        names = [os.path.basename(path) for path in self.rows.elements()]
        digest = hashlib.sha256(repr(names).encode()).hexdigest()
        return {"files": names if len(names) <= _LISTED else [f"{len(names)} files", digest]}


@dataclasses.dataclass(frozen=True)
class One(Stage):
    """A single element."""

    element: Structure

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:  # noqa: ARG002
        """The element."""
        if skip == 0:
            yield Elements([self.element])

    def cardinality(self) -> int:
        """One."""
        return 1


@dataclasses.dataclass(frozen=True)
class Generated(Stage):
    """The elements of the iterable that a function returns."""

    function: Callable[..., object]
    arguments: tuple[object, ...]
    converted: Callable[[Structure], Structure] | None

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:  # noqa: ARG002
        """One element at a time, as its cost is unknown."""
        elements = self.function(*self.arguments)
        if not isinstance(elements, Iterable):
            raise TypeError(
                f"generator={shown(self.function)} returned {shown(elements)}, but must return an iterable."
            )
        for element in itertools.islice(elements, skip, None):
            yield Elements([element if self.converted is None else self.converted(element)])

    def cardinality(self) -> None:
        """Unknown."""
        return

    def varies(self) -> Varies:
        """In any way, for all that is known."""
        return Varies.NUMBER


@dataclasses.dataclass(frozen=True)
class Through(Stage):
    """A stage after another one, by default with the same number of elements."""

    upstream: Stage

    @property
    def upstreams(self) -> tuple[Stage, ...]:
        """The one before."""
        return (self.upstream,)

    def with_upstreams(self, upstreams: tuple[Stage, ...]) -> Stage:
        """The same stage after another one."""
        return dataclasses.replace(self, upstream=upstreams[0])

    def cardinality(self) -> int | float | None:
        """As many as upstream."""
        return self.upstream.cardinality()


class Selecting(Through):
    """A stage that chooses elements by their place: in passes of another order, others."""

    def varies(self) -> Varies:
        """In the elements, if upstream varies in the order."""
        above = self.upstream.varies()
        return max(above, Varies.ELEMENTS) if above else above


class Deciding(Through):
    """A stage that makes any number of elements of each."""

    def cardinality(self) -> float | None:
        """Unknown, but endless stays endless."""
        return math.inf if self.upstream.cardinality() == math.inf else None

    def varies(self) -> Varies:
        """In the number, if upstream varies in the elements."""
        above = self.upstream.varies()
        return above if above < Varies.ELEMENTS else Varies.NUMBER


@dataclasses.dataclass(frozen=True)
class Map(Through):
    """A user's function on every element."""

    function: Callable[..., Structure]

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """One element at a time; the function is not called for skipped elements."""
        for chunk in self.upstream.chunks(epoch, skip):
            for element in chunk.elements():
                yield Elements([call(self.function, element)])


@dataclasses.dataclass(frozen=True)
class Filter(Deciding):
    """The elements for which a user's predicate is true."""

    predicate: Callable[..., object]

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """The kept elements of a few upstream elements at a time."""
        return drop(self._kept(epoch), skip)

    def _kept(self, epoch: Epoch) -> Iterator[Chunk]:
        for chunk in self.upstream.chunks(epoch, 0):
            for start in range(0, len(chunk), _PREDICATE_ROWS):
                part = chunk.slice(start, start + _PREDICATE_ROWS)
                keep = [bool(call(self.predicate, element)) for element in part.elements()]
                kept = part.take(np.flatnonzero(keep))
                if len(kept):
                    yield kept


@dataclasses.dataclass(frozen=True)
class Shuffle(Through):
    """Elements drawn uniformly from a buffer, which is refilled from upstream."""

    buffer_size: int
    entropy: tuple[int, ...]
    every_epoch: bool

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """The shuffled elements; their order does not depend on the size of upstream's chunks."""
        random = seeds.generator(self.entropy, epoch if self.every_epoch else ())
        chunks = self.upstream.chunks(epoch, 0)
        first = next(chunks, None)
        if first is None:
            return iter(())
        shuffled: Any = _shuffled_rows if isinstance(first, Rows) else _shuffled_elements
        return drop(shuffled(itertools.chain([first], chunks), self.buffer_size, random), skip)

    def varies(self) -> Varies:
        """In the order, if not in more."""
        return max(self.upstream.varies(), Varies.ORDER if self.every_epoch else Varies.NOTHING)


class Counted:
    """The number of elements of every pass; None until one has been counted, and if passes differ in it."""

    def __init__(self, number: int | None = None) -> None:
        self.number = number


@dataclasses.dataclass(frozen=True)
class Repeat(Through):
    """Several passes; endless if `count` is None."""

    count: int | None
    each: Counted = dataclasses.field(default_factory=Counted, compare=False)

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Pass after pass."""
        each = self.length_of_each()
        if isinstance(each, int) and each > 0:
            return self.passes(epoch, *divmod(skip, each))
        return drop(self.passes(epoch, 0, 0), skip)

    def cardinality(self) -> int | float | None:
        """The product, where 0 times endless is 0."""
        each = self.upstream.cardinality()
        if self.count is None:
            return 0 if each == 0 else math.inf
        if self.count == 0:
            return 0
        return None if each is None else each * self.count

    def length_of_each(self) -> int | float | None:
        """The number of elements of every pass; None if it is unknown."""
        each = self.upstream.cardinality()
        return self.each.number if each is None else each

    def passes(self, epoch: Epoch, first: int, skip: int) -> Iterator[Chunk]:
        """The passes from number `first` on, without the first elements; a pass without elements is the last."""
        for index in itertools.count(first):
            if self.count is not None and index >= self.count:
                return
            number = 0
            for chunk in self.upstream.chunks((*epoch, index), skip):
                number += len(chunk)
                yield chunk
            if not number and not skip:
                return
            is_news = number and number + skip != self.each.number  # a look upstream takes longer
            if is_news and self.upstream.varies() < Varies.NUMBER:
                self.each.number = number + skip
            skip = 0


@dataclasses.dataclass(frozen=True)
class Batch(Selecting):
    """Elements put together, `size` at a time."""

    size: int
    drop_remainder: bool

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """A few batches at a time, sliced from upstream's chunks."""
        waiting: list[Chunk] = []
        number = 0
        for chunk in self.upstream.chunks(epoch, skip * self.size):
            waiting.append(chunk)
            number += len(chunk)
            if number >= self.size:
                for whole in self._whole(waiting, number):
                    yield from self.put_together(whole, self.size)
                number %= self.size
                waiting = [chunk.slice(len(chunk) - number, len(chunk))] if number else []
        if waiting and not self.drop_remainder:
            yield from self.put_together(concatenate(waiting), number)

    def put_together(self, chunk: Chunk, size: int) -> Iterator[Elements]:
        """Batches of a number of elements that is a multiple of the size."""
        return chunk.batches(size)

    def _whole(self, waiting: list[Chunk], number: int) -> list[Chunk]:
        """The elements of all whole batches among `number` elements: in one chunk, or the first batch apart."""
        rest = number % self.size
        if len(waiting) == 1 or share_columns(waiting):
            return [concatenate(waiting).slice(0, number - rest)]
        last = waiting[-1]
        missing = self.size - (number - len(last))
        first = concatenate([*waiting[:-1], last.slice(0, missing)])
        return [first, last.slice(missing, len(last) - rest)]

    def cardinality(self) -> int | float | None:
        """The cardinality of upstream divided by the size, rounded down if the remainder is dropped, else up."""
        rows = self.upstream.cardinality()
        if rows is None or rows == math.inf:
            return rows
        return int(rows // self.size if self.drop_remainder else -(-rows // self.size))


@dataclasses.dataclass(frozen=True)
class Unbatch(Deciding):
    """The rows of batches."""

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """The rows of each batch as one chunk."""
        rows = (part for chunk in self.upstream.chunks(epoch, 0) for part in chunk.unbatched())
        return drop((part for part in rows if len(part)), skip)


@dataclasses.dataclass(frozen=True)
class Take(Selecting):
    """The first elements."""

    count: int

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Upstream's chunks; reads no more of them than needed."""
        left = self.count - skip
        if left <= 0:
            return
        for chunk in self.upstream.chunks(epoch, skip):
            yield chunk.slice(0, left) if left < len(chunk) else chunk
            left -= len(chunk)
            if left <= 0:
                return

    def cardinality(self) -> int | float | None:
        """The smaller number."""
        each = self.upstream.cardinality()
        return None if each is None else min(each, self.count)


@dataclasses.dataclass(frozen=True)
class Skip(Selecting):
    """All but the first elements."""

    count: int

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Upstream's chunks; skipped elements are made only if necessary."""
        return self.upstream.chunks(epoch, skip + self.count)

    def cardinality(self) -> int | float | None:
        """Upstream's less `count`."""
        each = self.upstream.cardinality()
        return None if each is None else max(each - self.count, 0)


@dataclasses.dataclass(frozen=True)
class Shard(Selecting):
    """The elements index, index + shards, index + 2·shards and so on."""

    shards: int
    index: int

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """One of `shards` elements."""
        first = self.index
        for chunk in self.upstream.chunks(epoch, skip * self.shards):
            if first < len(chunk):
                yield chunk.take(np.arange(first, len(chunk), self.shards))
            first = (first - len(chunk)) % self.shards if first < len(chunk) else first - len(chunk)

    def description(self) -> dict[str, JSON]:
        """The number of shards; the index differs between processes."""
        return {"shards": self.shards}

    def cardinality(self) -> int | float | None:
        """The cardinality of upstream divided by the number of shards; the first shards get the remainder."""
        each = self.upstream.cardinality()
        if each is None or each == math.inf:
            return each
        return max(0, -(-(int(each) - self.index) // self.shards))


class Stored:
    """The content of a cache: nothing until one pass is complete."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chunk: Chunk | None = None
        self._complete = False

    def get(self) -> tuple[bool, Chunk | None]:
        """Whether a pass is complete, and its elements (None if it has none)."""
        with self._lock:
            return self._complete, self._chunk

    def put(self, chunks: list[Chunk]) -> None:
        """Keeps a complete pass, unless another one has ended before."""
        joined = concatenate(chunks) if chunks else None
        with self._lock:
            if not self._complete:
                self._complete, self._chunk = True, joined


@dataclasses.dataclass(frozen=True)
class Cache(Through):
    """The elements of the first complete pass, in memory, for all later passes."""

    stored: Stored = dataclasses.field(default_factory=Stored, compare=False)

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """The elements from memory; in the first pass from upstream, while they are copied."""
        complete, chunk = self.stored.get()
        if not complete:
            return drop(self._first_pass(epoch), skip)
        return iter(()) if chunk is None else blocks(chunk.slice(skip, len(chunk)))

    def cardinality(self) -> int | float | None:
        """Known after the first pass at the latest."""
        complete, chunk = self.stored.get()
        if not complete:
            return self.upstream.cardinality()
        return 0 if chunk is None else len(chunk)

    def varies(self) -> Varies:
        """In nothing: all passes are copies of the first one."""
        return Varies.NOTHING

    def _first_pass(self, epoch: Epoch) -> Iterator[Chunk]:
        seen: list[Chunk] = []
        # Whichever pass is complete first: all give the same elements in the same order.
        for chunk in self.upstream.chunks((0,) * len(epoch), 0):
            # Later passes give the same elements again, so that nothing may write to them.
            is_rows = isinstance(chunk, Rows)
            seen.append(chunk if is_rows else Elements(list(map(read_only, chunk.elements()))))
            yield seen[-1]
        self.stored.put(seen)


@dataclasses.dataclass(frozen=True)
class Prefetch(Through):
    """The elements of upstream, made ahead in a thread if that is faster.

    A user's iterable is always read in a thread: it may have a connection to a database, which must stay in one.
    """

    buffer_size: int

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """As upstream."""
        is_users = any(isinstance(each, Generated) for each in all_stages(self))
        ahead = in_background if is_users else in_background_if_faster
        return ahead(self.upstream.chunks(epoch, skip), self.buffer_size, len)


def all_stages(stage: Stage) -> list[Stage]:
    """The stage and all before it, the last first."""
    return [stage, *(each for source in reversed(stage.upstreams) for each in all_stages(source))]


def cached(stage: Stage) -> Stage:
    """Adds a cache after the stage; for an endless stage, before the stages that make it endless.

    The first pass of an endless stage never ends, so a cache after it would fill up and never be used. The cache goes
    before the endless repeat, and before a shuffle there, so that each pass still has a different order: the elements
    are the same as without a cache.
    """
    if stage.cardinality() != math.inf:
        return Cache(stage)
    return stage.with_upstreams(
        tuple(
            cached(each) if each.cardinality() == math.inf else _below_shuffles(each)
            for each in stage.upstreams
        )
    )


def _below_shuffles(stage: Stage) -> Stage:
    if isinstance(stage, Shuffle):
        return dataclasses.replace(stage, upstream=_below_shuffles(stage.upstream))
    return Cache(stage)


def call(function: Callable[..., Structure], element: Structure) -> Structure:
    """The result of a function on an element, whose parts are its arguments if it is a tuple."""
    return function(*element) if isinstance(element, tuple) else function(element)


def _shuffled_rows(
    chunks: Iterator[Chunk], buffer_size: int, random: np.random.Generator
) -> Iterator[Chunk]:
    """A buffer shuffle, many draws at a time.

    The first `buffer_size` elements of the pool are the slots of the buffer, and the others wait. Draw t takes
    the element in a random slot and puts waiting element t there.
    """
    pool: list[Chunk] = []
    pooled = 0
    for chunk in chunks:
        pool.append(chunk)
        pooled += len(chunk)
        # As many rows wait as there are slots, so that the buffer is copied once per buffer_size draws.
        if pooled >= 2 * buffer_size:
            drawn, left = _exchange(concatenate(pool), buffer_size, random)
            yield from blocks(drawn)
            pool, pooled = [left], len(left)
    if not pool:
        return
    last = concatenate(pool)
    if pooled > buffer_size:
        drawn, last = _exchange(last, buffer_size, random)
        yield from blocks(drawn)
    yield from blocks(last.take(random.permutation(len(last))))


def _shuffled_elements(
    chunks: Iterator[Chunk], buffer_size: int, random: np.random.Generator
) -> Iterator[Chunk]:
    """The same for whole elements, which may be large: one leaves the full buffer for each that comes."""
    buffer: list[Structure] = []
    for chunk in chunks:
        missing = buffer_size - len(buffer)
        elements = list(chunk.elements())
        buffer += elements[:missing]
        elements = elements[missing:] if missing else elements
        slots = (random.random(len(elements)) * buffer_size).astype(np.int64).tolist()
        for place, slot in enumerate(slots):
            elements[place], buffer[slot] = buffer[slot], elements[place]
        if elements:
            yield Elements(elements)
    yield from Elements(buffer).take(random.permutation(len(buffer))).few_at_a_time()


def _exchange(pool: Chunk, size: int, random: np.random.Generator) -> tuple[Chunk, Chunk]:
    """Draws as many elements as wait after the first `size`. Returns the drawn and the remaining elements."""
    draws = len(pool) - size
    # One float per draw, so that the order does not depend on how many draws are made at once.
    slots = (random.random(draws) * size).astype(np.int64)
    by_slot = np.argsort(slots, kind="stable")
    grouped = slots[by_slot]
    first_of_slot = np.ones(draws, dtype=bool)
    first_of_slot[1:] = grouped[1:] != grouped[:-1]
    # The first draw from a slot takes what was in the buffer, each further draw what the one before put there.
    drawn = np.empty(draws, dtype=np.int64)
    drawn[by_slot] = np.where(first_of_slot, grouped, size + np.roll(by_slot, 1))
    left = np.arange(size)
    last_of_slot = np.roll(first_of_slot, -1)
    left[grouped[last_of_slot]] = size + by_slot[last_of_slot]
    return pool.take(drawn), pool.take(left)
