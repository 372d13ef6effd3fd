"""Another number of processes resumes a training where its `shard` allows it: every row of each pass is used once.

The processes are simulated one after the other; those of torchrun are in tests/distributed/test_resizing.py.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest import inputs
from torchest.inputs.chunks import Rows, blocks
from torchest.inputs.positions import check_position, moved_on, with_common_counts
from torchest.inputs.reading import reading_of
from torchest.inputs.resharding import Reader
from torchest.inputs.resizing import resized
from torchest.inputs.seeds import default_seed
from torchest.inputs.stages import Stage


@dataclasses.dataclass(frozen=True)
class Passes(Stage):
    """Rows that tell which pass they are of, in a number that is known beforehand or not."""

    number: int
    is_known: bool

    def chunks(self, epoch, skip):
        columns = {"row": np.arange(self.number), "pass": np.full(self.number, epoch[-1])}
        return blocks(Rows.of(columns).slice(skip, self.number))

    def cardinality(self):
        return self.number if self.is_known else None


def three_rows(row):
    rows = np.arange(3 * row["row"], 3 * row["row"] + 3)
    return inputs.Dataset.from_tensor_slices({"row": rows, "pass": np.full(3, row["pass"])})


PASSES = 3
PIPELINES = {
    "repeat, shard": lambda rows, shard, size: shard(rows.shuffle(7).repeat(PASSES)).batch(size),
    "shard, repeat": lambda rows, shard, size: shard(rows.shuffle(7)).repeat(PASSES).batch(size),
    "shard, batch, repeat": lambda rows, shard, size: shard(rows).batch(size).repeat(PASSES),
    "shard, shuffle": lambda rows, shard, size: shard(rows).shuffle(5).repeat(PASSES).batch(size),
    "shard, cache, shuffle": lambda rows, shard, size: (
        shard(rows).prefetch(2).cache().shuffle(5).repeat(PASSES).batch(size).prefetch(2)
    ),
    "shard, repeat, shuffle": lambda rows, shard, size: (
        shard(rows).repeat(PASSES).shuffle(5).batch(size)
    ),
    "shard, filter": lambda rows, shard, size: (
        shard(rows).filter(lambda row: row["row"] % 3 < 2).repeat(PASSES).batch(size)
    ),
    "batch, shard": lambda rows, shard, size: shard(
        rows.shuffle(7).repeat(PASSES).prefetch(1).batch(size)
    ).map(lambda batch: batch),
    "batch, shard, shuffle": lambda rows, shard, size: (
        shard(rows.repeat(PASSES).batch(size)).shuffle(3).prefetch(1)
    ),
    "shard, interleave": lambda rows, shard, size: (
        shard(rows).interleave(three_rows, cycle_length=2).shuffle(4).repeat(PASSES).batch(size)
    ),
    "shard, zip": lambda rows, shard, size: (
        inputs.Dataset.zip(shard(rows.shuffle(3)), shard(rows))
        .map(lambda row, other: row)
        .padded_batch(size)
        .repeat(PASSES)
    ),
    "filter, batch, unbatch, shard": lambda rows, shard, size: (
        shard(rows.filter(lambda row: row["row"] % 3 < 2).batch(2).unbatch())
        .map(lambda row: row)
        .repeat(PASSES)
        .batch(size)
    ),
}


def run(make, worlds):
    """Batches of each world: for each process a number of steps, in the last world all that is left."""
    positions, used = None, []
    for world, (processes, steps) in enumerate(worlds):
        readings = []
        for rank in range(processes):
            source, reader = make(processes, rank), Reader(rank, processes)
            position = None
            if positions is not None:
                position = (
                    positions[rank]
                    if len(positions) == processes
                    else resized(source, positions, reader)
                )
            readings.append(reading_of(source, position, reader))
        beginnings = [reading.position(0) for reading in readings]
        is_last = world == len(worlds) - 1
        for reading in readings:
            for number, (features, _) in enumerate(reading.batches()):
                if number == steps and not is_last:
                    break
                used.append(features)
        chiefs = readings[0].position(steps)
        others = [with_common_counts(moved_on(each, steps), chiefs) for each in beginnings[1:]]
        positions = json.loads(json.dumps([chiefs, *others]))
        for position in positions:
            check_position(position)
    return used


def rows_of(batches):
    """How often each row of each pass is in the batches."""
    return Counter(
        (int(number), int(row))
        for batch in batches
        for number, row in zip(batch["pass"], batch["row"], strict=True)
    )


WORLDS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9)), min_size=2, max_size=5)


@pytest.mark.parametrize("name", PIPELINES)
@settings(max_examples=25, deadline=None)
@given(
    number=st.integers(1, 40),
    is_known=st.booleans(),
    worlds=WORLDS,
    sizes=st.lists(st.integers(1, 5), min_size=4, max_size=4),
)
def test_every_row_of_each_pass_is_used_once(name, number, is_known, worlds, sizes):
    def make(processes, rank):
        rows = inputs.Dataset(Passes(number, is_known))
        with default_seed(processes):
            return PIPELINES[name](
                rows, lambda data: data.shard(processes, rank), sizes[processes - 1]
            )

    rows = [row for row in range(number) if "filter" not in name or row % 3 < 2]
    rows = [3 * row + third for row in rows for third in range(3)] if "interleave" in name else rows
    # a cache has the rows of the first pass for all passes
    passes = [0] * PASSES if "cache" in name else range(PASSES)
    assert rows_of(run(make, worlds)) == Counter((each, row) for each in passes for row in rows)


def test_former_processes_may_differ_in_the_seeds_and_buffers_of_their_shuffles():
    def make(processes, rank):
        rows = inputs.Dataset(Passes(40, is_known=True)).shard(processes, rank)
        return rows.shuffle(3 + rank + processes, seed=rank).repeat(PASSES).batch(2)

    every_row = Counter((each, row) for each in range(PASSES) for row in range(40))
    assert rows_of(run(make, [(2, 7), (3, 4), (4, 6), (1, 0)])) == every_row


def csv(paths, size):
    return inputs.make_csv_dataset(paths, size, num_epochs=PASSES, shuffle_seed=1)


def parquet(paths, size):
    return inputs.make_parquet_dataset(paths, size, num_epochs=PASSES, shuffle=False)


@pytest.mark.parametrize("read", [csv, parquet])
def test_rows_of_files_are_dealt_anew_in_batches_of_another_size(tmp_path, read):
    for number in range(3):
        frame = pd.DataFrame({"row": np.arange(number * 20, number * 20 + 17)})
        path = tmp_path / f"part-{number}"
        frame.to_csv(path, index=False) if read is csv else frame.to_parquet(path, row_group_size=5)

    def make(processes, rank):
        with default_seed(processes):
            return read(str(tmp_path / "part-*"), 12 // processes).shard(processes, rank)

    used = [batch["row"] for batch in run(make, [(2, 3), (3, 2), (4, 5), (1, 0)])]
    rows = [number * 20 + row for number in range(3) for row in range(17)]
    assert Counter(np.concatenate(used).tolist()) == Counter(rows * PASSES)


def test_the_number_of_batches_counts_after_a_change_too():
    """A second interruption, in the same number of processes."""

    def make(processes, rank):
        return inputs.Dataset(Passes(40, is_known=True)).shard(processes, rank).batch(2)

    used = run(make, [(2, 3), (3, 2), (3, 1), (3, 1), (1, 0)])
    assert rows_of(used) == Counter((0, row) for row in range(40))


def interrupted(make, processes, steps):
    """The positions of processes after some steps."""
    readings = [reading_of(make(processes, rank), None) for rank in range(processes)]
    beginnings = [reading.position(0) for reading in readings]
    for reading in readings:
        for _ in zip(range(steps), reading.batches(), strict=False):
            pass
    return [readings[0].position(steps), *(moved_on(each, steps) for each in beginnings[1:])]


WHOLE = Counter({(each, row): 1 for each in range(PASSES) for row in range(12)})


@pytest.mark.parametrize(
    ("make", "reason", "start"),
    [
        (
            lambda rows, processes, rank: rows.repeat(PASSES).batch(6 // processes),
            "the rows are not dealt to the processes. The input is read from the beginning of pass 2",
            1,
        ),
        (
            lambda rows, processes, rank: rows.shard(2, 0).repeat(PASSES).batch(1),
            "the rows are not dealt to the processes. The input is read from the beginning of pass 2",
            1,
        ),
        (
            lambda rows, processes, rank: (rows.shard(3, rank) if processes > 2 else rows).batch(1),
            "the rows were not dealt to the processes. The input is read from its beginning",
            0,
        ),
        (
            lambda rows, processes, rank: (
                rows.shuffle(4, seed=rank).repeat(PASSES).shard(processes, rank).batch(1)
            ),
            "the processes had shuffled the rows differently before these were dealt. The input is read from its",
            0,
        ),
    ],
)
def test_an_input_without_shards_starts_its_pass_anew(make, reason, start, caplog):
    def of_process(processes, rank):
        return make(inputs.Dataset(Passes(12, is_known=False)), processes, rank)

    positions = interrupted(of_process, 2, 7)
    for rank in range(3):
        source = of_process(3, rank)
        position = resized(source, positions, Reader(rank, 3))
        first, *_ = reading_of(source, position, Reader(rank, 3)).batches()
        assert first.features["pass"][0] == start
    assert [record.levelname for record in caplog.records] == ["WARNING"], "the first process tells"
    message = caplog.records[0].getMessage()
    assert message.startswith("Training was interrupted in 2 processes and resumes in 3, ")
    assert reason in message
    assert "shard(input_context.num_input_pipelines, input_context.input_pipeline_id)" in message


def test_shards_that_never_end_are_told(caplog):
    def make(processes, rank):
        rows = inputs.Dataset(Passes(12, is_known=True))
        return rows.shard(processes, rank).repeat().shuffle(4, seed=1).batch(1)

    positions = interrupted(make, 2, 3)
    for rank in range(3):
        resized(make(3, rank), positions, Reader(rank, 3))
    assert len(caplog.records) == 1
    assert "reads 2 former shards to the end of the training" in caplog.text
    assert "as repeat comes before shuffle" in caplog.text


def test_a_loader_with_a_state_starts_anew(caplog):
    class Loader:
        def __iter__(self):
            return iter([{"x": torch.ones(1)}] * 4)

        def state_dict(self):
            return {"at": 3}

        def load_state_dict(self, state):
            raise AssertionError

    positions = [reading_of(Loader(), None).position(0), None]
    for rank in range(3):
        assert resized(Loader(), positions, Reader(rank, 3)) is None
    assert (
        "each process has a state of its own. The input is read from its beginning" in caplog.text
    )
    assert len(caplog.records) == 1


def test_one_batch_stays_one():
    batch = {"x": np.arange(3)}
    positions = [reading_of(batch, None).position(2), None]
    reading = reading_of(batch, resized(batch, positions, Reader(0, 1)))
    assert next(iter(reading.batches())).features["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (
            lambda rows: rows.shuffle(4).shard(3, 0).batch(2),
            "buffer_size of Shuffle was 3 and is 4",
        ),
        (
            lambda rows: rows.shuffle(3).shard(3, 0).repeat().batch(2),
            "it had Batch where it now has",
        ),
        (lambda rows: rows.skip(1).shuffle(3).shard(3, 0).batch(2), "it had Shuffle where it now"),
    ],
)
def test_an_input_that_has_changed_is_refused_in_another_number_too(other, difference):
    def make(processes, rank):
        return inputs.Dataset(Passes(12, is_known=True)).shuffle(3).shard(processes, rank).batch(3)

    positions = interrupted(make, 2, 1)
    with pytest.raises(ValueError, match=difference):
        resized(other(inputs.Dataset(Passes(12, is_known=True))), positions, Reader(0, 3))


def test_what_is_joined_to_the_shards_must_stay_the_same():
    def make(processes, rank, number=12):
        rows = inputs.Dataset(Passes(12, is_known=True)).shard(processes, rank)
        others = inputs.Dataset.from_tensor_slices(np.arange(number))
        return inputs.Dataset.zip(rows, others).map(lambda row, other: row).batch(2)

    positions = interrupted(make, 2, 1)
    assert resized(make(3, 0), positions, Reader(0, 3)) is not None
    with pytest.raises(ValueError, match="rows of Table was 12 and is 13"):
        resized(make(3, 0, 13), positions, Reader(0, 3))


def test_a_position_tells_in_few_words_what_former_processes_have_left():
    def make(processes, rank):
        return inputs.Dataset(Passes(40, is_known=True)).shard(processes, rank).batch(2)

    positions = interrupted(make, 2, 3)
    assert positions[0]["worlds"] == []
    positions = [resized(make(3, rank), positions, Reader(rank, 3)) for rank in range(3)]
    assert [position["worlds"] for position in positions] == [[{"places": [[0, 12]]}]] * 3
    positions = [moved_on(position, 2) for position in positions]
    assert resized(make(1, 0), positions, Reader())["worlds"] == [{"places": [[0, 24]]}]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"first": -1}, "first"),
        ({"worlds": {}}, "worlds"),
        ({"worlds": [{"places": []}]}, "worlds"),
        ({"worlds": [{"places": [[0, 1, 2]]}]}, "worlds"),
        ({"worlds": [{"places": [[0, 2**63]]}]}, "worlds"),
        ({"worlds": [{"places": [[2**40, 0]]}]}, "worlds"),
        ({"worlds": [{"places": [[0, 1]], "settings": []}]}, "worlds"),
        ({"worlds": [{"places": [[0, 1]], "settings": [[{"size": "a"}]]}]}, "worlds"),
        ({"counted": [-1]}, "counted"),
    ],
)
def test_what_no_training_writes_is_refused(changes, name):
    position = reading_of(inputs.Dataset(Passes(4, is_known=True)).batch(1), None).position(1)
    check_position(position)
    with pytest.raises(ValueError, match=f"the {name} of the place in the input are not what"):
        check_position({**position, **changes})


@pytest.mark.parametrize(
    ("world", "difference"),
    [
        ({"places": [[0, 1]]}, "its rows are dealt to the processes otherwise"),
        (
            {"places": [[0, 1]], "settings": [[{"buffer_size": -4}]]},
            "buffer_size of Shuffle was -4",
        ),
        (
            {"places": [[0, 1]], "settings": [[{"buffer_size": True}]]},
            "buffer_size of Shuffle was True",
        ),
    ],
)
def test_settings_that_no_stage_has_are_refused(world, difference):
    source = inputs.Dataset(Passes(4, is_known=True)).shard(1, 0).shuffle(2).batch(1)
    position = {**reading_of(source, None).position(1), "worlds": [world]}
    check_position(position)
    with pytest.raises(ValueError, match=difference):
        reading_of(source, position)
