from __future__ import annotations

import gzip
import itertools
import os
import pathlib

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest.inputs import make_csv_dataset
from torchest.inputs.seeds import default_seed

TITANIC = pathlib.Path(__file__).parent.parent / "examples" / "data" / "titanic_train.csv"

# The first case is a copy of what tf.data.experimental.make_csv_dataset of TensorFlow 2.15.1 gives for
# this file: types, values of missing cells, batches over the ends of epochs.
SMALL = "i,f,s,big,m,l\n1,1.5,a,5000000000,,0\n2,2,b,1,,1\n3,,,2,,0\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_file(text, name="data.csv"):
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return name

    return write_file


def plain(value):
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, dict):
        return {name: plain(column) for name, column in value.items()}
    return value.to_pylist() if isinstance(value, pa.Array) else value.tolist()


def types(batch):
    return {
        name: "string" if isinstance(c, pa.Array) else c.dtype.name for name, c in batch.items()
    }


def read(path, batch_size=100, limit=10, **options):
    options = {"shuffle": False, "num_epochs": 1, **options}
    return [
        plain(batch)
        for batch in itertools.islice(make_csv_dataset(path, batch_size, **options), limit)
    ]


def read_one(text, write, **options):
    [batch] = read(write(text), **options)
    return batch


def test_types_and_missing_cells_are_tensorflows(write):
    data = make_csv_dataset(write(SMALL), 2, shuffle=False)
    first, second, third = itertools.islice(data, 3)
    assert types(first) == {
        "i": "int32", "f": "float32", "s": "string", "big": "int64", "m": "string", "l": "int32",
    }  # fmt: skip
    assert plain(first) == {
        "i": [1, 2], "f": [1.5, 2.0], "s": ["a", "b"], "big": [5000000000, 1], "m": ["", ""], "l": [0, 1],
    }  # fmt: skip
    assert plain(second) == {
        "i": [3, 1], "f": [0.0, 1.5], "s": ["", "a"], "big": [2, 5000000000], "m": ["", ""], "l": [0, 0],
    }  # fmt: skip
    assert plain(third)["i"] == [2, 3]
    assert [batch["i"] for batch in read("data.csv", 2)] == [[1, 2], [3]]
    assert [batch["i"] for batch in read("data.csv", 2, num_epochs=2)] == [[1, 2], [3, 1], [2, 3]]
    assert read("data.csv", num_epochs=0) == []
    assert [batch["i"] for batch in read("data.csv", 4, num_epochs=-1, limit=1)] == [[1, 2, 3, 1]]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2147483647"], "int32"),
        (["1", "2147483648"], "int64"),
        (["-2147483649"], "int64"),
        (["1", "9223372036854775808"], "float32"),
        (["1", "1.5"], "float32"),
        (["0.12345678901"], "float32"),
        (["1e3", "1E-3"], "float32"),
        (["1e300"], "float64"),
        ([" 1", "2 "], "int32"),
        (["nan"], "string"),
        (["inf"], "string"),
        (["0x10"], "string"),
        (["1_000"], "string"),
        (["true"], "string"),
        (["1", "a"], "string"),
        (["NA", "NA"], "string"),
    ],
)
def test_inferred_types_are_tensorflows(cells, expected, write):
    path = write("x,y\n" + "".join(f"{cell},1\n" for cell in cells))
    [batch] = make_csv_dataset(path, 10, shuffle=False, num_epochs=1)
    assert types(batch)["x"] == expected


def test_floats_are_rounded_once(write):
    assert read_one("x\n0.1\n0.12345678901\n", write) == {
        "x": [0.10000000149011612, 0.12345679104328156]
    }


def test_labels_and_selected_columns(write):
    path = write(SMALL)
    assert read(path, label_name="l", select_columns=["l", "i"]) == [({"i": [1, 2, 3]}, [0, 1, 0])]
    assert list(read(path, select_columns=["s", "i"])[0]) == ["i", "s"]  # in the order of the file
    assert list(read(path, select_columns=[2, 0])[0]) == ["i", "s"]
    assert read(path, select_columns=["l"], label_name="l") == [({}, [0, 1, 0])]


