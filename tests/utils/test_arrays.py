from __future__ import annotations

import datetime
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest.utils import arrays

WORDS = ["b", None, "", "日本"]


def text_columns():
    words = pd.Series(WORDS, dtype=object)
    yield "list", list(WORDS)
    yield "numpy object", np.array(WORDS, dtype=object)
    yield "pandas object", words
    yield "pandas object with NaN", words.where(words.notna(), np.nan)
    yield "pandas object with NA", words.where(words.notna(), pd.NA)
    yield "pandas default strings", pd.Series(WORDS)
    yield "pandas nullable string", words.astype("string")
    yield "pandas Arrow string", words.astype("string[pyarrow]")
    yield "pandas ArrowDtype", words.astype(pd.ArrowDtype(pa.string()))
    yield "pandas category", words.astype("category")
    yield "pandas categorical", pd.Categorical(words, categories=["日本", "unused", "", "b"])
    yield "Arrow string", pa.array(WORDS, pa.string())
    yield "Arrow large string", pa.array(WORDS, pa.large_string())
    yield "Arrow string view", pa.array(WORDS, pa.string_view())
    yield "Arrow dictionary", pa.array(WORDS).dictionary_encode()
    yield "Arrow chunks", pa.chunked_array([WORDS[:1], WORDS[1:]])
    yield "Arrow dictionary chunks", pa.chunked_array([WORDS[:1], WORDS[1:]]).dictionary_encode()


@pytest.mark.parametrize(
    ("kind", "column"), list(text_columns()), ids=[kind for kind, _ in text_columns()]
)
def test_text_of_every_kind_becomes_an_arrow_array_of_the_same_words(kind, column):
    array = arrays.to_host(column)
    assert arrays.is_arrow(array)
    assert array.to_pylist() == WORDS
    assert arrays.is_textual(array)
    assert arrays.length(array) == 4
    assert arrays.take(array, np.array([3, 0])).to_pylist() == ["日本", "b"]
    assert arrays.slice_rows(array, 1, 3).to_pylist() == [None, ""]
    assert arrays.concatenate([array, arrays.slice_rows(array, 3, 4)]).to_pylist() == [
        *WORDS,
        "日本",
    ]
    assert pa.types.is_dictionary(array.type) == ("categor" in kind or "dictionary" in kind)


def numeric_columns():
    yield "ints in a list", [1, 2], torch.int64, [1, 2]
    yield "floats in a list", [1.5, 2.0], torch.float32, [1.5, 2.0]
    yield "ints and floats in a list", [1, 2.5], torch.float32, [1.0, 2.5]
    yield "bools in a list", [True, False], torch.bool, [True, False]
    yield "numpy floats in a list", [np.float64(1), np.float64(2)], torch.float64, [1.0, 2.0]
    yield "tensors in a list", [torch.tensor(1.0), torch.tensor(2.0)], torch.float32, [1.0, 2.0]
    yield "range", range(2), torch.int64, [0, 1]
    yield "rows of one length", [[1, 2], [3, 4]], torch.int64, [[1, 2], [3, 4]]
    yield "large int beside a missing one", [2**53 + 1, 1], torch.int64, [2**53 + 1, 1]
    for dtype in (
        "int8",
        "uint8",
        "int16",
        "int32",
        "int64",
        "float16",
        "float32",
        "float64",
        "bool",
    ):
        yield f"numpy {dtype}", np.array([0, 1], dtype), getattr(torch, dtype), [0, 1]
        yield f"Arrow {dtype}", pa.array(np.array([0, 1], dtype)), getattr(torch, dtype), [0, 1]
        yield f"pandas {dtype}", pd.Series(np.array([0, 1], dtype)), getattr(torch, dtype), [0, 1]
    yield "big-endian", np.array([1, 2], ">i4"), torch.int32, [1, 2]
    yield "backwards", np.array([1, 2])[::-1], torch.int64, [2, 1]
    yield "objects", np.array([1, 2], dtype=object), torch.int64, [1, 2]
    yield "pandas Int64", pd.Series([1, 2], dtype="Int64"), torch.int64, [1, 2]
    yield "pandas Int64 with NA", pd.Series([1, None], dtype="Int64"), torch.float64, [1.0, np.nan]
    yield "pandas Float32", pd.Series([1, 2], dtype="Float32"), torch.float32, [1.0, 2.0]
    yield (
        "pandas boolean with NA",
        pd.Series([True, None], dtype="boolean"),
        torch.float32,
        [1.0, np.nan],
    )
    yield "pandas floats with NaN", pd.Series([1.5, None]), torch.float64, [1.5, np.nan]
    yield "objects with None", np.array([1, None], dtype=object), torch.float64, [1.0, np.nan]
    yield "category of ints", pd.Series([7, 5], dtype="category"), torch.int64, [7, 5]
    yield "pandas index", pd.Index([1, 2]), torch.int64, [1, 2]
    yield "Arrow chunks", pa.chunked_array([[1], [2]]), torch.int64, [1, 2]
    yield "Arrow lists", pa.array([[1, 2], [3, 4]]), torch.int64, [[1, 2], [3, 4]]
    yield (
        "Arrow lists of one size",
        pa.array([[1, 2]], pa.list_(pa.int32(), 2)),
        torch.int32,
        [[1, 2]],
    )
    yield (
        "arrays in cells",
        pd.Series([np.array([1.0]), np.array([2.0])]),
        torch.float64,
        [[1.0], [2.0]],
    )
    yield "nothing but missing", [None, None], torch.float32, [np.nan, np.nan]
    yield "no rows", [], torch.float32, []
    yield "tensor", torch.tensor([[1.0]]), torch.float32, [[1.0]]


