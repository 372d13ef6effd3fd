from __future__ import annotations

import gzip
import itertools
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest.inputs import make_csv_dataset
from torchest.inputs.seeds import default_seed

TITANIC = pathlib.Path(__file__).parents[2] / "examples" / "data" / "titanic_train.csv"

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
        ("x,y\n1,2\n2,NA\n3,-\n", {"na_value": ["NA", "-"]}, {"x": [1, 2, 3], "y": [2, 0, 0]}),
        ("x,y\n1, ?\n2,3\n", {"na_value": " ?"}, {"x": [1, 2], "y": [0, 3]}),
        (
            "x,y\n1, ?\n2,3\n",
            {"na_value": "?", "strip_whitespace": True},
            {"x": [1, 2], "y": [0, 3]},
        ),
        ("x , y\n1, a \n2,\n", {"strip_whitespace": True}, {"x": [1, 2], "y": ["a", ""]}),
        ("x,y\n1,foo\n2,NA\n", {}, {"x": [1, 2], "y": ["foo", "NA"]}),
        ('x,y\n1,""\n2,"3"\n', {}, {"x": [1, 2], "y": [0, 3]}),
        ("x,y\n\n1,2\n\n\n3,4\n\n", {}, {"x": [1, 3], "y": [2, 4]}),
        ("x,y\r1,2\r3,4\r", {}, {"x": [1, 3], "y": [2, 4]}),
        ("x\ty\n1\t2\n", {"field_delim": "\t"}, {"x": [1], "y": [2]}),
        ("x,y\n1,é\n".encode("utf-16"), {"encoding": "utf-16"}, {"x": [1], "y": ["é"]}),
        ("x,y\n1,é\n".encode("utf-16-be"), {"encoding": "utf-16-be"}, {"x": [1], "y": ["é"]}),
        (",y\n1,2\n", {}, {"": [1], "y": [2]}),
        (
            'x,y\n1,"a,""b"""\n2,""""\n3,""\n',
            {"column_defaults": [0, "-"]},
            {"x": [1, 2, 3], "y": ['a,"b"', '"', "-"]},
        ),
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
            r"^data.csv, line 3: the column 'y' has 'foo', which is not int32; correct it",
        ),
        ("x\n1\n1.5\n", "data.csv, line 3: the column 'x' has '1.5', which is not int32"),
        (
            "x\n1\n3000000000\n",
            "data.csv, line 3: the column 'x' has '3000000000', which is not int32",
        ),
        ("x,y\n1,2\n3\n", "^data.csv, line 3: there are 1 cells, but 2 columns: '3'"),
        ("x,y\n1,2\n3,4,5\n", "^data.csv, line 3: there are 3 cells, but 2 columns: '3,4,5'"),
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
    with pytest.raises(ValueError, match=r"^data.csv, line 150002: the column 'x' has 'oops'"):
        read(write("x\n" + "\n".join(lines)), batch_size=100_000)


def test_a_missing_cell_where_only_the_type_is_given(write):
    with pytest.raises(
        ValueError,
        match=r"data.csv, line 3: the column 'x' has no value, but column_defaults has only",
    ):
        read_one("x,y\n1,1\n,2\n", write, column_defaults=[np.int32, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"label_name": "lable"},
            "label_name is 'lable', which is not one of the columns that are read",
        ),
        ({"label_name": "l", "select_columns": ["i"]}, "label_name is 'l'.*There are: 'i'"),
        (
            {"select_columns": ["bigg"]},
            "select_columns has 'bigg', which is not a column. Did you mean 'big'",
        ),
        ({"select_columns": [6]}, "select_columns has 6, but the columns are 0…5"),
        ({"select_columns": ["i", 0]}, "select_columns has 'i' more than once"),
        ({"column_names": ["a", "a"]}, "column_names has the column 'a' more than once"),
        ({"column_names": ["a", "b"]}, "data.csv, line 2: there are 6 cells, but 2 columns"),
        (
            {"column_defaults": [0]},
            r"column_defaults=\[0\] has 1 entries, but 6 columns are read: i, f, s, big, m, l",
        ),
        ({"header": False}, "With header=False the columns need names; give column_names"),
        (
            {"compression_type": "ZLIB"},
            "compression_type='ZLIB' is not known. There are: '', 'GZIP', None",
        ),
        ({"encoding": "utf-9"}, "encoding='utf-9' must be a text encoding"),
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
        TypeError,
        match="column_defaults has None for the column 'i', but each entry must be a dtype",
    ):
        read(write(SMALL), select_columns=["i"], column_defaults=[None])