def test_given_types_and_values_of_missing_cells(write):
    path = write(SMALL)
    defaults = [0, 7.5, "q", torch.int64, -1.0, np.float64]
    [batch] = make_csv_dataset(path, 10, column_defaults=defaults, shuffle=False, num_epochs=1)
    assert types(batch) == {
        "i": "int32", "f": "float32", "s": "string", "big": "int64", "m": "float32", "l": "float64",
    }  # fmt: skip
    assert plain(batch)["f"] == [1.5, 2.0, 7.5]
    assert plain(batch)["s"] == ["a", "b", "q"]
    assert plain(batch)["m"] == [-1.0] * 3
    one = read(path, select_columns=["s", "f"], column_defaults=[np.float64(3), [b"z"]])
    assert one == [{"f": [1.5, 2.0, 3.0], "s": ["a", "b", "z"]}]
    assert read(path, select_columns=["i"], column_defaults=[2**40])[0]["i"] == [1, 2, 3]
    assert read(path, select_columns=["i"], column_defaults=[str])[0]["i"] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("x,y\r\n1,a\r\n2,b\r\n", {}, {"x": [1, 2], "y": ["a", "b"]}),
        (b"\xef\xbb\xbfx,y\n1,2\n", {}, {"x": [1], "y": [2]}),
        ('x,y\n1,"a\nb"\n2,"c""d"\n3,"e,f"\n', {}, {"x": [1, 2, 3], "y": ["a\nb", 'c"d', "e,f"]}),
        ('x,y\n1,"a"\n', {"use_quote_delim": False}, {"x": [1], "y": ['"a"']}),
        ("x;y\n1;2,5\n", {"field_delim": ";"}, {"x": [1], "y": ["2,5"]}),
        ("x,y\n1,2\n2,NA\n3,\n", {"na_value": "NA"}, {"x": [1, 2, 3], "y": [2, 0, 0]}),
        ("x,y\n1,2\n2,NA\n", {}, {"x": [1, 2], "y": ["2", "NA"]}),
        (
            "1,2.5\n3,4\n",
            {"header": False, "column_names": ["p", "q"]},
            {"p": [1, 3], "q": [2.5, 4.0]},
        ),
        ("x,y\n1,2\n", {"column_names": ["p", "q"]}, {"p": [1], "q": [2]}),
        ('"x\nz",y\n1,2\n', {"column_names": ["p", "q"]}, {"p": [1], "q": [2]}),
        ("x,y\n1, a \n", {}, {"x": [1], "y": [" a "]}),
        ("x,y\n1,é\n".encode("latin-1"), {"encoding": "latin-1"}, {"x": [1], "y": ["é"]}),
        ("x,日本\n1,語\n", {}, {"x": [1], "日本": ["語"]}),
        ("x,y\n1,2", {}, {"x": [1], "y": [2]}),
    ],
)
def test_oddities_of_csv(text, options, expected, write):
    assert read_one(text, write, **options) == expected


def test_a_header_alone_is_no_rows(write):
    assert read(write("x,y\n")) == []


def test_compressed_files(write):
    path = write("x\n1\n", "data.csv.gz")
    assert read(path) == read(path, compression_type="GZIP") == [{"x": [1]}]
    os.rename(path, "data.packed")
    assert read("data.packed", compression_type="GZIP") == [{"x": [1]}]
    assert read(write("x\n1\n"), compression_type="") == [{"x": [1]}]


def test_several_files_are_read_in_the_order_of_their_names(write):
    for name, value in [("q1.csv", 1), ("q0.csv", 0), ("q2.csv", 2)]:
        write(f"x\n{value}\n", name)
    assert read("q*.csv") == [{"x": [0, 1, 2]}]
    assert read(["q2.csv", pathlib.Path("q0.csv")]) == [{"x": [0, 2]}]
    assert read(write("x\n5\n", "odd[1].csv")) == [{"x": [5]}]


