from __future__ import annotations

import inspect
import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from torchest import inputs
from torchest.inputs.seeds import default_seed

INDEX = [7, 8, 9]
FRAME = pd.DataFrame({"i": [1, 2, 3], "f": [1.5, 2.5, 3.5], "o": [True, False, True]}, index=INDEX)
LABELS = pd.Series([0, 1, 0], index=INDEX)


def plain(value):
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, dict):
        return {name: plain(column) for name, column in value.items()}
    return value.to_pylist() if isinstance(value, pa.Array) else value.tolist()


def batches(*arguments, limit=9, **options):
    input_fn = inputs.pandas_input_fn(*arguments, **{"shuffle": False, **options})
    return [plain(batch) for batch in itertools.islice(input_fn(), limit)]


def test_arguments_and_defaults_are_tensorflows():
    parameters = inspect.signature(inputs.pandas_input_fn).parameters.values()
    assert [(parameter.name, parameter.default) for parameter in parameters][1:] == [
        ("y", None), ("batch_size", 128), ("num_epochs", 1), ("shuffle", None),
        ("queue_capacity", 1000), ("num_threads", 1), ("target_column", "target"),
    ]  # fmt: skip


# The expected batches are what TensorFlow 2.15.1's pandas_input_fn gives for the same arguments.


def test_batches():
    assert batches(FRAME, LABELS, 2) == [
        ({"i": [1, 2], "f": [1.5, 2.5], "o": [True, False]}, [0, 1]),
        ({"i": [3], "f": [3.5], "o": [True]}, [0]),
    ]
    assert batches(FRAME[["i"]], None, 2, 2) == [{"i": [1, 2]}, {"i": [3, 1]}, {"i": [2, 3]}]
    assert batches(FRAME[["i"]], None, 4, None, limit=1) == [{"i": [1, 2, 3, 1]}]


def test_a_frame_of_labels_is_a_dict_and_may_have_names_of_features():
    labels = pd.DataFrame({"i": LABELS, "k": LABELS})
    assert batches(FRAME[["i"]], labels, 2) == [
        ({"i": [1, 2]}, {"i": [0, 1], "k": [0, 1]}),
        ({"i": [3]}, {"i": [0], "k": [0]}),
    ]


def test_text_categories_and_missing_values_survive():
    frame = pd.DataFrame(
        {"s": ["a", "", None], "c": pd.Categorical(["u", None, "v"]), "f": [1.5, np.nan, 3]}
    )
    [batch] = inputs.pandas_input_fn(frame, shuffle=False)()
    assert batch["s"].to_pylist() == ["a", "", None]
    assert pa.types.is_dictionary(batch["c"].type)
    assert batch["c"].to_pylist() == ["u", None, "v"]
    np.testing.assert_array_equal(batch["f"], [1.5, np.nan, 3])


def test_the_dictionary_of_categories_is_the_same_in_all_batches():
    frame = pd.DataFrame({"c": pd.Categorical(["u", "v", "u", "w"])})
    first, second = inputs.pandas_input_fn(frame, None, 2, shuffle=True)()
    one, other = (batch["c"].dictionary.buffers()[-1].address for batch in (first, second))
    assert one == other


def test_a_shuffle_keeps_rows_together():
    frame = pd.DataFrame({"i": np.arange(3000)})
    with default_seed(3):
        [(features, labels)] = inputs.pandas_input_fn(frame, -frame["i"], 3000, shuffle=True)()
    np.testing.assert_array_equal(features["i"], -labels)
    np.testing.assert_array_equal(np.sort(features["i"]), np.arange(3000))
    assert (features["i"] != np.arange(3000)).mean() > 0.99


def test_indexes_may_have_missing_values_and_several_levels():
    for index in (pd.Index([1.0, np.nan, 2.0]), pd.MultiIndex.from_product([[1], [1, 2, 3]])):
        frame, labels = FRAME[["i"]].set_index(index), pd.Series([0, 1, 0], index=index)
        assert batches(frame, labels) == [({"i": [1, 2, 3]}, [0, 1, 0])]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shuffle": None}, ValueError, "shuffle=None must be True, for training, or"),
        ({"x": {"i": [1]}}, TypeError, "must be a pandas DataFrame."),
        ({"y": np.zeros(3)}, TypeError, "must be a pandas Series or DataFrame with the"),
        ({"target_column": 3}, TypeError, "target_column=3 must be a string."),
        ({"target_column": "i"}, ValueError, "x has a column called 'i', but target_column gives"),
        ({"y": LABELS.reset_index(drop=True)}, ValueError, "first in row 0 with 7 and 0: give both"),
        ({"y": LABELS[:2]}, ValueError, "x has 3 rows but y has 2: both must have the same index."),
    ],
)  # fmt: skip
def test_wrong_arguments(options, error, message):
    with pytest.raises(error, match=message):
        inputs.pandas_input_fn(**{"x": FRAME, "y": LABELS, "shuffle": True, **options})


def test_target_column_does_not_matter_without_labels():
    assert batches(FRAME[["i"]], target_column="i") == [{"i": [1, 2, 3]}]
