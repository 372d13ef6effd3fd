"""The rest of an input that processes of another number have read in part.

`Dataset.shard` deals the elements of the stage before it to the processes in turn, so what they have not used is the
elements of that stage without the first ones of each shard. They are dealt anew:

    table.shuffle().repeat()   .shard(2, 0).batch(6)       # was interrupted after 5 batches of each of two processes
    table.shuffle().repeat()   without the first 60        .shard(3, 0).batch(4)       # goes on in three processes

If elements between `shard` and the batches depend on the shard, as after `shuffle`, they are what is dealt: the first
pass of the new processes is made of what is left of the shards of the former ones, in turn. Either way a pass that
some process has begun is dealt as a whole before the next one, which has new shards. Before all have come so far, the
number of processes may change again: a world describes each former number.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from torchest.inputs.stages import (
    Batch,
    Cache,
    Counted,
    Map,
    Prefetch,
    Repeat,
    Shard,
    Shuffle,
    Skip,
    Stage,
    Varies,
    all_stages,
)
from torchest.inputs.unused import ALL, FirstPass, Measured, PassesLeft, RoundRobin, Unused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeGuard

World: TypeAlias = dict[str, Any]
Settings: TypeAlias = dict[
    str, Any
]  # of a stage: its numbers, and the entropy of its random numbers

MOST_PASSES = 10_000  # that processes can be apart


class Reader(NamedTuple):
    """One of the processes that read an input."""

    rank: int = 0
    processes: int = 1

    def deals(self, stage: Stage) -> TypeGuard[Shard]:
        """Whether the stage gives the process its shard."""
        return isinstance(stage, Shard) and (stage.index, stage.shards) == self

    def is_own(self, stage: Stage) -> bool:
        """Whether the elements of a stage depend on the process."""
        return self.deals(stage) or any(map(self.is_own, stage.upstreams))


class Outline(NamedTuple):
    """A pipeline of one process; lists of stages begin with the last.

    Attributes:
        after: The stages after the passes.
        repeat: Makes the passes; None if there is one.
        within: The stages of a pass after the dealing.
        dealing: What each process does to have its elements.
        dealt: The stage whose elements are dealt to the processes.
        is_own: Whether `dealt` is the process's own, which it is in all passes but the one that is resumed.
    """

    after: list[Stage]
    repeat: Repeat | None
    within: list[Stage]
    dealing: list[Stage]
    dealt: Stage
    is_own: bool

    @property
    def is_by_batches(self) -> bool:
        """Whether batches are dealt, rather than rows that each process puts together."""
        return any(isinstance(stage, Batch) for stage in self.dealing)


def outline(stage: Stage, reader: Reader) -> Outline | None:
    """Finds where the elements of a pipeline are dealt to the processes; None if they are not."""
    if not reader.is_own(stage):
        return None
    repeat = None
    after, (within, stage) = [], _batching(stage)
    if isinstance(stage, Repeat):
        after, repeat, (within, stage) = within, stage, _batching(stage.upstream)
    if not reader.deals(stage):
        dealing: list[Stage] = [Shard(stage, reader.processes, reader.rank)]
        return Outline(after, repeat, within, dealing, stage, is_own=True)
    below, dealt = _before_batches(stage)
    return Outline(after, repeat, within, [stage, *below], dealt, is_own=False)


def measured(stage: Stage, reader: Reader, numbers: Iterator[int | None]) -> Stage:
    """The pipeline, which counts what is dealt where its number is unknown.

    Args:
        stage: The last stage.
        reader: The process.
        numbers: What has been counted so far, for the last of them first.
    """
    if not reader.deals(stage):
        last_first = [measured(each, reader, numbers) for each in reversed(stage.upstreams)]
        return stage.with_upstreams(tuple(reversed(last_first)))
    below, dealt = _before_batches(stage)
    if dealt.cardinality() is None:
        dealt = Measured(dealt, Counted(next(numbers, None)))
    return _on([stage, *below], dealt)


def _before_batches(shard: Shard) -> tuple[list[Stage], Stage]:
    """If a shard is one of batches, the stages that make them, and the stage before; else none, and what it deals."""
    below, dealt = _batching(shard.upstream)
    is_of_batches = any(isinstance(stage, Batch) for stage in below)
    return (below, dealt) if is_of_batches else ([], shard.upstream)


def _batching(stage: Stage) -> tuple[list[Stage], Stage]:
    """The last stages whose elements are made of as many consecutive elements each, and the stage before them."""
    stages: list[Stage] = []
    while isinstance(stage, (Map, Batch, Prefetch)):
        stages.append(stage)
        stage = stage.upstream
    return stages, stage


def _size(stages: Sequence[Stage]) -> int:
    """The number of elements that the stages make one of."""
    return math.prod(stage.size for stage in stages if isinstance(stage, Batch))


def _on(stages: Sequence[Stage], stage: Stage) -> Stage:
    """The stages after another one."""
    for each in reversed(stages):
        stage = each.with_upstreams((stage,))
    return stage


class Rest(NamedTuple):
    """What is left of an input, as one process reads it.

    Attributes:
        outline: The pipeline of the process.
        reader: The process.
        worlds: The former processes, the first ones first, that have begun passes that are not over.
        first: The number of the first pass that is not over.
    """

    outline: Outline
    reader: Reader
    worlds: Sequence[World]
    first: int

    def stage(self) -> Stage:
        """The pipeline that reads it."""
        if self.outline.repeat is not None:
            return _on(self.outline.after, self._passes(self.outline.repeat))
        return self._begun_pass(0) if self.worlds else self._own_pass()

    def place(self, batches: int, iteration: int) -> tuple[int, int]:
        """The pass that a number of batches leads to, and the elements used there of those dealt to the process."""
        count = batches * _size(self.outline.after)
        number = 0
        if self.outline.repeat is not None:
            passes = self._passes(self.outline.repeat)
            number, count = passes.locate(count) or self._read_to(passes, count, iteration)
        return number, count * _size(self.outline.within)

    def _read_to(self, passes: PassesLeft, count: int, iteration: int) -> tuple[int, int]:
        """As `locate` of the passes, whose numbers of elements are unknown."""
        if self._goes_on_after(count, (iteration, self.first)):
            return self.first, count
        return passes.locate(count) or passes.locate_by_reading((iteration,), count)

    def _passes(self, repeat: Repeat) -> PassesLeft:
        repeat = dataclasses.replace(repeat, upstream=self._own_pass())
        last = max((number for world in self.worlds for number, _ in world["places"]), default=-1)
        end = last + 1 if repeat.count is None else min(last + 1, repeat.count)
        begun = map(self._begun_pass, range(self.first, end))
        return PassesLeft(repeat, self.first, tuple(begun))

    def _own_pass(self) -> Stage:
        """What the process reads in a pass that no former process has begun."""
        dealing = [] if self.outline.is_own else self.outline.dealing
        return _on([*self.outline.within, *dealing], self.outline.dealt)

    def _begun_pass(self, number: int) -> Stage:
        """What the process reads of what former processes have left of a pass."""
        begun = [world for world in self.worlds if max(world["places"])[0] >= number]
        dealt = self.outline.dealt
        if self.outline.is_own:
            dealt, begun = self._left_of_shards(begun[0], number), begun[1:]
        for world in begun:
            dealt = Unused(dealt, tuple(_used(place, number) for place in world["places"]))
        return _on([*self.outline.within, *self.outline.dealing], dealt)

    def _left_of_shards(self, world: World, number: int) -> Stage:
        places = world["places"]
        shards = []
        for rank, (place, settings) in enumerate(zip(places, world["settings"], strict=True)):
            used = _used(place, number)
            if used < ALL:
                former = Reader(rank, len(places))
                shard = as_it_was(self.outline.dealt, iter(settings), self.reader, former)
                shards.append(Skip(shard, used))
        return RoundRobin(tuple(shards))

    def _goes_on_after(self, count: int, epoch: tuple[int, ...]) -> bool:
        """Whether the pass certainly has more elements for the process; reads what is dealt, up to there."""
        if not _keeps_number(self.outline.dealt, self.reader):
            return False
        counted = [each for each in all_stages(self.outline.dealt) if isinstance(each, Measured)]
        if len(counted) != 1 or counted[0].upstream.varies() == Varies.NUMBER:
            return False
        used = sum(_used(place, self.first) for world in self.worlds for place in world["places"])
        needed = (count + 1) * _size(self.outline.within) * _size(self.outline.dealing)
        needed = used + needed * self.reader.processes
        lengths = map(len, counted[0].chunks(epoch, 0))
        return any(number > needed for number in itertools.accumulate(lengths))


def _used(place: Sequence[int], number: int) -> int:
    """How many elements a process at a place has used in a pass."""
    return 0 if number > place[0] else place[1] if number == place[0] else ALL


def _keeps_number(stage: Stage, reader: Reader) -> bool:
    """Whether the number of elements follows from the number of those that are dealt."""
    if isinstance(stage, Measured) or reader.deals(stage):
        return True
    keeps = isinstance(stage, (Map, Batch, Prefetch, Shuffle, Cache, FirstPass))
    return keeps and _keeps_number(stage.upstreams[0], reader)


def own_stages(stage: Stage, reader: Reader) -> Iterator[Stage]:
    """The stages that may differ between processes: down to the elements that are dealt, the last first."""
    if not reader.is_own(stage):
        return
    if not isinstance(stage, Prefetch):
        yield stage
    if reader.deals(stage):
        below, _ = _before_batches(stage)
        yield from (each for each in below if not isinstance(each, Prefetch))
        return
    for each in reversed(stage.upstreams):
        yield from own_stages(each, reader)


def as_it_was(stage: Stage, settings: Iterator[Settings], reader: Reader, former: Reader) -> Stage:
    """A stage of a process as it was in a former process. What a cache would keep is read again.

    Args:
        stage: The stage.
        settings: Those of the former process, for each of `own_stages`.
        reader: The process.
        former: The former process.

    Raises:
        ValueError: The settings are of other stages.
    """
    if not reader.is_own(stage):
        return stage
    if isinstance(stage, Prefetch):
        return as_it_was(stage.upstream, settings, reader, former)
    was = _with(stage, next(settings, {}))
    if reader.deals(stage):
        below, dealt = _before_batches(stage)
        kept = [_with(each, next(settings, {})) for each in below if not isinstance(each, Prefetch)]
        was = dataclasses.replace(stage, index=former.rank, shards=former.processes)
        return _on([was, *kept], dealt)
    last_first = [as_it_was(each, settings, reader, former) for each in reversed(stage.upstreams)]
    if isinstance(stage, Cache):
        return FirstPass(last_first[0])
    return was.with_upstreams(tuple(reversed(last_first)))


def _with(stage: Any, settings: Settings) -> Stage:
    """A stage with other settings."""
    changes: Settings = {"each": Counted()} if isinstance(stage, Repeat) else {}
    for name, value in settings.items():
        if name == "each":
            changes[name] = Counted(value)
        elif name == "entropy":
            changes[name] = tuple(value)
        elif is_number(getattr(stage, name, ())):
            _check_number(stage, name, value)
            changes[name] = value
    changed: Stage = dataclasses.replace(stage, **changes)
    return changed


def _check_number(stage: Stage, name: str, value: object) -> None:
    """Checks that a number is one that the stage may have."""
    now = getattr(stage, name)
    same_kind = isinstance(value, bool) == isinstance(now, bool)
    least = 1 if now else 0
    if not same_kind or (not isinstance(value, bool) and isinstance(value, int) and value < least):
        raise ValueError(f"{name} of {type(stage).__name__} was {value!r} and is {now!r}")


def numbers_of(description: Settings) -> Settings:
    """The numbers in the description of a stage."""
    return {name: value for name, value in description.items() if is_number(value)}


def is_number(value: object) -> bool:
    """Whether a setting is a number, as may differ between processes; None is one."""
    return value is None or isinstance(value, int)


def with_world(
    rests: Sequence[Rest], places: Sequence[tuple[int, int]], settings: Sequence[list[Settings]]
) -> list[World] | None:
    """Describes processes that were interrupted, after those before them.

    Args:
        rests: What the processes read.
        places: For each process the pass, and the number of elements used there of those that were dealt to it.
        settings: For each process those of `own_stages`.

    Returns:
        The descriptions; None if they cannot be resumed in another number.
    """
    first, last = min(places)[0], max(places)[0]
    if last - first > MOST_PASSES:
        return None
    outline, reader = rests[0].outline, rests[0].reader
    worlds = [world for world in rests[0].worlds if max(world["places"])[0] >= first]
    world: World = {"places": [list(place) for place in places]}
    if outline.is_own:
        number = len(list(own_stages(outline.dealt, reader)))
        world["settings"] = [of_one[-number:] for of_one in settings]
    elif len(set(places)) == 1:
        used = places[0][1] * len(places) * _size(outline.dealing)
        if worlds and len(worlds[-1]["places"]) == 1 and worlds[-1]["places"][0][0] == first:
            used += worlds.pop()["places"][0][1]
        world["places"] = [[first, used]]
    elif outline.is_by_batches:
        return None
    return [*worlds, world]


def left_of(stage: Stage, reader: Reader, worlds: Sequence[World], first: int) -> Stage:
    """The pipeline that reads what is left.

    Args:
        stage: The last stage of the pipeline that reads everything.
        reader: The process.
        worlds: The former processes.
        first: The number of the first pass that is not over.

    Raises:
        ValueError: The pipeline has no such passes.
    """
    if worlds:
        cut = outline(stage, reader)
        has_settings = all("settings" in world for world in worlds)
        if cut is None or (cut.repeat is None and first) or (cut.is_own and not has_settings):
            raise ValueError("its rows are dealt to the processes otherwise")
        return Rest(cut, reader, worlds, first).stage()
    left = passes_from(stage, first) if first else stage
    if left is None:
        raise ValueError("its passes cannot be told apart")
    return left


def passes_from(stage: Stage, first: int) -> Stage | None:
    """The pipeline from a pass on; None if its passes are not told apart."""
    after, repeat = _batching(stage)
    if not isinstance(repeat, Repeat):
        return None
    return _on(after, PassesLeft(repeat, first, ()))