def test_blocks_do_not_show(write):
    rows = 120_000
    text = "n,s\n" + "".join(f"{n},{'word' * (n % 5)}\n" for n in range(rows))
    assert len(text) > 2**20  # more than one block
    numbers, words = [], []
    for batch in make_csv_dataset(write(text), 7000, shuffle=False, num_epochs=1):
        numbers += batch["n"].tolist()
        words += batch["s"].to_pylist()
    assert numbers == list(range(rows))
    assert words == ["word" * (n % 5) for n in range(rows)]


def test_shuffling(write):
    path = write("x\n" + "".join(f"{n}\n" for n in range(50)))

    def epochs(**options):
        data = make_csv_dataset(path, 50, num_epochs=2, **options)
        return [batch["x"].tolist() for batch in data]

    first, second = epochs(shuffle_seed=1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second != list(range(50))
    assert epochs(shuffle_seed=1) == [first, second]
    assert epochs() != epochs()
    near, _ = epochs(shuffle_seed=1, shuffle_buffer_size=5)
    assert all(place > value - 5 for place, value in enumerate(near))
    with default_seed(3):
        one = epochs()
    with default_seed(3):
        assert epochs() == one


def test_files_too_are_shuffled(write):
    for number in range(6):
        write(f"x\n{number}\n", f"part{number}.csv")
    orders = {
        tuple(
            batch["x"][0]
            for batch in make_csv_dataset(
                "part*.csv", 1, num_epochs=1, shuffle_seed=seed, shuffle_buffer_size=1
            )
        )
        for seed in range(5)
    }
    assert len(orders) == 5


def test_a_cache_behind_an_endless_file_reads_it_once(write, monkeypatch):
    path = write("x\n1\n2\n3\n")
    data = (
        make_csv_dataset(path, 2, num_epochs=None, shuffle_seed=1)
        .cache()
        .repeat()
        .shuffle(5)
        .prefetch(2)
    )
    first = list(itertools.islice(data, 6))
    os.remove(path)
    again = list(itertools.islice(data, 6))
    assert all(len(batch["x"]) == 2 for batch in first + again)


def test_reading_ahead_gives_the_same(write):
    path = write(SMALL)
    assert read(path, 2, prefetch_buffer_size=2) == read(path, 2)


def test_the_titanic_passengers():
    first, labels = next(iter(make_csv_dataset(TITANIC, 32, label_name="survived", shuffle=False)))
    assert types(first) == {
        "sex": "string", "age": "float32", "n_siblings_spouses": "int32", "parch": "int32", "fare": "float32",
        "class": "string", "deck": "string", "embark_town": "string", "alone": "string",
    }  # fmt: skip
    assert labels.dtype == np.int32
    assert set(labels.tolist()) == {0, 1}
    rows = [len(y) for _, y in make_csv_dataset(TITANIC, 100, label_name="survived", num_epochs=1)]
    assert sum(rows) == 627


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1), CELLS), min_size=1, max_size=20))
def test_what_was_quoted_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "data.csv"
    quoted = "".join(f'{number},"{text.replace(chr(34), chr(34) * 2)}"\n' for number, text in rows)
    path.write_bytes(("n,t\n" + quoted).encode())
    got = read(path, batch_size=7, limit=None, column_defaults=[0, ""])
    assert [n for batch in got for n in batch["n"]] == [n for n, _ in rows]
    assert [t for batch in got for t in batch["t"]] == [t for _, t in rows]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x,y\n1,2\n2,foo\n",
            r"^data.csv: the column 'y' has 'foo' in data row 2, which is no int32; correct it",
        ),
        ("x\n1\n1.5\n", "the column 'x' has '1.5' in data row 2, which is no int32"),
        ("x\n1\n3000000000\n", "the column 'x' has '3000000000' in data row 2, which is no int32"),
        ("x,y\n1,2\n3\n", "line 3 of data.csv has 1 cells, and there are 2 columns: '3'"),
        ("x,y\n1,2\n3,4,5\n", "line 3 of data.csv has 3 cells, and there are 2 columns: '3,4,5'"),
    ],
)
def test_wrong_cells_are_named_or_left_out(text, message, write):
    path = write(text)
    with pytest.raises(ValueError, match=message):
        read(path, num_rows_for_inference=1)
    [batch] = read(path, num_rows_for_inference=1, ignore_errors=True)
    assert batch["x"] == [1]


