"""The place in an input at which another number of processes resumes."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from torchest.inputs.dataset import Dataset
from torchest.inputs.positions import (
    DATASET,
    STATEFUL,
    Position,
    beginning,
    checked,
    described,
    restored,
    settings_in,
)
from torchest.inputs.resharding import (
    Reader,
    Rest,
    as_it_was,
    measured,
    outline,
    own_stages,
    passes_from,
    with_world,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.inputs.resharding import Settings
    from torchest.inputs.source import Source
    from torchest.inputs.stages import JSON, Stage

_log = logging.getLogger("torchest")


class _InexactError(Exception):
    """Says why the rows that are left cannot be told."""


def resized(
    source: Source, positions: Sequence[Position | None], reader: Reader
) -> Position | None:
    """The position at which a process resumes what another number of processes has read.

    If `Dataset.shard` deals the rows to the processes, none of the rows that the former ones have used comes again, and
    all others do. Otherwise the pass starts anew, with a warning of the first process.

    Args:
        source: The result of the input_fn.
        positions: Those of the former processes, by rank.
        reader: The process.

    Returns:
        The position; None for the beginning.

    Raises:
        ValueError: The positions belong to another dataset. The message is a clause that says what differs.
    """
    chiefs = positions[0]
    assert chiefs is not None
    if chiefs["kind"] not in (DATASET, STATEFUL):
        return chiefs
    if chiefs["kind"] == DATASET and not isinstance(source, Dataset):
        return chiefs
    try:
        return _dealt_anew(source, positions, reader)
    except _InexactError as reason:
        number = _pass_of(source, chiefs)
        if reader.rank == 0:
            _log.warning(
                "Training was interrupted in %s and resumes in %d, where its place in the input (%s) is "
                "unknown: %s. The input is read from %s, so that some rows are used again. A Dataset with "
                "shard(input_context.num_input_pipelines, input_context.input_pipeline_id) resumes in any number of "
                "processes, and uses every row once.",
                "1 process" if len(positions) == 1 else f"{len(positions)} processes",
                reader.processes, type(source).__name__, reason,
                f"the beginning of pass {number + 1}" if number else "its beginning",
            )  # fmt: skip
        return {**beginning(source), "first": number} if number else None


def _dealt_anew(source: Source, positions: Sequence[Position | None], reader: Reader) -> Position:
    """The position after all rows that the former processes have used."""
    datasets = [position for position in positions if position is not None]
    if not isinstance(source, Dataset) or len(datasets) < len(positions):
        raise _InexactError("each process has a state of its own")
    stage = source._stage
    if not reader.is_own(stage):
        raise _InexactError("the rows are not dealt to the processes")
    if all(kind != "Shard" for position in datasets for kind, _ in position["description"]):
        raise _InexactError("the rows were not dealt to the processes")
    own, now = list(own_stages(stage, reader)), described(stage)
    former = [checked(position, stage, now, own) for position in datasets]
    in_stages = [settings_in(position, stage) for position in former]
    common = {**former[0], "description": now, **_common(in_stages, own, reader)}
    read = measured(restored(stage, common), reader, iter(common["counted"]))
    own_ids = set(map(id, own))
    settings = [[each for at, each in of_one if id(at) in own_ids] for of_one in in_stages]
    rests = [
        _rest(read, settings[rank], reader, Reader(rank, len(former)), common)
        for rank in range(len(former))
    ]
    places = [
        rest.place(position["batches"], common["iteration"])
        for rest, position in zip(rests, former, strict=True)
    ]
    worlds = with_world(rests, places, settings)
    if worlds is None:
        raise _InexactError("the processes have used different numbers of rows")
    if reader.rank == 0:
        _warn_of_endless_shards(rests)
    return {**common, "batches": 0, "worlds": worlds, "first": min(places)[0]}


def _warn_of_endless_shards(rests: Sequence[Rest]) -> None:
    dealt = rests[0].outline.dealt
    if rests[0].outline.is_own and dealt.cardinality() == math.inf:
        _log.warning(
            "Training resumes in another number of processes, each of which reads %d former shards to the end of the "
            "training: the shards never end, as repeat comes before %s. Call repeat after it, or shard after both, to "
            "have new shards in the next pass.",
            len(rests), type(dealt).__name__.lower(),
        )  # fmt: skip


def _rest(
    stage: Stage, settings: list[Settings], reader: Reader, former: Reader, position: Position
) -> Rest:
    """What a former process read."""
    was = outline(as_it_was(stage, iter(settings), reader, former), former)
    assert was is not None
    return Rest(was, former, position["worlds"], position["first"])


def _common(
    settings: Sequence[list[tuple[Stage, Settings]]], own: Sequence[Stage], reader: Reader
) -> Position:
    """The seeds and lengths of the former processes that hold for the reader.

    Args:
        settings: What the position of each process has of the stages, the last first.
        own: The stages that may differ between processes.
        reader: The reader.
    """
    own_ids = set(map(id, own))
    seeds: list[JSON] = []
    lengths: list[JSON] = []
    for same in zip(*settings, strict=True):
        stage, is_own = same[0][0], id(same[0][0]) in own_ids
        values = [each for _, each in same]
        if is_own and reader.deals(stage) and values[0]["shards"] != len(settings):
            raise _InexactError("the rows were not dealt to all processes")
        if "entropy" in values[0]:
            before = [each["entropy"] for each in values]
            seeds.append(_entropy(stage, before, reader, is_own=is_own))
        if "each" in values[0]:
            lengths.append(None if is_own else values[0]["each"])
    return {"seeds": seeds, "lengths": lengths}


def _entropy(stage: Any, before: list[JSON], reader: Reader, *, is_own: bool) -> JSON:
    """The entropy of a stage from those of the former processes."""
    if all(entropy == before[0] for entropy in before):
        return before[0]
    if not is_own:
        raise _InexactError(
            "the processes had shuffled the rows differently before these were dealt"
        )
    return before[reader.rank] if reader.rank < len(before) else list(stage.entropy)


def _pass_of(source: Source, position: Position) -> int:
    """The number of the pass that a process has come to, as far as known."""
    is_told = isinstance(source, Dataset) and passes_from(source._stage, 0) is not None
    if not is_told or position["kind"] != DATASET:
        return 0
    count: int = position["batches"]
    for kind, values in reversed(position["description"]):
        if kind == "Repeat":
            length = position["lengths"][0]
            return int(position.get("first", 0) + (count // length if length else 0))
        if "Batch" in kind:
            count *= values.get("size", 1)
        elif kind != "Map":
            return 0
    return 0