@pytest.mark.parametrize(
    ("files", "pattern", "message"),
    [
        ({}, "nope*.csv", r"No file matches file_pattern 'nope\*.csv' \(in the folder"),
        ({}, [], r"file_pattern=\[\] must have"),
        ({"a.csv": ""}, "a.csv", "a.csv is empty, but must have a header"),
        ({"a.csv": "x,x\n1,2\n"}, "a.csv", "The header of a.csv has the column 'x' more than once"),
        (
            {"a.csv": "x\n1\n", "b.csv": "y\n1\n"},
            "*.csv",
            r"b.csv has the columns \['y'\], but the first file has \['x'\]",
        ),
        (
            {"a.csv": b"x\n\xff\n"},
            "a.csv",
            r"a.csv, line 2: b'\\xff' is not text in the encoding 'utf-8'; give the encoding",
        ),
    ],
)
def test_wrong_files_are_named(files, pattern, message, write):
    for name, text in files.items():
        write(text, name)
    with pytest.raises(ValueError, match=message):
        read(pattern)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'a,b\n1,x\n2,"y\n3,z\n4,w\n',
            r"^data.csv, line 3: the quoted cell '\"y\\n3,z\\n4,w\\n' does not end with a quote",
        ),
        ('a,b\n1,x\n2,"y\n3,"z"\n4,w\n', r"^data.csv, line 3: the quoted cell '\"y"),
        ('a,b\n1,"x"y\n4,w\n', r"^data.csv, line 2: the quoted cell '\"x\"y"),
        ('a,b\n1,"x" \n4,w\n', r"^data.csv, line 2: the quoted cell '\"x\" "),
        (
            'a,b\n1,x"y\n4,w\n',
            r"^data.csv, line 2: the cell 'x\"y' has a quote but does not begin with one",
        ),
        ("a,b\n1,5' 10\"\n4,w\n", r"^data.csv, line 2: the cell '5\\' 10\"' has a quote"),
        ('a,b\n1, "x"\n4,w\n', r"^data.csv, line 2: the cell ' \"x\"' has a quote"),
        ('a,b\n"1\n2",x\n"3,4",y""\n4,w\n', r"^data.csv, line 4: the cell 'y\"\"' has a quote"),
    ],
)
def test_a_misplaced_quote_is_an_error_that_names_the_line_and_the_cell(text, message, write):
    path = write(text)
    with pytest.raises(ValueError, match=message):
        read(path)
    last = {"a": "4", "b": "w"}
    [batch] = read(path, ignore_errors=True, column_defaults=["", ""])
    assert {name: cells[-1] for name, cells in batch.items()} == last
    [batch] = read(path, ignore_errors=True, column_defaults=["", ""], batch_size=100)
    assert all('"' not in cell.replace("4,w", "") for cell in batch["b"])
    read(path, use_quote_delim=False, ignore_errors=True)


def test_rows_with_misplaced_quotes_are_left_out_line_by_line(write):
    lines = [f'{n},5" wide' if n % 7 == 3 else f'{n},"a ""{n}"""' for n in range(50_000)]
    path = write("n,t\n" + "\n".join(lines) + "\n")
    numbers = [n for batch in read(path, 999, None, ignore_errors=True) for n in batch["n"]]
    assert numbers == [n for n in range(50_000) if n % 7 != 3]


@pytest.mark.parametrize("ending", ["", "\n"])
@pytest.mark.parametrize("letters", [2**20 - 3, 3_000_000])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_cell_may_be_longer_than_a_block(letters, quote, ending, write):
    long = "x" * letters + (",\n" if quote else "")
    path = write(f"n,t\n1,{quote}{long}{quote}\n2,{quote}y{quote}{ending}")
    [batch] = read(path)
    assert batch["n"] == [1, 2]
    assert batch["t"] == [long, "y"]


def test_a_row_and_a_header_may_be_longer_than_a_block(write):
    columns = [f"column {n:060}" for n in range(20_000)]
    path = write(",".join(columns) + "\n" + ",".join("1" for _ in columns) + "\n2\n")
    [batch] = read(path, select_columns=[19_999], ignore_errors=True)
    assert batch == {f"column {19_999:060}": [1]}
    with pytest.raises(
        ValueError, match=r"^data.csv, line 3: there are 1 cells, but 20000 columns"
    ):
        read(path, select_columns=[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a\0,b\n1,2\n", r"^data.csv, line 1: there is a NUL byte in b'a\\x00,b\\n1,2"),
        (b"a,b\n1,2\n3,x\0y\n", r"^data.csv, line 3: there is a NUL byte in b'3,x\\x00y\\n'"),
        ("a,b\n1,2\n".encode("utf-16-le"), "line 1: there is a NUL byte .* encoding='utf-16'"),
        ("a,b\n1,2\n".encode("utf-16"), "^data.csv is text in UTF-16, .* give encoding='utf-16'"),
        (gzip.compress(b"a\n1\n"), "^data.csv is compressed by gzip: give compression_type='GZIP'"),
        (b"PK\x03\x04...", "^data.csv is a zip archive: unpack it"),
        (b"PAR1\x15\x04", "^data.csv is a Parquet file: read it with make_parquet_dataset"),
        (b"a,b\n1,2\n# a comment\n", "^data.csv, line 3: there are 1 cells, but 2 columns: '# a"),
        (b"a,b\n1,\xe9t\xe9\n", r"^data.csv, line 2: b'\\xe9' is not text in the encoding 'utf-8'"),
        (b"a\xe9,b\n1,2\n", r"^data.csv, line 1: b'\\xe9' is not text in the encoding 'utf-8'"),
        (b"\n\n", "^data.csv is empty, but must have a header"),
    ],
)
def test_a_file_that_is_no_text_or_no_table_is_refused(text, message, write):
    with pytest.raises(ValueError, match=message):
        read(write(text))


