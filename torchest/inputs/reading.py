"""Reading what an input_fn returned so that another process can go on where this one was interrupted.

    reading = reading_of(source, None)
    batches = reading.batches()
    ...                                          # 20 batches were trained on
    position = reading.position(20)
    ...                                          # in another process:
    batches = reading_of(source, position).batches()     # from the 21st on

A position consists of JSON values and tensors.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

from torchest.inputs.dataset import Dataset
from torchest.inputs.source import batches as source_batches
from torchest.inputs.source import is_one_batch
from torchest.inputs.stages import Counted, Generated, Prefetch, Repeat, Stage, Through
from torchest.utils.checks import is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torchest.inputs.batch import Batch

Position: TypeAlias = dict[str, Any]  # JSON values and tensors
_log = logging.getLogger("torchest")


class Reading(ABC):
    """One pass over what an input_fn returned."""

    kind: str

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """The batches; asked for once."""

    @abstractmethod
    def position(self, count: int) -> Position:
        """What tells where the pass is, once so many of its batches have been used, whatever was read ahead."""

    def forget(self, count: int) -> None:  # noqa: B027 - most have nothing to forget
        """So many batches have been used: no position before will be asked for."""


def reading_of(source: Any, position: Mapping[str, Any] | None) -> Reading:
    """Reads a source from its beginning, or from a position.

    Args:
        source: What an input_fn returned.
        position: What another reading of the same source told; None for the beginning. If the source
            cannot be read from the middle, it is read from its beginning, with a warning.

    Raises:
        ValueError: The position is one in another dataset; says what differs, in half a sentence.
    """
    kind = _kind(source)
    if position is not None and (kind is _Plain or position["kind"] != kind.kind):
        _log.warning(
            "Training was interrupted within its input (%s) and cannot go on there: the input (%s) is read from its "
            "beginning, so that rows which were used already are used again. A torchest.inputs.Dataset goes on where "
            "it was, and so does a DataLoader with state_dict and load_state_dict, such as torchdata's "
            "StatefulDataLoader.",
            position["source"], type(source).__name__,
        )  # fmt: skip
        position = None
    return kind(source, position)


def check_position(position: Any) -> None:
    """Looks whether a position is one that a reading tells.

    Raises:
        ValueError: It is not; says what is wrong, in half a sentence.
    """
    for name in ("kind", "source"):
        if not isinstance(position, dict) or not isinstance(position.get(name), str):
            raise ValueError(f"the place in the input has no {name}")
    if position["kind"] == _Stateful.kind and "state" not in position:
        raise ValueError("the place in the input has no state")
    if position["kind"] == _Dataset.kind:
        is_right = {
            "description": _is_description(position.get("description")),
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


def _is_description(value: Any) -> bool:
    return _are(
        value,
        lambda stage: (
            isinstance(stage, list | tuple) and len(stage) == 2 and isinstance(stage[1], dict)
        ),
    )


def _are(values: Any, check: Callable[[Any], bool]) -> bool:
    return isinstance(values, list | tuple) and all(map(check, values))


def _is_whole(value: Any, below: int | None = None) -> bool:
    return is_whole(value) and value >= 0 and (below is None or value < below)


def moved_on(position: Position, count: int) -> Position | None:
    """The position so many batches later, where a position is a number of batches; else None.

    What other processes than the one that saves have read is known by numbers only.
    """
    if "batches" not in position:
        return None
    return {**position, "batches": position["batches"] + count}


class _Dataset(Reading):
    """A `Dataset`: what it gives is a function of its seeds and of the number of the iteration."""

    kind = "dataset"

    def __init__(self, source: Dataset, position: Mapping[str, Any] | None) -> None:
        stage = source._stage
        self._description = _described(stage)
        if position is None:
            self._iteration, self._first = next(source._iterations), 0
        else:
            _check_same(position["description"], self._description)
            self._iteration, self._first = position["iteration"], position["batches"]
            _check_counts(position, stage)
            stage = _replaced(stage, _seed_setter(iter(position["seeds"])))
            stage = _replaced(stage, _length_setter(iter(position["lengths"])))
            if any(isinstance(each, Generated) for each in _chain(stage)):
                _log.warning(
                    "Training goes on within the elements of a generator (Dataset.from_generator): it is called anew, "
                    "and its first elements are left out. That is right if it gives the same elements as before."
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


def _check_counts(position: Mapping[str, Any], stage: Any) -> None:
    """Raises ValueError unless a position has seeds and lengths for all stages that take one."""
    stages = _chain(stage)
    counts = {
        "seeds": sum(hasattr(each, "entropy") for each in stages),
        "lengths": sum(isinstance(each, Repeat) for each in stages),
    }
    for name, count in counts.items():
        if len(position[name]) != count:
            raise ValueError(f"it has {count} {name}, and the checkpoint {len(position[name])}")


class _Stateful(Reading):
    """An iterable that tells where it is, such as torchdata's StatefulDataLoader."""

    kind = "stateful"

    def __init__(self, source: Any, position: Mapping[str, Any] | None) -> None:
        if position is not None:
            source.load_state_dict(position["state"])
        self._source = source
        # What it tells is taken with each batch, as batches are read ahead of those that are used.
        self._states = {0: copy.deepcopy(source.state_dict())}

    def batches(self) -> Iterator[Batch]:
        for count, batch in enumerate(source_batches(self._source), 1):
            self._states[count] = copy.deepcopy(self._source.state_dict())
            yield batch

    def position(self, count: int) -> Position:
        state = self._states[max(known for known in list(self._states) if known <= count)]
        return {"kind": self.kind, "source": type(self._source).__name__, "state": state}

    def forget(self, count: int) -> None:
        last = max(known for known in list(self._states) if known <= count)
        for known in [known for known in list(self._states) if known < last]:
            del self._states[known]


