"""What users get wrong about the arguments of torchest.inputs: each wrong value is refused by name, at the call."""

from __future__ import annotations

import itertools
import os
import pathlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from torchest.columns import FixedLenFeature
from torchest.inputs import (
    Dataset,
    TFRecordDataset,
    make_batched_features_dataset,
    make_csv_dataset,
    make_parquet_dataset,
    numpy_input_fn,
    pandas_input_fn,
    parse_example,
)


class Unprintable:
    def __repr__(self):
        raise RuntimeError


NONE = [None]
NEGATIVE = [-1, -(2**40)]
ZERO = [0, np.int64(0)]
TRUE = [True, np.True_]
FRACTIONS = [1.5, np.float32(2), float("nan"), float("inf")]
TEXTS = ["False", "3"]
EMPTY_TEXT = ["", "a\0b"]
BYTES = [b"x"]
EMPTY = [[], (), set()]
LISTS = [[None], [1.5], [b"\xff", None]]
OBJECTS = [{}, {"x": 1}, object(), lambda: 1, int, Unprintable(), 1j, np.array(3), torch.tensor(1), 2**70]  # fmt: skip
PATHS = ["missing", "folder", "pipe", pathlib.Path("missing"), b"missing"]

NUMBERS = FRACTIONS + TEXTS + EMPTY_TEXT + BYTES + EMPTY + LISTS + OBJECTS + TRUE
WRONG = {
    "a number above 0": [*NUMBERS, *NONE, *NEGATIVE, *ZERO],
    "a number above 0 or none": [*NUMBERS, *NEGATIVE, *ZERO],
    "a number or none": NUMBERS,
    "a seed": FRACTIONS + TEXTS + EMPTY_TEXT + BYTES + EMPTY + LISTS + OBJECTS[:-1] + TRUE,
    "a number": [*NUMBERS, *NONE],
    "a number of at least -1 or none": [*NUMBERS, -2],
    "a boolean": [*FRACTIONS, *TEXTS, *BYTES, *EMPTY, *LISTS, *OBJECTS, *NONE, *NEGATIVE, *ZERO, 1],
    "paths": [*FRACTIONS, *EMPTY_TEXT, *EMPTY, *LISTS, *OBJECTS, *NONE, *TRUE, *PATHS, *NEGATIVE],
    "a function": [*FRACTIONS, *TEXTS, *BYTES, *EMPTY, {}, object(), *NONE, *TRUE, *ZERO],
    "a list of names": [*FRACTIONS, *TEXTS, *EMPTY, *LISTS, *OBJECTS, *TRUE, *ZERO],
    "a list": [*FRACTIONS, *TEXTS, *BYTES, *OBJECTS, *TRUE, *ZERO],
    "a name or none": [*FRACTIONS, *BYTES, *EMPTY, *LISTS, *OBJECTS, *TRUE, *ZERO, "z"],
    "a character": [*FRACTIONS, *EMPTY_TEXT, *BYTES, *OBJECTS, *NONE, *TRUE, "::", "é", "\n"],
    "texts": [*FRACTIONS, *BYTES, *LISTS, *OBJECTS, *TRUE, *ZERO],
    "a compression": [*FRACTIONS, *TEXTS, *BYTES, *EMPTY, *OBJECTS, *TRUE, *ZERO, "gzip", "ZIP"],
    "an encoding": [*FRACTIONS, *EMPTY_TEXT, *BYTES, *OBJECTS, *NONE, *TRUE, "utf-9", "hex"],
    "specs": [*FRACTIONS, *TEXTS, *BYTES, *EMPTY, *OBJECTS, *NONE, *TRUE],
    "records": [*FRACTIONS, *TEXTS, *BYTES, *OBJECTS, *NONE, *TRUE, *ZERO],
    "arrays": [*FRACTIONS, *TEXTS, *BYTES, *EMPTY, *NONE, *TRUE, *ZERO, {}, object(), np.array(3)],
    "labels": [*FRACTIONS, *TEXTS, *BYTES, *TRUE, *ZERO, {}, object(), np.array(3)],
    "a frame": [*FRACTIONS, *TEXTS, *BYTES, *EMPTY, *LISTS, *OBJECTS, *NONE, *TRUE, *ZERO],
    "a series": [*FRACTIONS, *TEXTS, *BYTES, *EMPTY, *LISTS, *OBJECTS, *TRUE, *ZERO],
    "a string": [*FRACTIONS, *BYTES, *EMPTY, *LISTS, *OBJECTS, *NONE, *TRUE, *ZERO],
}
BATCHING = {
    "batch_size": "a number above 0",
    "num_epochs": "a number of at least -1 or none",
    "shuffle": "a boolean",
    "shuffle_buffer_size": "a number above 0",
    "shuffle_seed": "a seed",
    "prefetch_buffer_size": "a number of at least -1 or none",
}
IN_MEMORY = {
    "batch_size": "a number above 0",
    "shuffle": "a boolean",
    "queue_capacity": "a number above 0 or none",
    "num_threads": "a number above 0 or none",
}
ROWS = Dataset.from_tensor_slices({"x": [1, 2, 3]})
SPECS = {"x": FixedLenFeature((), torch.int64)}
FRAME = pd.DataFrame({"x": [1, 2]})
CALLS = {
    make_csv_dataset: (
        {"file_pattern": "data.csv", "batch_size": 2},
        {
            **BATCHING,
            "file_pattern": "paths",
            "column_names": "a list of names",
            "column_defaults": "a list",
            "label_name": "a name or none",
            "select_columns": "a list of names",
            "field_delim": "a character",
            "use_quote_delim": "a boolean",
            "na_value": "texts",
            "header": "a boolean",
            "num_parallel_reads": "a number of at least -1 or none",
            "sloppy": "a boolean",
            "num_rows_for_inference": "a number above 0 or none",
            "compression_type": "a compression",
            "ignore_errors": "a boolean",
            "encoding": "an encoding",
            "strip_whitespace": "a boolean",
        },
    ),
    make_parquet_dataset: (
        {"file_pattern": "data.parquet", "batch_size": 2},
        {
            **BATCHING,
            "file_pattern": "paths",
            "label_name": "a name or none",
            "select_columns": "a list of names",
        },
    ),
    TFRecordDataset: (
        {"filenames": "data.tfrecord"},
        {
            "filenames": "paths",
            "compression_type": "a compression",
            "buffer_size": "a number above 0 or none",
            "num_parallel_reads": "a number of at least -1 or none",
        },
    ),
    make_batched_features_dataset: (
        {"file_pattern": "data.tfrecord", "batch_size": 2, "features": SPECS},
        {
            **BATCHING,
            "file_pattern": "paths",
            "features": "specs",
            "label_key": "a name or none",
            "reader_args": "a list",
            "reader_num_threads": "a number of at least -1 or none",
            "parser_num_threads": "a number of at least -1 or none",
            "sloppy_ordering": "a boolean",
            "drop_final_batch": "a boolean",
        },
    ),
    parse_example: (
        {"serialized": [b""], "features": SPECS},
        {"serialized": "records", "features": "specs"},
    ),
    numpy_input_fn: (
        {"x": {"x": np.arange(3)}, "y": np.arange(3), "shuffle": False},
        {**IN_MEMORY, "x": "arrays", "y": "labels", "num_epochs": "a number or none"},
    ),
    pandas_input_fn: (
        {"x": FRAME, "y": FRAME.x, "shuffle": False},
        {
            **IN_MEMORY,
            "x": "a frame",
            "y": "a series",
            "num_epochs": "a number or none",
            "target_column": "a string",
        },
    ),
    ROWS.batch: (
        {"batch_size": 2},
        {"batch_size": "a number above 0", "drop_remainder": "a boolean"},
    ),
    ROWS.repeat: ({}, {"count": "a number of at least -1 or none"}),
    ROWS.take: ({}, {"count": "a number"}),
    ROWS.skip: ({}, {"count": "a number"}),
    ROWS.shard: (
        {"num_shards": 2, "index": 0},
        {"num_shards": "a number above 0", "index": "a number"},
    ),
    ROWS.prefetch: ({}, {"buffer_size": "a number"}),
    ROWS.shuffle: (
        {"buffer_size": 3},
        {
            "buffer_size": "a number above 0",
            "seed": "a seed",
            "reshuffle_each_iteration": "a boolean",
        },
    ),
    ROWS.map: ({}, {"map_func": "a function"}),
    ROWS.filter: ({}, {"predicate": "a function"}),
    ROWS.iterate: ({}, {"skip": "a number", "iteration": "a number"}),
    Dataset.from_generator: (
        {"generator": lambda: iter([])},
        {"generator": "a function", "args": "a list"},
    ),
}
ARGUMENTS = [(call, argument) for call, (_, arguments) in CALLS.items() for argument in arguments]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    os.mkfifo("pipe")
    pathlib.Path("data.csv").write_text("x,y\n1,a\n2,b\n")
    parquet.write_table(pa.table({"x": [1, 2], "y": ["a", "b"]}), "data.parquet")
    pathlib.Path("data.tfrecord").write_bytes(b"")


