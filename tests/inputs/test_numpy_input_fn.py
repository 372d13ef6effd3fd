from __future__ import annotations

import inspect
import itertools

import numpy as np
import pyarrow as pa
import pytest
import torch

from torchest import inputs
from torchest.inputs.seeds import default_seed

# The expected batches are what TensorFlow 2.15.1's numpy_input_fn gives for the same arguments.
A = np.arange(5.0)
TEXT = np.array([b"a", b"bb", b"c", b"d", b"e"])
Y = np.arange(10, 15)


def plain(value):
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, dict):
        return {name: plain(column) for name, column in value.items()}
    return value.to_pylist() if isinstance(value, pa.Array) else value.tolist()


def batches(*arguments, limit=9, **options):
    input_fn = inputs.numpy_input_fn(*arguments, **{"shuffle": False, **options})
    return [plain(batch) for batch in itertools.islice(input_fn(), limit)]


def test_arguments_and_defaults_are_tensorflows():
    parameters = inspect.signature(inputs.numpy_input_fn).parameters.values()
    assert [(parameter.name, parameter.default) for parameter in parameters][1:] == [
        ("y", None), ("batch_size", 128), ("num_epochs", 1), ("shuffle", None),
        ("queue_capacity", 1000), ("num_threads", 1),
    ]  # fmt: skip


def test_batches_go_over_the_ends_of_epochs_and_the_last_is_smaller():
    assert batches({"a": A, "b": TEXT}, Y, 3, 2) == [
        ({"a": [0.0, 1.0, 2.0], "b": [b"a", b"bb", b"c"]}, [10, 11, 12]),
        ({"a": [3.0, 4.0, 0.0], "b": [b"d", b"e", b"a"]}, [13, 14, 10]),
        ({"a": [1.0, 2.0, 3.0], "b": [b"bb", b"c", b"d"]}, [11, 12, 13]),
        ({"a": [4.0], "b": [b"e"]}, [14]),
    ]


def test_endless_epochs_may_be_shorter_than_a_batch():
    assert batches({"a": A}, None, 8, None, limit=2) == [
        {"a": [0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 1.0, 2.0]},
        {"a": [3.0, 4.0, 0.0, 1.0, 2.0, 3.0, 4.0, 0.0]},
    ]


def test_features_and_labels_keep_their_form():
    numbers = [0.0, 1.0, 2.0, 3.0, 4.0]
    assert batches(A) == [numbers]
    assert batches(A, Y) == [(numbers, [10, 11, 12, 13, 14])]
    assert batches({"a": A}, {"l": Y * 2, "k": Y}) == [
        ({"a": numbers}, {"k": [10, 11, 12, 13, 14], "l": [20, 22, 24, 26, 28]})
    ]
    assert batches({"a": A[:3, None]}, Y[:3, None], 2) == [
        ({"a": [[0.0], [1.0]]}, [[10], [11]]),
        ({"a": [[2.0]]}, [[12]]),
    ]
    assert [list(batch) for batch in batches({"b": A, "a": A})] == [["a", "b"]]


def test_no_epochs_and_no_rows_give_no_batches():
    assert batches({"a": A}, Y, num_epochs=0) == []
    assert batches({"a": A[:0]}, Y[:0], shuffle=True) == []
    assert batches({"a": A[:0]}, num_epochs=None) == []


def test_other_columns_than_numpy_arrays():
    rows = {"words": [["a"], ["b", "c"], []], "tensor": torch.arange(3), "text": ["x", None, ""]}
    assert batches(rows) == [{"tensor": [0, 1, 2], "text": ["x", None, ""], "words": rows["words"]}]


def test_a_shuffle_is_of_whole_epochs_and_keeps_rows_together():
    input_fn = inputs.numpy_input_fn({"a": np.arange(5000)}, -np.arange(5000), 100, 2, shuffle=True)
    with default_seed(1):
        features, labels = zip(*input_fn(), strict=True)
    numbers = np.concatenate([batch["a"] for batch in features])
    np.testing.assert_array_equal(numbers, -np.concatenate(labels))
    first, second = numbers[:5000], numbers[5000:]
    np.testing.assert_array_equal(np.sort(first), np.arange(5000))
    np.testing.assert_array_equal(np.sort(second), np.arange(5000))
    assert (first != second).mean() > 0.99
    # A window of queue_capacity rows would leave late rows out of the first batches.
    assert first[:100].max() > 4000


def test_the_order_depends_on_the_seed_and_not_on_earlier_calls():
    input_fn = inputs.numpy_input_fn({"a": np.arange(1000)}, batch_size=1000, shuffle=True)

    def order(seed):
        with default_seed(seed):
            data = input_fn()
        return plain(next(iter(data)))["a"]

    first = order(1)
    assert order(1) == first
    assert order(2) != first


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": {"a": A}}, ValueError, "shuffle=None must be True, for training, or"),
        ({"x": {"a": A}, "shuffle": 1}, ValueError, "shuffle=1 must be True"),
        ({"x": [1, 2], "shuffle": True}, TypeError, "must be a dict of arrays by key, or"),
        ({"x": {}, "shuffle": True}, ValueError, "x={} must have at least one array."),
        ({"x": A, "y": {}, "shuffle": True}, ValueError, "y={} must have at least one array; None"),
        ({"x": {"a": A}, "y": {"a": Y}, "shuffle": True}, ValueError, "key 'a' is in both x and y"),
        ({"x": {"a": A}, "y": Y[:3], "shuffle": True}, ValueError, "'a' has 5 rows and 'labels' has 3"),
        ({"x": A, "shuffle": True, "num_epochs": -1}, ValueError, "num_epochs=-1 must be a whole"),
        ({"x": A, "shuffle": True, "batch_size": 0}, ValueError, "batch_size=0 must be a whole"),
    ],
)  # fmt: skip
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        inputs.numpy_input_fn(**arguments)
