"""Stages that read what processes of another number have left."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from torchest.inputs.chunks import Chunk, Reader, concatenate, drop
from torchest.inputs.stages import Counted, Epoch, Repeat, Stage, Through, Varies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ALL = 2**62  # more elements than any stage has


@dataclasses.dataclass(frozen=True)
class Unused(Through):
    """The elements that were dealt to processes in turn, and that these have not used.

    Args:
        used: How many elements each process has used, the first ones of its shard.
    """

    used: tuple[int, ...]

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Upstream's chunks; what all processes have used is not made."""
        most = max(self.used)
        uneven = sum(most - each for each in self.used)  # left of what some process has used
        if skip >= uneven:
            return self.upstream.chunks(epoch, most * len(self.used) + skip - uneven)
        return drop(self._left(epoch), skip)

    def cardinality(self) -> int | float | None:
        """The number of elements of each shard without those that were used."""
        number = self.upstream.cardinality()
        if number is None or number == math.inf:
            return number
        shards = len(self.used)
        sizes = (-(-(int(number) - index) // shards) for index in range(shards))
        return sum(max(0, size - each) for size, each in zip(sizes, self.used, strict=True))

    def _left(self, epoch: Epoch) -> Iterator[Chunk]:
        used, shards = np.array(self.used), len(self.used)
        first = min(self.used) * shards
        for chunk in self.upstream.chunks(epoch, first):
            turn, shard = np.divmod(np.arange(first, first + len(chunk)), shards)
            left = np.flatnonzero(turn >= used[shard])
            first += len(chunk)
            if len(left):
                yield chunk.take(left)


@dataclasses.dataclass(frozen=True)
class RoundRobin(Stage):
    """One element of each stage in turn, until all have ended."""

    stages: tuple[Stage, ...]

    @property
    def upstreams(self) -> tuple[Stage, ...]:
        """The stages."""
        return self.stages

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """The stages are read from their beginnings, as it is unknown when each of them ends."""
        return drop(_turns(stage.chunks(epoch, 0) for stage in self.stages), skip)

    def cardinality(self) -> int | float | None:
        """The sum."""
        numbers = [stage.cardinality() for stage in self.stages]
        if math.inf in numbers:
            return math.inf
        return None if None in numbers else sum(each for each in numbers if each is not None)


def _turns(stages: Iterable[Iterator[Chunk]]) -> Iterator[Chunk]:
    """As many turns at a time as all stages have ready."""
    readers = list(map(Reader, stages))
    while True:
        waiting = [reader.waiting() for reader in readers]
        readers = [reader for reader, chunk in zip(readers, waiting, strict=True) if chunk]
        if not readers:
            return
        turns = min(len(chunk) for chunk in waiting if chunk)
        joined = concatenate([reader.take(turns) for reader in readers])
        yield joined.take(np.arange(len(joined)).reshape(len(readers), turns).T.ravel())


@dataclasses.dataclass(frozen=True)
class Measured(Through):
    """The elements of upstream, which are counted."""

    each: Counted = dataclasses.field(default_factory=Counted, compare=False)

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Upstream's chunks."""
        number = skip
        for chunk in self.upstream.chunks(epoch, skip):
            number += len(chunk)
            yield chunk
        if number > skip and self.upstream.varies() < Varies.NUMBER:
            self.each.number = number

    def cardinality(self) -> int | float | None:
        """Known after the first pass at the latest, if all passes have the same number."""
        number = self.upstream.cardinality()
        return self.each.number if number is None else number


@dataclasses.dataclass(frozen=True)
class FirstPass(Through):
    """The elements of the first pass in every pass, as a cache has them, but without keeping them."""

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Upstream's chunks."""
        return self.upstream.chunks((0,) * len(epoch), skip)

    def varies(self) -> Varies:
        """In nothing."""
        return Varies.NOTHING


@dataclasses.dataclass(frozen=True)
class PassesLeft(Stage):
    """The passes of a repeat from number `first` on.

    Args:
        repeat: The repeat.
        first: The number of the first pass.
        started: The first passes, of which these stages are left.
    """

    repeat: Repeat
    first: int
    started: tuple[Stage, ...]

    @property
    def upstreams(self) -> tuple[Stage, ...]:
        """What makes the passes."""
        return (*self.started, self.repeat.upstream)

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Pass after pass."""
        place = self.locate(skip)
        if place is None:
            return drop(self._passes(epoch, self.first, 0), skip)
        return self._passes(epoch, *place)

    def cardinality(self) -> int | float | None:
        """The sum."""
        if self.repeat.count is None:
            return self.repeat.cardinality()
        later = max(0, self.repeat.count - self._next)
        each = self.repeat.length_of_each() if later else 0
        numbers = [stage.cardinality() for stage in self.started]
        if each is None or None in numbers:
            return None
        return later * each + sum(number for number in numbers if number is not None)

    def locate(self, count: int) -> tuple[int, int] | None:
        """The pass that the element after `count` elements is in, and its place there; None if that is unknown."""
        for number, stage in enumerate(self.started, self.first):
            length = stage.cardinality()
            if length is None:
                return None
            if count < length:
                return number, count
            count -= int(length)
        each = self.repeat.length_of_each()
        if not each:
            return None
        passes, place = (0, count) if each == math.inf else divmod(count, int(each))
        return self._next + passes, place

    def locate_by_reading(self, epoch: Epoch, count: int) -> tuple[int, int]:
        """The same, from reading as many elements."""
        number = self.first
        while True:
            stage = self.stage_of(number)
            length = 0
            for chunk in stage.chunks((*epoch, number), 0):
                length += len(chunk)
                if length > count:
                    return number, count
            is_over = not length and number >= self._next
            if is_over or number + 1 == self.repeat.count:
                return number, count
            number, count = number + 1, count - length

    def stage_of(self, number: int) -> Stage:
        """What makes a pass."""
        return self.started[number - self.first] if number < self._next else self.repeat.upstream

    @property
    def _next(self) -> int:
        return self.first + len(self.started)

    def _passes(self, epoch: Epoch, number: int, skip: int) -> Iterator[Chunk]:
        for index in range(number, self._next):
            yield from self.stage_of(index).chunks((*epoch, index), skip)
            skip = 0
        yield from self.repeat.passes(epoch, max(number, self._next), skip)