@pytest.mark.parametrize(
    ("call", "argument"), ARGUMENTS, ids=lambda value: getattr(value, "__qualname__", value)
)
@pytest.mark.usefixtures("files")
def test_every_wrong_value_is_refused_by_one_sentence_that_names_the_argument(call, argument):
    right, kinds = CALLS[call]
    for value in WRONG[kinds[argument]]:
        with pytest.raises((ValueError, TypeError), match=argument) as raised:
            call(**{**right, argument: value})
        message = str(raised.value)
        assert type(raised.value) in (ValueError, TypeError)
        assert message.endswith((".", ")"))
        assert "\n" not in message
        assert "unexpected keyword" not in message


@pytest.mark.parametrize("call", CALLS, ids=lambda value: value.__qualname__)
@pytest.mark.usefixtures("files")
def test_the_arguments_that_are_right_are_accepted(call):
    right, _ = CALLS[call]
    if right and call is not parse_example:
        call(**right)


@pytest.mark.usefixtures("files")
def test_numpys_numbers_and_booleans_are_accepted():
    data = make_csv_dataset(
        "data.csv", np.int64(2), num_epochs=np.int32(1), shuffle=np.False_, header=np.True_
    )
    assert [batch["x"].tolist() for batch in data] == [[1, 2]]
    rows = ROWS.skip(np.int64(1)).batch(np.uint8(2), drop_remainder=np.True_)
    assert [batch["x"].tolist() for batch in rows] == [[2, 3]]
    fn = numpy_input_fn({"x": np.arange(3)}, batch_size=np.int64(3), shuffle=np.False_)
    assert [batch["x"].tolist() for batch in fn()] == [[0, 1, 2]]


def test_numbers_larger_than_the_data_are_accepted():
    many = 2**62
    assert len(list(ROWS.take(many))) == 3
    assert list(ROWS.skip(many)) == []
    assert list(Dataset.from_tensor_slices({"x": ["a"]}).skip(many)) == []
    assert len(list(ROWS.shard(many, 1))) == 1
    assert len(list(ROWS.batch(many))) == 1
    assert len(list(ROWS.shuffle(many, seed=many))) == 3
    assert len(list(itertools.islice(ROWS.repeat(many), 7))) == 7
    assert len(list(ROWS.prefetch(many))) == 3


def test_a_generator_that_returns_no_iterable_is_named():
    with pytest.raises(TypeError, match=r"generator=.* returned 3, but must return an iterable"):
        list(Dataset.from_generator(lambda: 3))


@pytest.mark.usefixtures("files")
def test_a_reader_that_makes_no_dataset_is_named():
    data = make_batched_features_dataset(
        "data.tfrecord", 2, SPECS, reader=lambda path: path, num_epochs=1
    )
    with pytest.raises(
        TypeError, match=r"reader=.* made 'data.tfrecord' from a path, but must make"
    ):
        list(data)
