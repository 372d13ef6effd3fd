"""Reading the result of an input_fn so that another process can resume where this one was interrupted.

    reading = reading_of(source, None)
    batches = reading.batches()
    ...                                                  # train on 20 batches
    position = reading.position(20)
    ...                                                  # in another process:
    batches = reading_of(source, position).batches()     # from the 21st batch on

A position consists of JSON values and tensors.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import logging
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

from torchest.inputs.dataset import Dataset
from torchest.inputs.source import Source, is_one_batch
from torchest.inputs.source import batches as source_batches
from torchest.inputs.stages import JSON, Counted, Generated, Prefetch, Repeat, Stage, Through
from torchest.utils.checks import is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torchest.inputs.batch import Batch

Position: TypeAlias = dict[str, Any]  # JSON values and tensors
_log = logging.getLogger("torchest")


class Reading(ABC):
    """One pass over the result of an input_fn."""

    kind: str

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """The batches; called once."""

    @abstractmethod
    def position(self, count: int) -> Position:
        """The position after the first `count` batches of the pass, regardless of reading ahead."""

    def forget(self, count: int) -> None:  # noqa: B027 - most have nothing to forget
        """Allows forgetting the positions before `count` batches."""


def reading_of(source: Source, position: Mapping[str, JSON] | None) -> Reading:
    """Reads a source from its beginning, or from a position.

    Args:
        source: The result of an input_fn.
        position: The position of another reading of the same source; None for the beginning. A source that
            cannot be read from the middle is read from its beginning, with a warning.

    Raises:
        ValueError: The position belongs to another dataset. The message is a clause that says what differs.
    """
    kind = _kind(source)
    if position is not None and (kind is _Plain or position["kind"] != kind.kind):
        _log.warning(
            "Training was interrupted within its input (%s) and cannot resume there: the input (%s) is read from its "
            "beginning, so that some rows are used again. A torchest.inputs.Dataset resumes where it was, and so does "
            "a DataLoader with state_dict and load_state_dict, such as torchdata's StatefulDataLoader.",
            position["source"], type(source).__name__,
        )  # fmt: skip
        position = None
    return kind(source, position)


def check_position(position: JSON) -> None:
    """Checks that a position is one that `Reading.position` returns.

    Raises:
        ValueError: It is not. The message is a clause that says what is wrong.
    """
    for name in ("kind", "source"):
        if not isinstance(position, dict) or not isinstance(position.get(name), str):
            raise ValueError(f"the place in the input has no {name}")
    if position["kind"] == _Stateful.kind and "state" not in position:
        raise ValueError("the place in the input has no state")
    if position["kind"] == _Dataset.kind:
        is_right = {
            "description": _are(position.get("description"), _is_description),
            "seeds": _are(position.get("seeds"), lambda seeds: _are(seeds, _is_whole)),
            "lengths": _are(position.get("lengths"), lambda n: n is None or _is_whole(n)),
            "iteration": _is_whole(position.get("iteration"), 2**63),
            "batches": _is_whole(position.get("batches"), 2**63),
        }
        for name, holds in is_right.items():
            if not holds:
                raise ValueError(
                    f"the {name} of the place in the input are not what training writes"
                )


def _is_description(stage: object) -> bool:
    return isinstance(stage, list | tuple) and len(stage) == 2 and isinstance(stage[1], dict)


def _are(values: object, check: Callable[[object], bool]) -> bool:
    return isinstance(values, list | tuple) and all(map(check, values))


def _is_whole(value: object, below: float = math.inf) -> bool:
    return is_whole(value) and 0 <= value < below


def moved_on(position: Position, count: int) -> Position | None:
    """The position after `count` more batches if positions count batches; else None.

    The process that saves knows only the number of batches that other processes have read.
    """
    if "batches" not in position:
        return None
    return {**position, "batches": position["batches"] + count}


class _Dataset(Reading):
    """A `Dataset`, whose elements depend only on its seeds and the number of the iteration."""

    kind = "dataset"

    def __init__(self, source: Dataset, position: Mapping[str, JSON] | None) -> None:
        stage = source._stage
        self._description = _described(stage)
        if position is None:
            self._iteration, self._first = next(source._iterations), 0
        else:
            _check_same(position["description"], self._description)
            self._iteration, self._first = position["iteration"], position["batches"]
            _check_counts(position, stage)
            stage = _restored(stage, position)
            if any(isinstance(each, Generated) for each in _chain(stage)):
                _log.warning(
                    "Training resumes within the elements of a generator (Dataset.from_generator): it is called again, "
                    "and its first elements are skipped. That is correct if it yields the same elements as before."
                )
        self._stage = stage
        self._type = type(source).__name__

    def batches(self) -> Iterator[Batch]:
        return source_batches(Dataset(self._stage).iterate(self._first, self._iteration))

    def position(self, count: int) -> Position:
        stages = _chain(self._stage)
        may_vary = any(isinstance(stage, Generated) for stage in stages)
        lengths = [stage.each.number for stage in stages if isinstance(stage, Repeat)]
        return {
            "kind": self.kind,
            "source": self._type,
            "description": self._description,
            "seeds": [list(stage.entropy) for stage in stages if hasattr(stage, "entropy")],
            "lengths": [None if may_vary else length for length in lengths],
            "iteration": self._iteration,
            "batches": self._first + count,
        }


def _check_counts(position: Mapping[str, JSON], stage: Stage) -> None:
    """Raises ValueError unless a position has the seeds and lengths of all stages."""
    stages = _chain(stage)
    counts = {
        "seeds": sum(hasattr(each, "entropy") for each in stages),
        "lengths": sum(isinstance(each, Repeat) for each in stages),
    }
    for name, count in counts.items():
        if len(position[name]) != count:
            raise ValueError(f"it has {count} {name}, but the checkpoint has {len(position[name])}")


class _Stateful(Reading):
    """An iterable with state, such as torchdata's StatefulDataLoader."""

    kind = "stateful"

    def __init__(self, source: Source, position: Mapping[str, JSON] | None) -> None:
        if position is not None:
            source.load_state_dict(position["state"])
        self._source = source
        # The state after each batch, as more batches are read than are used.
        self._states = {0: copy.deepcopy(source.state_dict())}

    def batches(self) -> Iterator[Batch]:
        for count, batch in enumerate(source_batches(self._source), 1):
            self._states[count] = copy.deepcopy(self._source.state_dict())
            yield batch

    def position(self, count: int) -> Position:
        state = self._states[self._last_before(count)]
        return {"kind": self.kind, "source": type(self._source).__name__, "state": state}

    def forget(self, count: int) -> None:
        last = self._last_before(count)
        for known in [known for known in list(self._states) if known < last]:
            del self._states[known]

    def _last_before(self, count: int) -> int:
        return max(known for known in list(self._states) if known <= count)


