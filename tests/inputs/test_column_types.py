"""Columns of every type that tables have: read as what they are, or left alone where no model reads them."""

from __future__ import annotations

import datetime
import decimal
import re
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

import torchest
from torchest import columns
from torchest.columns.features import Features
from torchest.inputs import Dataset, make_parquet_dataset, numpy_input_fn, pandas_input_fn
from torchest.utils import arrays

D = decimal.Decimal
X = [1.0, 2.0, 3.0, 4.0]
NUMBER = columns.numeric_column("x")


def arrow(values, kind):
    return pa.array(values, kind)


def dictionary(indices, values):
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int8()), values)


# --- types that are read ---

STRING_VIEWS = arrow(["a", "b"], pa.string_view())
RUNS = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([1.5, 2.0]))

NUMBERS = {
    "Decimals": ([D("1.5"), D(2)], [1.5, 2.0]),
    "Decimals with None": ([D("1.5"), None], [1.5, np.nan]),
    "Decimals with NaN": (pd.Series([D("1.5"), D("NaN")]), [1.5, np.nan]),
    "whole Decimals": (pd.Series([D(1), D(2)]), [1.0, 2.0]),
    "decimal32": (arrow([D("1.5"), None], pa.decimal32(5, 2)), [1.5, np.nan]),
    "decimal128": (arrow([D("1.5"), D(2)], pa.decimal128(5, 2)), [1.5, 2.0]),
    "decimal256": (arrow([D("1.5"), D(2)], pa.decimal256(50, 2)), [1.5, 2.0]),
    "decimal128 of pandas": (
        pd.Series([D("1.5"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
        [1.5, np.nan],
    ),
    "categories of Decimals": (pd.Series([D("1.5"), D(2)]).astype("category"), [1.5, 2.0]),
    "lists of decimals": (
        arrow([[D("1.5")], [D(2)]], pa.list_(pa.decimal128(5, 2))),
        [[1.5], [2.0]],
    ),
    "sparse floats": (pd.Series(pd.arrays.SparseArray([0.0, 1.5])), [0.0, 1.5]),
    "sparse integers": (pd.Series(pd.arrays.SparseArray([0, 2])), [0, 2]),
    "sparse bools": (pd.Series([False, True], dtype="Sparse[bool]"), [False, True]),
    "sparse floats with NaN": (pd.Series([1.0, np.nan], dtype="Sparse[float]"), [1.0, np.nan]),
    "halves with null": (arrow([np.float16(1), None], pa.float16()), [1.0, np.nan]),
    "runs": (RUNS, [1.5, 1.5, 2.0]),
    "a part of runs": (RUNS.slice(1), [1.5, 2.0]),
    "list views": (arrow([[1], [2]], pa.list_view(pa.int64())), [[1], [2]]),
    "nothing but null": (pa.nulls(2), [np.nan, np.nan]),
    "nullable bools": (pd.Series([True, None], dtype="boolean"), [1.0, np.nan]),
    "uint64": (arrow([2**63, 1], pa.uint64()), [2.0**63, 1.0]),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_real_tables(kind):
    column, expected = NUMBERS[kind]
    tensor = arrays.to_tensor(arrays.to_host(column, "x"), "x").double()
    np.testing.assert_array_equal(tensor.numpy(), np.array(expected, float))


TEXTS = {
    "StringDType": np.array(["a", "b"], np.dtypes.StringDType()),
    "StringDType with missing": np.array(["a", None], np.dtypes.StringDType(na_object=None)),
    "StringDType matrix": np.array([["a"], ["b"]], np.dtypes.StringDType()),
    "string_view": STRING_VIEWS,
    "binary_view": arrow([b"a", b"b"], pa.binary_view()),
    "fixed_size_binary": arrow([b"a", b"b"], pa.binary(1)),
    "dictionary of string_view": dictionary([0, 1], STRING_VIEWS),
    "dictionary with null": dictionary([0, None], STRING_VIEWS),
    "list of string_view": arrow([["a"], ["b"]], pa.list_(pa.string_view())),
    "large list of string_view": arrow([["a"], []], pa.large_list(pa.string_view())),
    "lists of one size of string_view": arrow([["a"], ["b"]], pa.list_(pa.string_view(), 1)),
    "list_view of text": arrow([["a"], ["b"]], pa.list_view(pa.string_view())),
    "large_string": arrow(["a", "b"], pa.large_string()),
    "runs of string_view": pa.RunEndEncodedArray.from_arrays(
        pa.array([1, 2], pa.int32()), STRING_VIEWS
    ),
    "string of pandas": pd.Series(["a", None], dtype="string"),
    "string_view of pandas": pd.Series(["a", "b"], dtype=pd.ArrowDtype(pa.string_view())),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_of_real_tables(kind):
    vocabulary = columns.categorical_column_with_vocabulary_list("t", ["b", "a"])
    data = Dataset.from_tensor_slices({"t": TEXTS[kind]}).shuffle(2, seed=1).batch(2)
    [batch] = data
    ids = Features(batch).encoded(columns.indicator_column(vocabulary))
    second = kind.endswith(("missing", "null", "pandas")) and kind != "string_view of pandas"
    expected = [[0.0, 0.0] if second or kind == "large list of string_view" else [1.0, 0.0]]
    assert sorted(ids.tolist()) == sorted([[0.0, 1.0], *expected])


def test_decimals_without_digits_behind_the_point_are_integers():
    ids = arrow([D(3), None, D(1)], pa.decimal128(10, 0))
    assert arrays.to_host(ids).to_pylist() == [3, None, 1]
    identity = columns.categorical_column_with_identity("id", 4)
    encoded = Features({"id": ids}).encoded(columns.indicator_column(identity))
    assert encoded.argmax(1).tolist() == [3, 0, 1]
    assert encoded.sum(1).tolist() == [1.0, 0.0, 1.0]


def test_categories_of_dates_are_dates():
    days = pd.Series(pd.to_datetime(["2020-01-01", None])).astype("category")
    array = arrays.to_host(days)
    assert array[0] == np.datetime64("2020-01-01")
    assert np.isnat(array[1])


# --- columns that nobody reads ---

UNREAD = {
    "mixed values": ["a", 1, None, 2.5],
    "structs": [{"a": 1}, None, {"a": 2}, {"b": "x"}],
    "objects": [object(), object(), object(), object()],
    "integers beyond int64": [2**70, 1, 2, 3],
    "times": [datetime.time(1)] * 4,
    "UUIDs": [uuid.UUID(int=number) for number in range(4)],
    "lists of mixed values": [["a", 1], [], [2], None],
    "dates": [datetime.date(2020, 1, 1)] * 4,
    "Decimals beside floats": [D("1.5"), 2.5, 3, 4],
}
FRAMES = {
    "periods": pd.period_range("2020", periods=4, freq="D"),
    "intervals": pd.interval_range(0, 4),
    "cut": pd.cut(np.arange(4), 2),
    "complex": np.arange(4) * 1j,
    "timedeltas": pd.to_timedelta([1, 2, 3, 4], "s"),
    "categories of mixed values": pd.Series(["a", 1, "a", 1]).astype("category"),
    "structs of Arrow": pd.Series(
        [{"a": 1}] * 4, dtype=pd.ArrowDtype(pa.struct([("a", pa.int64())]))
    ),
}
EVERY = {**{kind: pd.Series(values, dtype=object) for kind, values in UNREAD.items()}, **FRAMES}


def frame_with(values):
    return pd.DataFrame({"odd": values, "x": X})


def sum_of(batches):
    return sum(float(Features(batch).encoded(NUMBER).sum()) for batch in batches)


@pytest.mark.parametrize("kind", EVERY)
def test_a_column_that_nobody_reads_stops_no_input(kind):
    frame = frame_with(EVERY[kind])
    streams = {
        "pandas_input_fn": pandas_input_fn(frame, batch_size=3, shuffle=True)(),
        "numpy_input_fn": numpy_input_fn(
            {"odd": np.asarray(frame.odd), "x": np.array(X)}, batch_size=3, shuffle=False
        )(),
        "from_tensor_slices": Dataset.from_tensor_slices(frame).shuffle(2).repeat(1).batch(3),
        "a dict": Dataset.from_tensor_slices({"odd": frame.odd.tolist(), "x": X}).batch(3),
        "through all stages": Dataset.from_tensor_slices(frame)
        .shard(1, 0).skip(0).take(4).batch(1).unbatch().cache().filter(lambda row: True)
        .batch(3).map(lambda batch: batch).prefetch(1),
        "from_tensors": Dataset.from_tensors(frame),
    }  # fmt: skip
    for name, stream in streams.items():
        assert sum_of(stream) == 10.0, name


@pytest.mark.parametrize("kind", EVERY)
def test_nor_does_it_row_by_row(kind):
    rows = Dataset.from_tensor_slices(frame_with(EVERY[kind])).map(lambda row: row)
    assert sum_of(rows.batch(3)) == 10.0


def test_a_function_of_rows_sees_the_fields_of_structs():
    rows = Dataset.from_tensor_slices({"odd": [{"a": 1.0}, {"a": 2.0}], "x": [1.0, 2.0]})
    [batch] = rows.map(lambda row: {**row, "x": row["odd"]["a"] * 10}).batch(2)
    assert Features(batch)["x"].tolist() == [10.0, 20.0]


ARROW_TYPES = {
    "structs": arrow([{"a": 1}, None, {"a": 2}, {"a": 3}], None),
    "structs of views": arrow([{"a": "x"}] * 4, pa.struct([("a", pa.string_view())])),
    "maps": arrow([[("a", 1)]] * 4, pa.map_(pa.string(), pa.int64())),
    "times": arrow([datetime.time(1)] * 4, None),
    "lists of structs": arrow([[{"a": 1}], [], None, [{"a": 2}]], None),
    "decimals": arrow([D("1.5")] * 4, None),
    "lists of durations": arrow([[datetime.timedelta(1)]] * 4, None),
}


@pytest.mark.parametrize("kind", ARROW_TYPES)
def test_an_arrow_column_that_nobody_reads_stops_no_input(kind, tmp_path):
    table = pa.table({"odd": ARROW_TYPES[kind], "x": X})
    parquet.write_table(table, tmp_path / "data.parquet")
    path = str(tmp_path / "data.parquet")
    for shuffle in (False, True):
        assert sum_of(make_parquet_dataset(path, 3, num_epochs=1, shuffle=shuffle)) == 10.0
    data = Dataset.from_tensor_slices({"odd": ARROW_TYPES[kind], "x": X})
    assert sum_of(data.shuffle(3).batch(3)) == 10.0


@pytest.mark.parametrize("first", [True, False])
def test_training_evaluation_and_prediction_leave_it_alone(tmp_path, first):
    frame = frame_with(pd.Series(UNREAD["structs"]))
    frame = frame if first else frame[["x", "odd"]]
    model = torchest.LinearRegressor([NUMBER], model_dir=tmp_path)
    model.train(pandas_input_fn(frame, frame.x, 2, None, shuffle=True), steps=2)
    assert model.evaluate(lambda: (frame, frame.x))["global_step"] == 2
    assert len(list(model.predict(pandas_input_fn(frame, shuffle=False)))) == 4


@pytest.mark.parametrize("kind", ["times", "dates", "structs"])
def test_the_origin_of_a_nan_is_told_beside_it(tmp_path, kind):
    frame = frame_with(EVERY[kind]).assign(x=[1.0, np.inf, 1.0, 1.0])
    model = torchest.LinearRegressor([NUMBER], model_dir=tmp_path)
    with pytest.raises(torchest.NanLossDuringTrainingError, match="feature 'x' has inf in row 1"):
        model.train(lambda: (frame, [1.0, 2.0, 3.0, 4.0]), steps=1)


def test_the_number_of_examples_is_that_of_a_column_that_is_understood():
    assert Features({"odd": UNREAD["structs"], "x": X}).batch_size == 4


WAYS_OUT = {
    "mixed values": "make them all text, or all numbers, with .astype",
    "structs": "give its fields as columns of their own",
    "integers beyond int64": "beyond the range of int64; give it as text for a categorical column",
    "times": "give a number, such as the hour.*or text for a categorical column",
    "dates": r"give a number, such as the days since a date.*or text for a categorical column",
    "periods": r"give a number, such as .dt.month, or text for a categorical column",
    "cut": r"give numbers, as pandas.cut\(…, labels=False\), or text",
    "complex": "give its real and its imaginary part",
    "timedeltas": r"give a number, such as differences.dt.total_seconds\(\)",
}
READERS = [
    NUMBER_OF_ODD := columns.numeric_column("odd"),
    columns.categorical_column_with_hash_bucket("odd", 10),
    columns.categorical_column_with_vocabulary_list("odd", ["a"]),
    columns.bucketized_column(NUMBER_OF_ODD, [0.0]),
]


@pytest.mark.parametrize("reader", READERS, ids=lambda column: type(column).__name__)
@pytest.mark.parametrize("kind", WAYS_OUT)
def test_a_column_that_is_read_is_named_with_the_way_out(kind, reader):
    [batch] = Dataset.from_tensor_slices(frame_with(EVERY[kind])).batch(4)
    with pytest.raises((TypeError, ValueError), match=f"(?s)'odd' .*{WAYS_OUT[kind]}"):
        Features(batch).encoded(reader)


def test_dates_are_sent_from_no_column_to_another():
    for reader in READERS:
        with pytest.raises((TypeError, ValueError), match="dates") as raised:
            Features({"odd": [datetime.date(2020, 1, 1)]}).encoded(reader)
        assert not re.search("use (it through a categorical|numeric)", str(raised.value))


def test_lists_of_dates_are_told_the_way_out_of_dates():
    column = torchest.feature_column.sequence_numeric_column("odd")
    for days in ([[datetime.date(2020, 1, 1)]], pa.array([[datetime.date(2020, 1, 1)], []])):
        with pytest.raises(TypeError, match=r"'odd' holds .*dates - start\).dt.days"):
            Features({"odd": days}).encoded(column)


def test_a_complex_tensor_is_not_read_as_its_real_part():
    with pytest.raises(TypeError, match=r"'x' needs real numbers.*tensor\.real and tensor\.imag"):
        Features({"x": torch.ones(2, dtype=torch.complex64)}).encoded(NUMBER)


@pytest.mark.parametrize("make", [lambda table: table, lambda table: table.to_batches()[0]])
def test_a_table_of_arrow_is_sent_to_a_dict(make):
    model = torchest.LinearRegressor([NUMBER])
    with pytest.raises(TypeError, match="give a dict of columns, such as dict"):
        model.train(lambda: make(pa.table({"x": X})), steps=1)


def test_labels_are_read_at_once():
    frame = frame_with(pd.Series(UNREAD["mixed values"]))
    with pytest.raises(TypeError, match="'labels' holds values that do not make one column"):
        pandas_input_fn(frame, frame.odd, shuffle=False)


# --- labels of one column ---


@pytest.mark.parametrize("labels", [D, float])
def test_a_frame_of_one_column_is_labels(tmp_path, labels):
    frame = pd.DataFrame({"x": X, "y": [labels(2), labels(4), labels(6), labels(8)]})
    x, y = frame[["x"]], frame[["y"]]
    model = torchest.LinearRegressor([NUMBER], model_dir=tmp_path)
    for input_fn in (
        lambda: (x, y),
        lambda: [x, y],
        lambda: iter([(x, y)]),
        lambda: Dataset.from_tensor_slices((x, y)).batch(4),
        pandas_input_fn(x, y, shuffle=False),
        lambda: (x, frame.y),
    ):
        assert model.evaluate(input_fn)["average_loss"] == 30.0  # the mean of 4, 16, 36 and 64


# --- names ---


def test_names_that_are_integers_are_told_apart_from_strings():
    frame = pd.DataFrame([[1.0, 2.0]])
    [batch] = Dataset.from_tensor_slices(frame).batch(1)
    message = r"There is 0 \(int, not str\): name features with strings, such as frame.rename\(columns=str\)"
    with pytest.raises(ValueError, match=f"Column '0' reads the feature '0', .*{message}"):
        Features(batch).encoded(columns.numeric_column("0"))
    with pytest.raises(ValueError, match=f"no feature '0'.*{message}"):
        Features(batch)["0"]
    with pytest.raises(ValueError, match=r"no feature 0. There is '0' \(str, not int\)"):
        Features({"0": X})[0]
    with pytest.raises(ValueError, match=r"which is not there. There are: 0, 1\.$"):
        Features(batch).encoded(NUMBER)
    several = pd.DataFrame({("a", "x"): X})
    with pytest.raises(ValueError, match=r"There are: \('a', 'x'\)\.$"):
        Features(dict(several)).encoded(NUMBER)


def test_keys_of_several_types_have_an_order():
    data = numpy_input_fn({"b": np.ones(2), 0: np.zeros(2)}, batch_size=2, shuffle=False)
    assert [list(batch) for batch in data()] == [[0, "b"]]


@pytest.mark.parametrize("name", ["x", 7])
def test_two_columns_of_one_name_are_refused(name):
    frame = pd.DataFrame([[1.0, 2.0, 3.0]], columns=[name, "y", name])
    message = f"The DataFrame has the column {name!r} more than once: rename one of them"
    for use in (
        lambda: pandas_input_fn(frame, shuffle=False),
        lambda: pandas_input_fn(frame[["y"]], frame, shuffle=False),
        lambda: Dataset.from_tensor_slices(frame),
        lambda: torchest.LinearRegressor([NUMBER]).train(lambda: (frame, frame.y), steps=1),
        lambda: columns.infer(frame),
    ):
        with pytest.raises(ValueError, match=message):
            use()


# --- comparisons of Arrow arrays ---

TEXT = Dataset.from_tensor_slices(({"x": X, "t": ["a", "b", "a", None]}, ["y", "n", "y", "n"]))
HINT = "a comparison of an Arrow array with == or != gives one bool for all rows; pyarrow.compute"


@pytest.mark.parametrize(
    "change",
    [
        lambda features, labels: (features, labels == "y"),
        lambda features, labels: (features, labels != "y"),
        lambda features, labels: (features, [labels == "y"]),
        lambda features, labels: ({**features, "x": features["t"] == "a"}, labels),
        lambda features, labels: ({**features, "x": [features["t"] == "a"]}, labels),
    ],
)
def test_a_comparison_of_an_arrow_array_in_map_is_named(tmp_path, change):
    t = columns.categorical_column_with_vocabulary_list("t", ["a", "b"])
    model = torchest.LinearClassifier([t, NUMBER], tmp_path, label_vocabulary=["n", "y"])
    with pytest.raises(ValueError, match=HINT):
        model.train(lambda: TEXT.batch(4).map(change), steps=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda features, labels: ({"x": features["x"][labels == "y"]}, labels),
        lambda features, labels: ({"x": features["x"][features["t"] == "a"]}, labels),
        lambda features, labels: ({"x": torch.as_tensor(features["x"])[labels == "y"]}, labels),
    ],
)
def test_a_feature_indexed_with_a_comparison_of_an_arrow_array_is_named(tmp_path, change):
    model = torchest.LinearClassifier([NUMBER], tmp_path, label_vocabulary=["n", "y"])
    message = (
        r"Column 'x' .* got \[0, 4\].* comparison of an Arrow array: == gives one bool for all rows"
    )
    with pytest.raises(ValueError, match=message):
        model.train(lambda: TEXT.batch(4).map(change), steps=1)


def test_one_label_for_one_row_may_be_a_bool(tmp_path):
    model = torchest.LinearClassifier([NUMBER], tmp_path)
    data = (
        TEXT.take(1).batch(1).map(lambda features, labels: (features, [labels[0].as_py() == "y"]))
    )
    assert model.evaluate(lambda: data)["label/mean"] == 1.0