def test_a_wrong_cell_far_down_is_found(write):
    lines = [str(n) for n in range(200_000)]
    lines[150_000] = "oops"
    with pytest.raises(ValueError, match="has 'oops' in data row 150001"):
        read(write("x\n" + "\n".join(lines)), batch_size=100_000)


def test_a_missing_cell_where_only_the_type_is_given(write):
    with pytest.raises(
        ValueError,
        match="the column 'x' has no value in data row 2, and column_defaults gives only",
    ):
        read_one("x,y\n1,1\n,2\n", write, column_defaults=[np.int32, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"label_name": "lable"},
            "label_name is 'lable', which is none of the columns that are read",
        ),
        ({"label_name": "l", "select_columns": ["i"]}, "label_name is 'l'.*There are: 'i'"),
        (
            {"select_columns": ["bigg"]},
            "select_columns has 'bigg', which is no column. Did you mean 'big'",
        ),
        ({"select_columns": [6]}, "select_columns has 6, and the columns are 0…5"),
        ({"select_columns": ["i", 0]}, "select_columns has 'i' more than once"),
        ({"column_names": ["a", "a"]}, "column_names has the column 'a' more than once"),
        ({"column_names": ["a", "b"]}, "has 6 cells, and there are 2 columns"),
        (
            {"column_defaults": [0]},
            "column_defaults has 1 entries, and 6 columns are read: i, f, s, big, m, l",
        ),
        ({"header": False}, "With header=False the columns need names; give column_names"),
        (
            {"compression_type": "ZLIB"},
            "compression_type is 'ZLIB', and must be None, '' or 'GZIP'",
        ),
        ({"encoding": "utf-9"}, "data.csv cannot be read as CSV"),
        (
            {"select_columns": ["i"], "column_defaults": [np.int8]},
            "the dtype int8 for the column 'i'",
        ),
    ],
)
def test_wrong_arguments_are_named(options, message, write):
    with pytest.raises(ValueError, match=message):
        read(write(SMALL), **options)


def test_a_default_of_an_unknown_kind_is_refused(write):
    with pytest.raises(
        TypeError, match="column_defaults has None for the column 'i', and each must be a dtype"
    ):
        read(write(SMALL), select_columns=["i"], column_defaults=[None])


@pytest.mark.parametrize(
    ("files", "pattern", "message"),
    [
        ({}, "nope*.csv", r"No file matches file_pattern 'nope\*.csv' \(in the folder"),
        ({}, [], "file_pattern is an empty list"),
        ({"a.csv": ""}, "a.csv", "a.csv is empty, and a header was expected"),
        ({"a.csv": "x,x\n1,2\n"}, "a.csv", "The header of a.csv has the column 'x' more than once"),
        (
            {"a.csv": "x\n1\n", "b.csv": "y\n1\n"},
            "*.csv",
            r"b.csv has the columns \['y'\], and the first file has \['x'\]",
        ),
        (
            {"a.csv": b"x\n\xff\n"},
            "a.csv",
            "a.csv is not text in the encoding 'utf-8'; give its encoding",
        ),
    ],
)
def test_wrong_files_are_named(files, pattern, message, write):
    for name, text in files.items():
        write(text, name)
    with pytest.raises(ValueError, match=message):
        read(pattern)
