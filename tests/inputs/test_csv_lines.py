"""Cells of lines of CSV: types, batches and what is refused. `test_dataset_reference.py` has TensorFlow's cells."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest.inputs import decode_csv

CELL = st.text(st.sampled_from('ab,"\n é'), max_size=4)


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(st.tuples(*[CELL] * width), min_size=1, max_size=5)
    )
)
def test_any_cells_come_back(rows: list[tuple[str, ...]]):
    lines = [",".join(map(quoted, row)) for row in rows]
    columns = decode_csv(lines, ["?"] * len(rows[0]))
    assert [column.to_pylist() for column in columns] == [
        [cell or "?" for cell in column] for column in zip(*rows, strict=True)
    ]
    for line, row in zip(lines, rows, strict=True):
        assert decode_csv(line, ["?"] * len(row)) == [cell or "?" for cell in row]


@pytest.mark.parametrize(
    "records",
    [["1,a", "2,b"], np.array(["1,a", "2,b"]), np.array([b"1,a", b"2,b"]), pa.array(["0,x", "1,a", "2,b"])[1:]],
)  # fmt: skip
def test_lines_of_every_form(records: Any):
    number, text = decode_csv(records, [0, "x"])
    assert (number.tolist(), text.to_pylist()) == ([1, 2], ["a", "b"])


@pytest.mark.parametrize(
    ("default", "dtype"),
    [
        (7, np.int32), ([2**40], np.int64), (0.5, np.float32), (np.float64(0), np.float64), (torch.int64, np.int64),
        ([np.float64], np.float64), (int, np.int32), (np.array([], np.int64), np.int64),
        (torch.tensor([3], dtype=torch.int32), np.int32),
    ],
)  # fmt: skip
def test_types_of_numbers(default: Any, dtype: type):
    (numbers,) = decode_csv(["1", "2"], [default])
    assert (numbers.dtype, numbers.tolist()) == (dtype, [1, 2])
    (number,) = decode_csv("1", [default])
    assert (type(number), number) == (dtype, 1)
    (none,) = decode_csv([], [default])
    assert (none.dtype, none.shape) == (dtype, (0,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["1", "2,3"], [0]), "records[1]='2,3' has 2 cells, but must have 1."),
        ((["1,2", ""], [0, 0]), "records[1]='' has 1 cell, but must have 2."),
        ((["1", "2", '"3'], [0]), "records[2]='\"3' has a quote that is misplaced or not closed, or a line break"),
        ((["1", '"2', '3"'], [""]), "records[1]='\"2' has a quote that is misplaced or not closed"),
        ((['a"b'], [""]), "records[0]='a\"b' has a quote that is misplaced"),
        ((["a", "b\nc"], [""]), "records[1]='b\\nc' has a quote that is misplaced or not closed, or a line break out"),
        ((["1", "x"], [0]), "records[1] has 'x' in column 0, which is not int32; correct it, or give a default of"),
        ((["a,1.5"], ["", 0]), "records[0] has '1.5' in column 1, which is not int32"),
        ((["1,2", "3,"], [0, int]), "records[1] has no value in column 1, for which record_defaults has only a dtype"),
        ((["1,2"], []), "record_defaults=[] must have a value or a dtype for each column."),
        ((["1"], 0), "record_defaults=0 must be a list of values or dtypes."),
        ((["1"], [True]), "record_defaults has True for the column 'column 0', but each entry must be a dtype"),
        ((["1"], [0], ",,"), "field_delim=',,' must be one ASCII character"),
        ((["1"], [0], ",", 1), "use_quote_delim=1 must be True or False."),
        ((["1"], [0], ",", True, None), "na_value=None must be a string."),
        ((["1,2"], [0], ",", True, "", [2]), "select_cols has 2, but records=['1,2'] have the columns 0…1."),
        ((["1,2"], [0, 0], ",", True, "", [1, 0]), "select_cols=[1, 0] must be ascending"),
        ((["1,2"], [0], ",", True, "", [0, 1]), "with one number for each of record_defaults=[0]."),
        (([1, 2], [0]), "records=[1, 2] must be lines of text."),
        ((["1", None], [0]), "records=['1', None] has None, which is no line of text."),
        (([b"\xff"], [""]), "has bytes that are not text in UTF-8."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(arguments: tuple[Any, ...], message: str):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        decode_csv(*arguments)


def test_the_first_wrong_line_of_many_is_named():
    lines = [f"{number},{number}" for number in range(1000)]
    lines[617] = lines[800] = "1,2,3"
    with pytest.raises(ValueError, match=r"records\[617\]='1,2,3' has 3 cells, but must have 2"):
        decode_csv(lines, [0, 0])
