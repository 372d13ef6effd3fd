"""Stages that read several others: side by side, one after the other, or by chance."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from torchest.inputs import seeds
from torchest.inputs.chunks import (
    BLOCK,
    Chunk,
    Elements,
    Reader,
    Rows,
    all_rows,
    concatenate,
    drop,
)
from torchest.inputs.stages import JSON, Epoch, Stage, Varies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from torchest.inputs.structure import Layout

    Int64s = npt.NDArray[np.int64]

_DRAWS = 1024  # rows that are drawn together


@dataclasses.dataclass(frozen=True)
class Range(Stage):
    """The whole numbers from `start` up to, but not including, `stop`, which may be infinite, in steps."""

    start: int
    stop: float
    step: int
    dtype: np.dtype[np.generic]

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:  # noqa: ARG002
        """Blocks of numbers."""
        left = self.cardinality() - skip
        first = self.start + skip * self.step
        while left > 0:
            number = int(min(left, BLOCK))
            yield Rows.of((np.arange(number) * self.step + first).astype(self.dtype))
            first += number * self.step
            left -= number

    def cardinality(self) -> float:
        """The quotient of distance and step, rounded up."""
        steps = (self.stop - self.start) / self.step
        return (
            math.inf if steps == math.inf else max(0, -((self.start - int(self.stop)) // self.step))
        )

    def description(self) -> dict[str, JSON]:
        """The bounds."""
        return {**super().description(), "stop": str(self.stop)}


@dataclasses.dataclass(frozen=True)
class Joined(Stage):
    """A stage that reads several others."""

    sources: tuple[Stage, ...]

    @property
    def upstreams(self) -> tuple[Stage, ...]:
        """The others."""
        return self.sources

    def with_upstreams(self, upstreams: tuple[Stage, ...]) -> Stage:
        """The same stage, reading others."""
        return dataclasses.replace(self, sources=upstreams)

    def description(self) -> dict[str, JSON]:
        """The settings, and the number of stages that it reads."""
        return {**super().description(), "datasets": len(self.sources)}


@dataclasses.dataclass(frozen=True)
class Zip(Joined):
    """Structures of one element of each stage, until the first of them ends.

    Args:
        layout: The structure of the stages.
    """

    layout: Layout

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """As many at a time as all stages have ready."""
        readers = [Reader(each.chunks(epoch, skip)) for each in self.sources]
        while True:
            number = BLOCK
            for reader in readers:
                chunk = reader.waiting()
                if chunk is None:
                    return
                number = min(number, len(chunk))
            yield self._zipped([reader.take(number) for reader in readers])

    def _zipped(self, chunks: list[Chunk]) -> Chunk:
        if all_rows(chunks):
            return Rows.of(self.layout.rebuild([chunk.columns() for chunk in chunks]))
        elements = zip(*(chunk.elements() for chunk in chunks), strict=True)
        return Elements(list(map(self.layout.rebuild, elements)))

    def cardinality(self) -> int | float | None:
        """The least; None if one is unknown and none has 0."""
        numbers = [each.cardinality() for each in self.sources]
        known = [number for number in numbers if number is not None]
        return 0 if 0 in known else min(known) if len(known) == len(numbers) else None

    def varies(self) -> Varies:
        """In the elements, if one varies in the order."""
        most = super().varies()
        return max(most, Varies.ELEMENTS) if most else most


@dataclasses.dataclass(frozen=True)
class Concatenate(Joined):
    """All elements of one stage after the other."""

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Upstream's chunks; a stage of known length that is skipped is not read."""
        return in_turn(((each, epoch) for each in self.sources), skip)

    def cardinality(self) -> int | float | None:
        """The sum."""
        return _sum([each.cardinality() for each in self.sources])


@dataclasses.dataclass(frozen=True)
class Sample(Joined):
    """Elements of several stages, each from a stage that is drawn.

    Args:
        weights: How often each is drawn, in relation to the others.
        entropy: The entropy of the draws.
        stop_on_empty: Whether to end when an element is due from a stage that has ended; otherwise the others go on.
        every_epoch: Whether each pass draws anew.
    """

    weights: tuple[float, ...]
    entropy: tuple[int, ...]
    stop_on_empty: bool
    every_epoch: bool

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Rows are drawn many at a time, other elements one by one, as they may be large."""
        return drop(self._drawn(epoch), skip)

    def cardinality(self) -> int | float | None:
        """The sum of those that are drawn; unknown, unless it is endless, if the first that ends is the last."""
        numbers = [
            each.cardinality()
            for each, weight in zip(self.sources, self.weights, strict=True)
            if weight
        ]
        if self.stop_on_empty:
            return math.inf if all(number == math.inf for number in numbers) else None
        return _sum(numbers)

    def varies(self) -> Varies:
        """In the order, or if the first stage that ends is the last, in more."""
        most = super().varies()
        if not self.stop_on_empty:
            return max(most, Varies.ORDER if self.every_epoch else Varies.NOTHING)
        if self.every_epoch:
            return Varies.NUMBER
        return max(most, Varies.ELEMENTS) if most else most

    def description(self) -> dict[str, JSON]:
        """The settings and the weights."""
        return {**super().description(), "weights": list(self.weights)}

    def _drawn(self, epoch: Epoch) -> Iterator[Chunk]:
        random = seeds.generator(self.entropy, epoch if self.every_epoch else ())
        readers = [Reader(each.chunks(epoch, 0)) for each in self.sources]
        weights = np.array(self.weights)
        while weights.any():
            waiting = [readers[number].waiting() for number in np.flatnonzero(weights)]
            at_once = 1 if any(isinstance(chunk, Elements) for chunk in waiting) else _DRAWS
            limits = np.cumsum(weights)
            draws = np.searchsorted(limits / limits[-1], random.random(at_once), side="right")
            chunks, places = _due(readers, draws)
            missing = np.setdiff1d(np.arange(at_once), places)
            number = len(places)
            if self.stop_on_empty and missing.size:
                number = int(missing[0])  # all draws before it have their elements
            if number:
                yield concatenate(chunks).take(np.argsort(places)).slice(0, number)
            if self.stop_on_empty and missing.size:
                return
            weights[draws[missing]] = 0


def _due(readers: list[Reader], draws: Int64s) -> tuple[list[Chunk], Int64s]:
    """The elements of the readers that were drawn, as far as there are any, and the place of each among the draws."""
    chunks: list[Chunk] = []
    places = [np.empty(0, np.int64)]
    for number, reader in enumerate(readers):
        due = np.flatnonzero(draws == number)
        ready = list(reader.up_to(len(due)))
        chunks += ready
        places.append(due[: sum(map(len, ready))])
    return chunks, np.concatenate(places)


def in_turn(stages: Iterable[tuple[Stage, Epoch]], skip: int) -> Iterator[Chunk]:
    """The elements of stages one after the other. A stage of known length that is skipped is not read."""
    for stage, epoch in stages:
        number = stage.cardinality()
        if number is not None:
            if skip < number:
                yield from stage.chunks(epoch, skip)
            skip = int(max(skip - number, 0))
            continue
        for chunk in stage.chunks(epoch, 0):
            if skip < len(chunk):
                yield chunk.slice(skip, len(chunk)) if skip else chunk
            skip = max(skip - len(chunk), 0)


def _sum(numbers: Sequence[float | None]) -> int | float | None:
    """The sum of numbers of elements; None if one is unknown and none is endless."""
    if math.inf in numbers:
        return math.inf
    return None if None in numbers else sum(number for number in numbers if number is not None)
