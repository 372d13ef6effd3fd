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
import itertools
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torchest.inputs.dataset import Dataset
from torchest.inputs.positions import (
    DATASET,
    STATEFUL,
    Position,
    beginning,
    checked,
    described,
    restored,
    with_counts,
)
from torchest.inputs.resharding import Reader, left_of, measured
from torchest.inputs.source import Source, is_one_batch
from torchest.inputs.source import batches as source_batches
from torchest.inputs.stages import Generated, all_stages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torchest.inputs.batch import Batch

_log = logging.getLogger("torchest")
_ALONE = Reader()


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


def reading_of(source: Source, position: Position | None, reader: Reader = _ALONE) -> Reading:
    """Reads a source from its beginning, or from a position.

    Args:
        source: The result of an input_fn.
        position: The position of another reading of the same source; None for the beginning. A source that
            cannot be read from the middle is read from its beginning, with a warning.
        reader: The process that reads.

    Raises:
        ValueError: The position belongs to another dataset. The message is a clause that says what differs.
    """
    kind = _kind(source)
    if position is not None and (kind is _Plain or position["kind"] != kind.kind):
        if reader.rank == 0:
            _log.warning(
                "Training was interrupted within its input (%s) and cannot resume there: the input (%s) is read from "
                "its beginning, so that some rows are used again. A torchest.inputs.Dataset resumes where it was, and "
                "so does a DataLoader with state_dict and load_state_dict, such as torchdata's StatefulDataLoader.",
                position["source"], type(source).__name__,
            )  # fmt: skip
        position = None
    return kind(source, position, reader)


class _Dataset(Reading):
    """A `Dataset`, whose elements depend only on its seeds and the number of the iteration."""

    kind = DATASET

    def __init__(self, source: Dataset, position: Position | None, reader: Reader) -> None:
        stage = source._stage
        if position is None:
            start = beginning(source)
        else:
            start = checked(position, stage, described(stage))
            if reader.rank == 0 and any(isinstance(each, Generated) for each in all_stages(stage)):
                _log.warning(
                    "Training resumes within the elements of a generator (Dataset.from_generator): it is called again, "
                    "and its first elements are skipped. That is correct if it yields the same elements as before."
                )
        self._start = start
        self._stage = measured(restored(stage, start), reader, iter(start["counted"]))
        self._left = left_of(self._stage, reader, start["worlds"], start["first"])

    def batches(self) -> Iterator[Batch]:
        start = self._start
        return source_batches(Dataset(self._left).iterate(start["batches"], start["iteration"]))

    def position(self, count: int) -> Position:
        return {**with_counts(self._start, self._stage), "batches": self._start["batches"] + count}


class _Stateful(Reading):
    """An iterable with state, such as torchdata's StatefulDataLoader."""

    kind = STATEFUL

    def __init__(self, source: Source, position: Position | None, reader: Reader) -> None:
        del reader
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

    def __init__(self, source: Source, position: Position | None, reader: Reader) -> None:
        del position, reader
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