@pytest.mark.parametrize(
    ("column", "dtype", "values"),
    [case[1:] for case in numeric_columns()],
    ids=[case[0] for case in numeric_columns()],
)
def test_numbers_of_every_kind_become_tensors_of_their_dtype(column, dtype, values):
    array = arrays.to_host(column)
    tensor = arrays.to_tensor(array)
    assert tensor.dtype == dtype
    np.testing.assert_array_equal(tensor.numpy(), np.array(values))
    assert not arrays.is_textual(array)


def test_ints_beside_missing_ones_keep_all_their_digits():
    array = arrays.to_host([2**53 + 1, None])
    assert array.to_pylist() == [2**53 + 1, None]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([b"a", b"bc"]), [b"a", b"bc"]),
        ([b"a\0", b"\xff"], [b"a\0", b"\xff"]),
        (np.array(["a", "bc"]), ["a", "bc"]),
        ([["a"], ["b"]], [["a"], ["b"]]),
        (np.array([["a"], ["b"]]), [["a"], ["b"]]),
        (np.array([["a", None], ["b", "c"]], dtype=object), [["a", None], ["b", "c"]]),
        ([["a", "b"], [], None], [["a", "b"], [], None]),
        (pd.Series([["a"], ["b", "c"]]), [["a"], ["b", "c"]]),
    ],
)
def test_bytes_and_lists_of_words(column, expected):
    array = arrays.to_host(column)
    assert arrays.is_textual(array)
    assert (array.tolist() if isinstance(array, np.ndarray) else array.to_pylist()) == expected
    with pytest.raises(
        TypeError, match=r"^'word' holds .*but must hold numbers; convert it, or use it through"
    ):
        arrays.to_tensor(array, "word")


def test_dates_stay_dates():
    days = pd.Series(pd.to_datetime(["2020-01-01", None]))
    for column in (days, days.dt.tz_localize("UTC"), pa.array([datetime.date(2020, 1, 1), None])):
        array = arrays.to_host(column)
        assert array[0] == np.datetime64("2020-01-01")
        assert np.isnat(array[1])
    with pytest.raises(
        TypeError, match="'day' holds dates such as '2020-01-01', but must hold numbers"
    ):
        arrays.to_tensor(array, "day")


def test_memory_is_shared_where_it_can_be():
    plain = np.arange(4.0)
    assert arrays.to_host(plain) is plain
    assert arrays.to_tensor(plain).data_ptr() == plain.ctypes.data
    column = pa.array([1, 2, 3])
    view = arrays.to_host(column)
    assert view.ctypes.data == column.buffers()[1].address
    assert np.shares_memory(arrays.slice_rows(plain, 1, 3), plain)
    words = pd.Series(["a", "b"], dtype="string[pyarrow]")
    assert (
        arrays.to_host(words).buffers()[2].address
        == words.array.__arrow_array__().chunk(0).buffers()[2].address
    )