class _Plain(Reading):
    """An iterable without state."""

    kind = "iterable"

    def __init__(self, source: Source, position: Mapping[str, JSON] | None) -> None:
        del position
        self._source = source

    def batches(self) -> Iterator[Batch]:
        return source_batches(self._source)

    def position(self, count: int) -> Position:
        del count
        return {"kind": self.kind, "source": type(self._source).__name__}


class _OneBatch(_Plain):
    """One batch, repeated: every position is the same."""

    kind = "one batch"

    def batches(self) -> Iterator[Batch]:
        return itertools.chain.from_iterable(map(itertools.repeat, super().batches()))


def _kind(source: object) -> type[_Dataset | _Stateful | _Plain]:
    if isinstance(source, Dataset):
        return _Dataset
    if is_one_batch(source):
        return _OneBatch
    if hasattr(source, "state_dict") and hasattr(source, "load_state_dict"):
        return _Stateful
    return _Plain


def _chain(stage: Stage) -> list[Stage]:
    """A stage and those before it."""
    return [stage, *(_chain(stage.upstream) if isinstance(stage, Through) else [])]


def _described(stage: Stage) -> list[list[JSON]]:
    """Descriptions of the stages that the elements depend on, in order."""
    return [
        [type(each).__name__.strip("_"), each.description()]
        for each in reversed(_chain(stage))
        if not isinstance(each, Prefetch)
    ]


def _check_same(before: list[list[JSON]], now: list[list[JSON]]) -> None:
    for (kind, values), (kind_now, values_now) in zip(before, now, strict=False):
        if kind != kind_now:
            raise ValueError(f"it had {kind} where it now has {kind_now}")
        for name in {**values, **values_now}:
            old, new = values.get(name), values_now.get(name)
            if old != new:
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


def _restored(stage: Stage, position: Mapping[str, JSON]) -> Stage:
    """A copy of the stages with the seeds and lengths of a position, which lists the last stage first."""
    seeds, lengths = iter(position["seeds"]), iter(position["lengths"])

    def restored(stage: Any) -> Any:
        if hasattr(stage, "entropy"):
            stage = dataclasses.replace(stage, entropy=tuple(next(seeds)))
        if isinstance(stage, Repeat):
            stage = dataclasses.replace(stage, each=Counted(next(lengths)))
        if isinstance(stage, Through):
            stage = dataclasses.replace(stage, upstream=restored(stage.upstream))
        return stage

    result: Stage = restored(stage)
    return result