class _Plain(Reading):
    """An iterable that cannot tell where it is."""

    kind = "iterable"

    def __init__(self, source: Any, position: Mapping[str, Any] | None) -> None:
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


def _kind(source: Any) -> type[_Dataset | _Stateful | _Plain]:
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


def _described(stage: Stage) -> list[list[Any]]:
    """The stages that the elements depend on, the source first."""
    return [
        [type(each).__name__.strip("_"), each.description()]
        for each in reversed(_chain(stage))
        if not isinstance(each, Prefetch)
    ]


def _check_same(before: list[list[Any]], now: list[list[Any]]) -> None:
    for (kind, values), (kind_now, values_now) in zip(before, now, strict=False):
        if kind != kind_now:
            raise ValueError(f"where it had {kind}, it has {kind_now}")
        for name in {**values, **values_now}:
            old, new = values.get(name), values_now.get(name)
            if old != new:
                raise ValueError(
                    f"{name} of {kind} was {_shown(old, new)} and is {_shown(new, old)}"
                )
    if len(before) != len(now):
        raise ValueError(f"it had {len(before)} stages, and has {len(now)}")


def _shown(value: Any, other: Any) -> str:
    """A value; of lists the items that the other has not."""
    if isinstance(value, list) and isinstance(other, list):
        value = [item for item in value if item not in other] or value
    return f"{value!r:.200}"


def _replaced(stage: Stage, change: Callable[[Stage], Stage]) -> Stage:
    """A copy of the stages, each as `change` gives it; called from the last one on."""
    changed = change(stage)
    if isinstance(changed, Through):
        changed = dataclasses.replace(changed, upstream=_replaced(changed.upstream, change))
    return changed


def _seed_setter(seeds: Iterator[list[int]]) -> Callable[[Stage], Stage]:
    def change(stage: Any) -> Any:
        if not hasattr(stage, "entropy"):
            return stage
        return dataclasses.replace(stage, entropy=tuple(next(seeds)))

    return change


def _length_setter(lengths: Iterator[int | None]) -> Callable[[Stage], Stage]:
    def change(stage: Any) -> Any:
        if isinstance(stage, Repeat):
            return dataclasses.replace(stage, each=Counted(next(lengths)))
        return stage

    return change