def test_what_may_not_be_written_to_is_copied():
    frozen = arrays.to_host(pa.array([1, 2, 3]))
    tensor = arrays.to_tensor(frozen)
    tensor += 1
    assert frozen.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (5, r"'age' is the single value 5 \(rank 0\).*give \[5\]"),
        (np.float32(1.5), r"'age' is the single value 1.5 \(rank 0\)"),
        ("x", r"'age' is the single value 'x' \(rank 0\)"),
        (torch.tensor(3), r"'age' is the single value 3 \(rank 0\)"),
        (np.array(3), r"'age' is the single value 3 \(rank 0\)"),
        (pa.scalar(3), r"'age' is the single value 3 \(rank 0\)"),
        (pd.NaT, r"'age' is the single value NaT \(rank 0\)"),
    ],
)
def test_a_single_value_is_refused_with_the_way_out(column, message):
    with pytest.raises(ValueError, match=message):
        arrays.to_host(column, "age")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (None, "'age' is a NoneType, which is not understood"),
        ({"a": 1}, "'age' is a dict, which is not understood"),
        (
            [1, "a"],
            "'age' holds values that do not make one column .*make them all text, or all numbers",
        ),
        (
            [2**70],
            f"do not make one column: the integer {2**70} is beyond the range of int64; give it",
        ),
        ([2**63, -1], f"the integer {2**63} is beyond the range of int64; give it as text"),
        ([[1, 2], [-(2**64), 0]], f"the integer {-(2**64)} is beyond the range of int64"),
        ([2**63, None], f"the integer {2**63} is beyond the range of int64"),
        (pd.Series([2**70, "a"]), f"the integer {2**70} is beyond the range of int64"),
        (np.zeros(2, complex), "'age' has the numpy dtype complex128"),
        (np.zeros(1, [("a", int)]), r"'age' has the numpy dtype.*its fields.*values\['field'\]"),
        (pd.cut(pd.Series([1, 2]), 2), r"'age' holds .*interval.*pandas.cut\(…, labels=False\)"),
        ([datetime.time(1)], "'age' holds .*time64.*such as the hour, .* or text"),
        (pa.array([{"a": 1}]), "'age' holds values of the Arrow type struct"),
        (pd.DataFrame({"a": [1]}), r"'age' is a pandas DataFrame, but must be one column"),
        (
            pd.Series(pd.period_range("2020", periods=1, freq="D")),
            "'age' holds values of the Arrow type",
        ),
        (pa.table({"a": [1]}), "'age' is an Arrow Table"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(column, message):
    with pytest.raises(TypeError, match=message):
        arrays.to_host(column, "age")


def test_strings_in_three_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"'x' is an array of strings of shape \(1, 1, 1\)"):
        arrays.to_host(np.array([[["a"]]]), "x")


def test_lists_of_differing_length_make_no_tensor():
    with pytest.raises(ValueError, match=r"'x' holds lists of 1 to 2 values.*pad them"):
        arrays.to_tensor(arrays.to_host([[1], [1, 2]]), "x")


def test_lengths_must_agree():
    assert arrays.check_lengths({"a": np.zeros(3), "b": torch.zeros(3), "c": pa.nulls(3)}) == 3
    with pytest.raises(ValueError, match="'a' has 3 rows and 'c' has 2; all must have the same"):
        arrays.check_lengths({"a": np.zeros(3), "b": torch.zeros(3), "c": pa.nulls(2)})
    with pytest.raises(ValueError, match=r"There are no features"):
        arrays.check_lengths({})


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([[1, 2], [3, None]], [1, 2, 3, None]),
        ([[None], ["a"]], [None, "a"]),
        ([["a"], pd.Series(["b"], dtype="category")], ["a", "b"]),
        ([pa.array(["a"]), pa.array(["b"], pa.large_string())], ["a", "b"]),
        ([[[1, 2]], [[3]]], [[1, 2], [3]]),
        (
            [pd.Series(["a"], dtype="category"), pd.Series(["b", "a"], dtype="category")],
            ["a", "b", "a"],
        ),
        ([[1], torch.tensor([2])], [1, 2]),
    ],
)
def test_parts_of_one_column_join_whatever_their_form(parts, expected):
    joined = arrays.concatenate([arrays.to_host(part) for part in parts])
    assert (joined.to_pylist() if arrays.is_arrow(joined) else joined.tolist()) == expected


