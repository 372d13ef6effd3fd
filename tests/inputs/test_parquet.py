from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from torchest import columns
from torchest.columns.features import Features
from torchest.inputs import make_parquet_dataset
from torchest.inputs.seeds import default_seed

SMALL = {"i": [1, 2, 3], "f": [1.5, 2.5, 3.5], "s": ["a", None, ""], "l": [0, 1, 0]}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_file(table, name="data.parquet", **options):
        table = pa.table(table) if isinstance(table, dict) else table
        parquet.write_table(table, name, **options)
        return name

    return write_file


def plain(value):
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, dict):
        return {name: plain(column) for name, column in value.items()}
    return value.to_pylist() if isinstance(value, pa.Array) else value.tolist()


def read(path, batch_size=100, limit=10, **options):
    data = make_parquet_dataset(path, batch_size, **{"shuffle": False, "num_epochs": 1, **options})
    return [plain(batch) for batch in itertools.islice(data, limit)]


def test_batches_and_epochs(write):
    path = write(SMALL)
    assert read(path, label_name="l") == [
        ({"i": [1, 2, 3], "f": [1.5, 2.5, 3.5], "s": ["a", None, ""]}, [0, 1, 0])
    ]
    one = {"select_columns": ["i"]}
    assert read(path, 2, **one) == [{"i": [1, 2]}, {"i": [3]}]
    assert read(path, 2, num_epochs=2, **one) == [{"i": [1, 2]}, {"i": [3, 1]}, {"i": [2, 3]}]
    assert read(path, 4, num_epochs=0) == []
    # Without an end there is no smaller batch.
    for endless in (None, -1):
        assert read(path, 4, num_epochs=endless, limit=1, **one) == [{"i": [1, 2, 3, 1]}]
    assert read(write({"i": [1], "l": [0]}, "one"), 2, num_epochs=None, limit=1) == [
        {"i": [1, 1], "l": [0, 0]}
    ]


def test_selected_columns_come_in_the_order_of_the_file(write):
    path = write(SMALL)
    assert list(read(path, select_columns=["s", "i"])[0]) == ["i", "s"]
    assert list(read(path, select_columns=[2, 0])[0]) == ["i", "s"]
    assert read(path, select_columns=["l", "i"], label_name="l") == [({"i": [1, 2, 3]}, [0, 1, 0])]
    assert read(path, select_columns=["l"], label_name="l") == [({}, [0, 1, 0])]
    assert list(read(write({"a": [1], "a.b": [2]}), select_columns=["a"])[0]) == ["a"]


class _CountingFile:
    """A file that counts the bytes read from it."""

    def __init__(self, path):
        self._file = open(path, "rb")  # noqa: SIM115
        self.read_bytes = 0

    def read(self, *arguments):
        data = self._file.read(*arguments)
        self.read_bytes += len(data)
        return data

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_of_other_columns_nothing_is_read(write, monkeypatch):
    random = np.random.default_rng(0)
    wide = {f"wide{i}": random.random(50_000) for i in range(20)}
    path = write({**wide, "narrow": np.arange(50_000) % 7})
    opened = []
    real = parquet.ParquetFile

    def counting(path, **options):
        opened.append(_CountingFile(path))
        return real(opened[-1], **options)

    with monkeypatch.context() as patch:
        patch.setattr(parquet, "ParquetFile", counting)
        [batch] = read(path, 50_000, select_columns=["narrow"])
    for file in opened:
        file.close()
    assert batch["narrow"] == (np.arange(50_000) % 7).tolist()
    # One column of doubles alone has 400,000 bytes.
    assert 0 < sum(file.read_bytes for file in opened) < 200_000


def test_memory_is_bounded_also_for_one_large_row_group(write):
    random = np.random.default_rng(0)
    rows = 500_000
    table = pa.table({"x": random.random(rows), "y": random.random(rows), "z": random.random(rows)})
    path = write(table, row_group_size=rows, use_dictionary=False)
    before = pa.total_allocated_bytes()
    peak = 0
    for _ in make_parquet_dataset(path, 1000, num_epochs=1, shuffle=False):
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert table.nbytes == 12_000_000
    assert peak < 8_000_000


