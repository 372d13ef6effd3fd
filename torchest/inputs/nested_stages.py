"""Stages whose elements make stages of their own, or are such."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from torchest.inputs import seeds
from torchest.inputs.chunks import Chunk, Elements, Reader, blocks, concatenate, drop
from torchest.inputs.joined_stages import in_turn
from torchest.inputs.stages import Deciding, Epoch, Selecting, Stage, Varies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torchest.inputs.structure import Structure


class Noted:
    """How much the passes differ of the stages that a function has made."""

    def __init__(self) -> None:
        self._most: Varies | None = None

    @property
    def most(self) -> Varies:
        """The most of all; unknown until there was a stage."""
        return Varies.NUMBER if self._most is None else self._most

    def note(self, varies: Varies) -> None:
        """Counts a stage."""
        self._most = varies if self._most is None else max(self._most, varies)


@dataclasses.dataclass(frozen=True)
class Interleave(Deciding):
    """The elements of stages that a function makes of each element: `block_length` of each of `cycle_length` in turn.

    Args:
        function: Makes a stage of an element.
        entropy: The entropy of what the function shuffles without a seed.
        cycle_length: The number of stages that are read side by side.
        block_length: The number of elements that are read of one stage before the next one's turn.
    """

    function: Callable[[Structure], Stage]
    entropy: tuple[int, ...]
    cycle_length: int
    block_length: int
    noted: Noted = dataclasses.field(default_factory=Noted, compare=False)

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Yields many rounds at a time while all stages have elements ready."""
        stages = self._stages(epoch)
        if self.cycle_length == 1:
            return in_turn(stages, skip)
        return drop(self._rounds(stage.chunks(inner, 0) for stage, inner in stages), skip)

    def varies(self) -> Varies:
        """As the stages that the function makes, or as upstream."""
        return max(super().varies(), self.noted.most)

    def _stages(self, epoch: Epoch) -> Iterator[tuple[Stage, Epoch]]:
        chunks = self.upstream.chunks(epoch, 0)
        elements = itertools.chain.from_iterable(chunk.elements() for chunk in chunks)
        for number, element in enumerate(elements):
            with seeds.derived((*self.entropy, number)):
                stage = self.function(element)
            self.noted.note(stage.varies())
            yield stage, (*epoch, number)

    def _rounds(self, sources: Iterator[Iterator[Chunk]]) -> Iterator[Chunk]:
        """Opens a source when it is the turn of a place without one, as TensorFlow does."""
        cycle: list[Reader | None] = [None] * self.cycle_length
        at, are_more = 0, True
        while are_more or any(cycle):
            if at == 0 and (all(cycle) or not are_more):
                yield from self._whole_rounds([reader for reader in cycle if reader is not None])
            reader = cycle[at]
            if reader is None and are_more:
                source = next(sources, None)
                are_more = source is not None
                reader = cycle[at] = Reader(source) if source is not None else None
            if reader is not None:
                number = 0
                for part in reader.up_to(self.block_length):
                    number += len(part)
                    yield part
                if number < self.block_length:
                    cycle[at] = None
            at = (at + 1) % self.cycle_length

    def _whole_rounds(self, readers: list[Reader]) -> Iterator[Chunk]:
        """As many rounds as all readers have ready, if there are several."""
        waiting = [reader.waiting() for reader in readers]
        ready = min((0 if chunk is None else len(chunk) for chunk in waiting), default=0)
        rounds = ready // self.block_length
        if rounds > 1:
            joined = concatenate([reader.take(rounds * self.block_length) for reader in readers])
            places = np.arange(len(joined)).reshape(len(readers), rounds, self.block_length)
            yield from blocks(joined.take(places.transpose(1, 0, 2).ravel()))


@dataclasses.dataclass(frozen=True)
class Window(Selecting):
    """Runs of elements, each as a structure of datasets.

    Args:
        size: The number of elements of a window.
        shift: The distance between the first elements of two windows.
        stride: The distance between two elements of a window.
        drop_remainder: Whether to leave out windows that are smaller.
        dataset_of: Makes a dataset of a stage.
    """

    size: int
    shift: int
    stride: int
    drop_remainder: bool
    dataset_of: Callable[[Stage], object]

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """One window at a time."""
        reader = Reader(self.upstream.chunks(epoch, skip * self.shift))
        width = (self.size - 1) * self.stride + 1
        ready: list[Chunk] = []
        while True:
            ready += reader.up_to(width - sum(map(len, ready)))
            number = sum(map(len, ready))
            if number < (width if self.drop_remainder else 1):
                return
            chunk = concatenate(ready)
            yield Elements(
                [self._window(chunk.take(np.arange(0, min(number, width), self.stride)))]
            )
            for _ in reader.up_to(self.shift - number):
                pass
            ready = [chunk.slice(self.shift, number)] if self.shift < number else []

    def cardinality(self) -> int | float | None:
        """The number of elements divided by the shift, rounded up; only full windows if the others are dropped."""
        rows = self.upstream.cardinality()
        if rows is None or rows == math.inf:
            return rows
        missing = (self.size - 1) * self.stride if self.drop_remainder else 0
        return max(0, -(-(int(rows) - missing) // self.shift))

    def _window(self, chunk: Chunk) -> Structure:
        layout, leaves = chunk.leaves()
        return layout.rebuild([self.dataset_of(Held(leaf)) for leaf in leaves])


@dataclasses.dataclass(frozen=True)
class Held(Stage):
    """The elements of a chunk."""

    chunk: Chunk

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:  # noqa: ARG002
        """The chunk in blocks."""
        return blocks(self.chunk.slice(skip, len(self.chunk)))

    def cardinality(self) -> int:
        """The number of elements."""
        return len(self.chunk)