def test_the_wrong_encoding_is_named_with_the_line(write):
    path = write("a\n1\n2\né\n".encode())
    with pytest.raises(ValueError, match=r"line 4: b'\\xc3' is not text in the encoding 'ascii'"):
        read(path, encoding="ascii")


def test_a_damaged_or_plain_file_read_as_gzip_is_an_error(write):
    whole = gzip.compress(b"a\n" + b"123456\n" * 1000)
    for data in (whole[: len(whole) // 2], b"a\n1\n"):
        pathlib.Path("cut.gz").write_bytes(data)
        with pytest.raises(ValueError, match=r"^cut.gz cannot be read: .*; it may be damaged"):
            read("cut.gz")


@pytest.mark.parametrize("row", [1, 3, 101, 250])
@pytest.mark.parametrize("number", ["7", "1.5"])
@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("NA", "has 'NA' among numbers; .* give na_value='NA'"),
        ("NaN", "has 'NaN' among numbers; .* give na_value='NaN'"),
        ("null", "has 'null' among numbers"),
        (" ?", r"has ' \?' among numbers; .* give na_value='\?'"),
        ("n/a", "has 'n/a' among numbers"),
        ("-", "has '-' among numbers"),
        ("-inf", "has '-inf' among numbers"),
        ("  ", "has '  ' among numbers; .* give strip_whitespace=True"),
    ],
)
def test_a_marker_among_numbers_is_an_error_in_any_row(row, number, cell, message, write):
    cells = [number] * 300
    cells[row - 1] = cell
    path = write("x,y\n" + "".join(f"{cell},1\n" for cell in cells))
    with pytest.raises(ValueError, match=f"^data.csv, line {row + 1}: the column 'x' {message}"):
        read(path, 300)
    [batch] = read(path, 300, ignore_errors=True)
    assert batch["x"] == [float(number)] * 299
    missing = {"na_value": [cell.strip(), "other"], "strip_whitespace": True}
    [batch] = read(path, 300, **missing)
    assert batch["x"][row - 1] == 0
    assert sum(batch["x"]) == 299 * float(number)


def test_nan_is_a_float_where_the_type_is_given(write):
    [batch] = read(write("x\n1\nnan\n"), column_defaults=[np.float32])
    assert np.isnan(batch["x"][1])


@pytest.mark.parametrize("cell", ["0501", "-007", "00", "00.5", "0x10", "+5"])
def test_codes_are_text_and_not_numbers(cell, write):
    path = write("x\n12\n" + f"{cell}\n" + "13\n" * 300)
    assert read(path, 2)[0]["x"] == ["12", cell]


def test_signs_and_exponents_of_floats_are_numbers(write):
    assert read_one("x\n+1.5\n-0.5\n1e5\n+3\n0\n", write)["x"] == [1.5, -0.5, 1e5, 3, 0]


@pytest.mark.parametrize("cell", ["0501", "-007", "00", "0x10", "1e300", "+5"])
def test_codes_below_the_rows_that_types_are_inferred_from_are_errors(cell, write):
    path = write("x\n" + "12\n" * 200 + f"{cell}\n13\n")
    with pytest.raises(
        ValueError, match=f"^data.csv, line 202: the column 'x' has '{re.escape(cell)}'"
    ):
        read(path, 300)
    [batch] = read(path, 300, ignore_errors=True)
    assert batch["x"] == [12] * 200 + [13]


def test_leading_zeros_are_read_as_numbers_where_the_type_is_given(write):
    path = write("x\n0501\n")
    assert read(path, column_defaults=[np.int32])[0]["x"] == [501]
    with pytest.raises(ValueError, match="'0x10', which is not int32"):
        read(write("x\n0x10\n"), column_defaults=[np.int32])


def test_lines_are_counted_over_blocks_quoted_line_breaks_and_empty_lines(write):
    text = "a,b\n" + '\n1,"x\ny"\r\n' * 200_000 + "oops,1\n"
    with pytest.raises(ValueError, match=r"^data.csv, line 600002: the column 'a' has 'oops'"):
        read(write(text), 100_000, None)


def test_a_pipe_is_refused_at_once(write):
    os.mkfifo("pipe")
    with pytest.raises(ValueError, match="file_pattern has 'pipe', which is a pipe or device"):
        read("pipe")


def test_reading_does_not_import_pandas(write):
    path = write("age,town,label\n20,Rome,0\n,Oslo,1\n1.5,,1\n")
    code = (
        "import sys\nfrom torchest.inputs import make_csv_dataset\n"
        f"data = make_csv_dataset({path!r}, 2, label_name='label', num_epochs=2).cache().shuffle(2)\n"
        "assert len(list(data)) == 3\nprint('pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("False\n", "")