def test_missing_values_and_empty_texts_differ(write):
    table = {"s": ["a", None, ""], "i": [1, None, 3], "f": [1.5, None, np.nan], "b": [True, None, False]}  # fmt: skip
    [batch] = read(write(table))
    assert batch["s"] == ["a", None, ""]
    assert batch["i"] == [1, None, 3]
    assert batch["b"] == [True, None, False]
    assert batch["f"][:2] == [1.5, None]


def test_a_column_may_have_missing_values_in_some_row_groups_only(write):
    path = write({"i": [1, 2, None, 4]}, row_group_size=2)
    assert read(path, 3) == [{"i": [1, 2, None]}, {"i": [4]}]


def test_dictionaries_stay_and_are_one_for_all_batches_of_a_row_group(write):
    towns = np.array(["Rome", "Oslo", "Lima"])[np.arange(100_000) % 3]
    path = write(pa.Table.from_pandas(pd.DataFrame({"town": pd.Categorical(towns)})))
    addresses = set()
    for batch in make_parquet_dataset(path, 500, num_epochs=1, shuffle_seed=1):
        assert pa.types.is_dictionary(batch["town"].type)
        assert sorted(batch["town"].dictionary.to_pylist()) == ["Lima", "Oslo", "Rome"]
        addresses.add(batch["town"].dictionary.buffers()[-1].address)
    assert len(addresses) == 1


def test_lists_are_multivalent_features(write):
    [batch] = make_parquet_dataset(
        write({"words": [["a", "b"], [], None], "numbers": [[1], [2, 3], []]}),
        3, num_epochs=1, shuffle=False,
    )  # fmt: skip
    assert batch["words"].to_pylist() == [["a", "b"], [], None]
    ids = columns.Features(batch).encoded(columns.categorical_column_with_identity("numbers", 9))
    assert ids.values.tolist() == [1, 2, 3]
    assert ids.offsets.tolist() == [0, 1, 3, 3]


def test_files_are_read_in_the_order_of_their_names_and_in_the_types_of_the_first(write):
    write({"i": pa.array([1, 2], pa.int64())}, "a.parquet")
    write({"other": [7], "i": pa.array([3], pa.int32())}, "b.parquet")
    assert read("*.parquet", 2) == [{"i": [1, 2]}, {"i": [3]}]
    [first, second] = make_parquet_dataset(["b.parquet", "a.parquet"], 2, num_epochs=1, shuffle=False)  # fmt: skip
    assert (first["i"].dtype, second["i"].dtype) == (np.int64, np.int64)


def test_shuffles_move_rows_and_files(write):
    for file in range(5):
        write({"i": np.arange(file * 10, file * 10 + 10)}, f"{file}.parquet")

    def order(**options):
        with default_seed(4):
            actual = read("*.parquet", 7, limit=None, shuffle=True, **options)
        return [number for batch in actual for number in batch["i"]]

    first = order(shuffle_seed=1)
    assert sorted(first) == list(range(50))
    assert first != list(range(50))
    assert order(shuffle_seed=1) == first
    assert order(shuffle_seed=2) != first
    files = [number // 10 for number in order(shuffle_buffer_size=1)]
    assert files != sorted(files)
    two = order(shuffle_seed=1, num_epochs=2)
    assert sorted(two[:50]) == list(range(50))
    assert two[:50] != two[50:]


def test_the_number_of_rows_is_known_and_skipped_row_groups_are_not_read(write, monkeypatch):
    write({"i": np.arange(10)}, "a.parquet", row_group_size=3)
    write({"i": np.arange(10, 14)}, "b.parquet", row_group_size=3)
    data = make_parquet_dataset("*.parquet", 2, num_epochs=3, shuffle=False)
    assert data.cardinality() == 21
    groups = []
    real = parquet.ParquetFile.iter_batches

    def recording(self, *arguments, **options):
        groups.extend(options["row_groups"])
        return real(self, *arguments, **options)

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", recording)
    rest = [batch["i"].tolist() for batch in data.iterate(skip=18)]  # 36 of 42 rows
    assert rest == [[8, 9], [10, 11], [12, 13]]
    assert groups == [2, 3, 0, 1]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)  # fmt: skip
