"""Places in an input, as checkpoints have them.

A position consists of JSON values and tensors. That of a `Dataset` describes its stages, so that another dataset is
noticed, and lists what the elements depend on besides, each for the last stage first:

- `seeds`: the entropies of random numbers;
- `lengths`: the number of elements in each pass of a repeat, and `counted`: those that `shard` deals, if unknown
  otherwise;
- `batches`: how many batches have been used; after a change of the number of processes, since then. Before it, there
  were `worlds`, and the pass `first` is the first that is not over: see `resharding`.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, TypeAlias

from torchest.inputs.resharding import MOST_PASSES, is_number, numbers_of
from torchest.inputs.stages import JSON, Counted, Prefetch, Repeat, Stage, all_stages
from torchest.inputs.unused import ALL, Measured
from torchest.utils.checks import is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from torchest.inputs.dataset import Dataset
    from torchest.inputs.resharding import Settings

Position: TypeAlias = dict[str, Any]
DATASET, STATEFUL = "dataset", "stateful"  # kinds


def check_position(position: JSON) -> None:
    """Checks that a position is one that `Reading.position` returns.

    Raises:
        ValueError: It is not. The message is a clause that says what is wrong.
    """
    for name in ("kind", "source"):
        if not isinstance(position, dict) or not isinstance(position.get(name), str):
            raise ValueError(f"the place in the input has no {name}")
    if position["kind"] == STATEFUL and "state" not in position:
        raise ValueError("the place in the input has no state")
    if position["kind"] == DATASET:
        first = position.get("first", 0)
        is_right = {
            "description": _are(position.get("description"), _is_description),
            "seeds": _are(position.get("seeds"), _are_whole),
            "lengths": _are(position.get("lengths"), _is_length),
            "counted": _are(position.get("counted", []), _is_length),
            "iteration": _is_whole(position.get("iteration"), 2**63),
            "batches": _is_whole(position.get("batches"), 2**63),
            "first": _is_whole(first, ALL),
            "worlds": _are(position.get("worlds", []), lambda world: _is_world(world, first)),
        }
        for name, holds in is_right.items():
            if not holds:
                raise ValueError(
                    f"the {name} of the place in the input are not what training writes"
                )


def _is_description(stage: object) -> bool:
    return isinstance(stage, list | tuple) and len(stage) == 2 and isinstance(stage[1], dict)


def _is_world(world: object, first: int) -> bool:
    if not isinstance(world, dict):
        return False
    places, settings = world.get("places", []), world.get("settings")
    if not _are(places, lambda place: _is_place(place, first + MOST_PASSES)) or not places:
        return False
    return settings is None or (_are(settings, _are_settings) and len(settings) == len(places))


def _is_place(place: object, last: int) -> bool:
    return _are_whole(place) and len(place) == 2 and place[0] <= last and place[1] < ALL  # type: ignore[arg-type, index]


def _are_settings(settings: object) -> bool:
    return _are(
        settings, lambda stage: isinstance(stage, dict) and all(map(_is_setting, stage.values()))
    )


def _is_setting(value: object) -> bool:
    return value is None or isinstance(value, int) or _are_whole(value)


def _are(values: object, check: Callable[[object], bool]) -> bool:
    return isinstance(values, list | tuple) and all(map(check, values))


def _are_whole(values: object) -> bool:
    return _are(values, _is_whole)


def _is_length(value: object) -> bool:
    return value is None or _is_whole(value)


def _is_whole(value: object, below: float = math.inf) -> bool:
    return is_whole(value) and 0 <= value < below


def beginning(source: Dataset) -> Position:
    """The position before the first element of a dataset, in an iteration of its own."""
    stages = all_stages(source._stage)
    return {
        "kind": DATASET,
        "source": type(source).__name__,
        "description": described(source._stage),
        "seeds": [list(each.entropy) for each in stages if hasattr(each, "entropy")],
        "lengths": [None for each in stages if isinstance(each, Repeat)],
        "iteration": next(source._iterations),
        "batches": 0,
        **_AT_THE_BEGINNING,
    }


# What positions of earlier versions do not have.
_AT_THE_BEGINNING: Position = {"counted": [], "worlds": [], "first": 0}


def checked(
    position: Position, stage: Stage, description: JSON, may_differ: Collection[Stage] = ()
) -> Position:
    """A position that belongs to the stages.

    Args:
        position: The position.
        stage: The last stage.
        description: What `described` returns for it.
        may_differ: The stages whose numbers may be others.

    Raises:
        ValueError: It does not. The message is a clause that says what differs.
    """
    own = set(map(id, may_differ))
    differs = [id(each) in own for each in reversed(lasting(stage))]
    _check_same(position["description"], description, differs)
    stages = all_stages(stage)
    counts = {
        "seeds": sum(hasattr(each, "entropy") for each in stages),
        "lengths": sum(isinstance(each, Repeat) for each in stages),
    }
    for name, count in counts.items():
        if len(position[name]) != count:
            raise ValueError(f"it has {count} {name}, but the checkpoint has {len(position[name])}")
    return {**_AT_THE_BEGINNING, **position}


def moved_on(position: Position, count: int) -> Position | None:
    """The position after `count` more batches if positions count batches; else None."""
    if "batches" not in position:
        return None
    return {**position, "batches": position["batches"] + count}


def with_counts(position: Position, stage: Stage) -> Position:
    """The position, with what the stages have counted."""
    stages = all_stages(stage)
    return {
        **position,
        "lengths": [each.each.number for each in stages if isinstance(each, Repeat)],
        "counted": [each.each.number for each in stages if isinstance(each, Measured)],
    }


def with_common_counts(position: Position | None, other: Position) -> Position | None:
    """The position, with what another process has counted of the rows that are dealt to both."""
    if position is None or position.get("description") != other.get("description"):
        return position
    return {**position, "counted": other["counted"]}


def described(stage: Stage) -> list[list[JSON]]:
    """Descriptions of the stages that the elements depend on, the first one first."""
    return [
        [type(each).__name__.strip("_"), each.description()] for each in reversed(lasting(stage))
    ]


def lasting(stage: Stage) -> list[Stage]:
    """The stages that the elements depend on, the last first."""
    return [each for each in all_stages(stage) if not isinstance(each, (Prefetch, Measured))]


def settings_in(position: Position, stage: Stage) -> list[tuple[Stage, Settings]]:
    """The stages, the last first, and what a position has of each: numbers, `entropy`, and `each` of a repeat."""
    seeds, lengths = iter(position["seeds"]), iter(position["lengths"])
    settings = []
    for each, (_, values) in zip(lasting(stage), reversed(position["description"]), strict=True):
        of_stage = numbers_of(values)
        if hasattr(each, "entropy"):
            of_stage["entropy"] = next(seeds)
        if isinstance(each, Repeat):
            of_stage["each"] = next(lengths)
        settings.append((each, of_stage))
    return settings


def restored(stage: Stage, position: Position) -> Stage:
    """A copy of the stages with the seeds and lengths of a position, which lists the last stage first."""
    result: Stage = _restored(stage, iter(position["seeds"]), iter(position["lengths"]))
    return result


def _restored(stage: Any, seeds: Iterator[JSON], lengths: Iterator[JSON]) -> Any:
    if hasattr(stage, "entropy"):
        stage = dataclasses.replace(stage, entropy=tuple(next(seeds)))
    if isinstance(stage, Repeat):
        stage = dataclasses.replace(stage, each=Counted(next(lengths)))
    last_first = [_restored(each, seeds, lengths) for each in reversed(stage.upstreams)]
    return stage.with_upstreams(tuple(reversed(last_first)))


def _check_same(
    before: list[list[JSON]], now: list[list[JSON]], may_differ: Sequence[bool]
) -> None:
    for differs, (kind, values), (kind_now, values_now) in zip(
        may_differ, before, now, strict=False
    ):
        if kind != kind_now:
            raise ValueError(f"it had {kind} where it now has {kind_now}")
        for name in {**values, **values_now}:
            old, new = values.get(name), values_now.get(name)
            if old != new and not (differs and is_number(old) and is_number(new)):
                raise ValueError(
                    f"{name} of {kind} was {_shown(old, new)} and is {_shown(new, old)}"
                )
    if len(before) != len(now):
        raise ValueError(f"it had {len(before)} stages, and has {len(now)}")


def _shown(value: JSON, other: JSON) -> str:
    """The value for a message; of a list, only the items that the other list lacks."""
    if isinstance(value, list) and isinstance(other, list):
        value = [item for item in value if item not in other] or value
    return f"{value!r:.200}"