def test_parts_that_do_not_join_are_refused():
    with pytest.raises(ValueError, match="int64 and string, which cannot be joined"):
        arrays.concatenate([arrays.to_host([1, None]), arrays.to_host(["a"])])
    with pytest.raises(ValueError, match="nothing to concatenate"):
        arrays.concatenate([])


def test_slices_of_one_dictionary_join_without_touching_it():
    whole = arrays.to_host(pd.Series(["b", None, "a", "b"], dtype="category"))
    joined = arrays.concatenate([arrays.slice_rows(whole, 2, 4), arrays.slice_rows(whole, 0, 2)])
    assert joined.to_pylist() == ["a", "b", "b", None]
    assert joined.dictionary.buffers()[-1].address == whole.dictionary.buffers()[-1].address


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)))), st.randoms())
def test_taking_and_joining_are_those_of_lists(parts, random):
    columns = [arrays.to_host(pa.array(part, pa.int64())) for part in [[0], *parts]]
    values = [0, *(value for part in parts for value in part)]
    joined = arrays.concatenate(columns)
    indices = [random.randrange(len(values)) for _ in range(5)]
    taken = arrays.take(joined, np.array(indices))
    assert (taken.to_pylist() if arrays.is_arrow(taken) else taken.tolist()) == [
        values[i] for i in indices
    ]


def test_plain_columns_need_neither_pandas_nor_pyarrow():
    code = (
        "import sys, numpy, torch; from torchest.utils import arrays\n"
        "arrays.to_tensor(arrays.to_host([1, 2])); arrays.to_host(torch.zeros(2)); arrays.is_arrow(3)\n"
        "print(sorted({'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_tuple_of_values_and_offsets_is_rows_of_any_length():
    offsets = np.array([0, 2, 2, 3])
    for values in (np.array([5, 6, 7]), torch.tensor([5, 6, 7]), pa.array([5, 6, 7])):
        for ends in (offsets, torch.from_numpy(offsets), offsets.astype(np.int32)):
            assert arrays.to_host((values, ends)).to_pylist() == [[5, 6], [], [7]]
    words = arrays.to_host((np.array(["a", "b", "c"]), offsets))
    assert words.to_pylist() == [["a", "b"], [], ["c"]]


def test_a_tuple_of_two_rows_is_no_pair():
    assert arrays.to_host((np.array([5, 6]), np.array([0, 3]))).tolist() == [[5, 6], [0, 3]]
    assert arrays.to_host((np.array([5, 6]), np.array([1, 2]))).tolist() == [[5, 6], [1, 2]]
    assert arrays.to_host(([5, 6], [0, 2])).tolist() == [[5, 6], [0, 2]]


def test_a_matrix_of_strings_has_lists_of_a_fixed_size():
    matrix = arrays.to_host(np.array([["a", ""], ["b", "c"]]))
    assert pa.types.is_fixed_size_list(matrix.type)
    assert arrays.take(matrix, np.array([1])).to_pylist() == [["b", "c"]]
    assert arrays.concatenate([matrix, arrays.slice_rows(matrix, 1, 2)]).to_pylist() == [
        ["a", ""], ["b", "c"], ["b", "c"]
    ]  # fmt: skip


def test_a_nested_tensor_has_as_many_rows_as_tensors():
    nested = torch.nested.nested_tensor(
        [torch.tensor([1, 2]), torch.tensor([3])], layout=torch.jagged
    )
    assert arrays.length(nested) == 2


def test_rows_that_may_differ_in_length_are_told_from_others():
    assert arrays.is_ragged(arrays.to_host([[1], [2, 3]], "x"))
    assert not arrays.is_ragged(arrays.to_host([[1, 2], [3, 4]], "x"))
    assert not arrays.is_ragged(arrays.to_host(["a", "b"], "x"))
    assert not arrays.is_ragged(torch.zeros(2, 3))