@given(
    rows=st.lists(
        st.tuples(st.none() | st.integers(-5, 5), st.none() | st.text(max_size=3)),
        min_size=1,
        max_size=30,
    ),
    group=st.integers(1, 9),
    batch=st.integers(1, 9),
    seed=st.integers(0, 3),
)
def test_row_groups_do_not_change_the_rows_or_their_order(rows, group, batch, seed, write):
    schema = pa.schema([("i", pa.int64()), ("s", pa.string())])
    table = pa.Table.from_pylist([{"i": i, "s": s} for i, s in rows], schema)

    def all_rows(row_group_size, **options):
        path = write(table, row_group_size=row_group_size)
        parts = read(path, batch, limit=None, **options)
        return [row for part in parts for row in zip(part["i"], part["s"], strict=True)]

    assert all_rows(group) == rows
    shuffled = {"shuffle": True, "shuffle_seed": seed}
    assert all_rows(group, **shuffled) == all_rows(len(rows), **shuffled)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"file_pattern": "none*"}, "No file matches file_pattern 'none\\*' \\(in the folder"),
        ({"file_pattern": []}, r"file_pattern=\[\] must have at least one path."),
        ({"file_pattern": "."}, "file_pattern '.' is a folder: give a pattern of the files in it, such"),
        ({"label_name": "k"}, "label_name is 'k', which is not one of the columns that are read. There"),
        ({"select_columns": ["ii"]}, "select_columns has 'ii', which is not a column. Did you mean 'i'"),
        ({"select_columns": ["i", 0]}, "select_columns has 'i' more than once."),
        ({"select_columns": [9]}, "select_columns has 9, but the columns are 0…3."),
        ({"file_pattern": "text"}, "text cannot be read as a Parquet file: Parquet"),
        ({"file_pattern": "twice"}, "twice has the column 'x' more than once: rename one of them."),
        ({"batch_size": 0}, "batch_size=0 must be a whole number of at least 1."),
    ],
)  # fmt: skip
def test_wrong_arguments(arguments, message, write, tmp_path):
    (tmp_path / "text").write_text("i,f\n1,2\n")
    write(pa.table([[1], [2]], names=["x", "x"]), "twice")
    with pytest.raises(ValueError, match=message):
        make_parquet_dataset(**{"file_pattern": write(SMALL), "batch_size": 2, **arguments})


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"j": [1]}, "b.parquet has no column 'i', unlike the first file. There are: 'j'."),
        ({"i": ["x"]}, "b.parquet has string in the column 'i', but the first file has int64, and not all"),
        (pa.table([[1], [2]], ["i", "i"]), "b.parquet has the column 'i' more than once: rename one"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_the_first(second, message, write):
    write({"i": [1]}, "a.parquet")
    write(second, "b.parquet")
    data = make_parquet_dataset("*.parquet", 1, num_epochs=1, shuffle=False)
    with pytest.raises(ValueError, match=message):
        list(data)


def test_a_damaged_file(write, tmp_path):
    path = write({"i": np.arange(10_000)}, use_dictionary=False, compression="gzip")
    damaged = bytearray((tmp_path / path).read_bytes())
    damaged[100:2000] = bytes(1900)
    (tmp_path / path).write_bytes(damaged)
    with pytest.raises(ValueError, match=r"data\.parquet cannot be read as a Parquet file: "):
        read(path)


def test_a_type_that_is_not_understood_is_an_error_where_it_is_read(write):
    path = write({"point": [{"x": 1}, None], "i": [1, 2]})
    [features] = read(path)
    assert features["i"] == [1, 2]
    with pytest.raises(TypeError, match="'point' holds values of the Arrow type struct<x: int64>"):
        Features({"point": pa.array([{"x": 1}])}).raw("point")
    with pytest.raises(TypeError, match="'labels' holds values of the Arrow type struct<x: int64>"):
        read(path, label_name="point")
