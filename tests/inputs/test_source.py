from __future__ import annotations

import functools
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from torchest.inputs import Dataset
from torchest.inputs.reading import reading_of
from torchest.inputs.source import batches, call_input_fn, is_endless, is_one_batch

X = {"x": np.array([1.0, 2.0])}
Y = np.array([0, 1])


def call(input_fn):
    return call_input_fn(input_fn, mode="train", params={"width": 3}, config="a config")


# --- batches ---


def test_a_dataset_gives_its_batches():
    data = Dataset.from_tensor_slices((X, Y)).batch(1)
    assert [(float(f["x"][0]), int(y[0])) for f, y in batches(data)] == [(1.0, 0), (2.0, 1)]
    [(features, labels)] = batches(Dataset.from_tensor_slices(X).batch(2))
    assert features["x"].tolist() == [1.0, 2.0]
    assert labels is None


@pytest.mark.parametrize(
    ("source", "features", "labels"),
    [
        ((X, Y), X, Y),
        (X, X, None),
        ((X, {"one": Y, "other": Y}), X, {"one": Y, "other": Y}),
        ((X, None), X, None),
        (torch.zeros(2), torch.zeros(2), None),
        ((torch.zeros(2), Y), torch.zeros(2), Y),
    ],
)
def test_one_batch_is_given_once(source, features, labels):
    assert is_one_batch(source)
    assert not is_endless(source)
    [(got_features, got_labels)] = batches(source)
    assert type(got_features) is type(features)
    assert (
        (got_features == features)
        if isinstance(features, dict)
        else torch.equal(got_features, features)
    )
    assert got_labels is labels or got_labels == labels


@pytest.mark.parametrize("source", [(X, Y), [X, Y], X, (torch.zeros(2), Y), ((Y, Y), Y)])
def test_training_repeats_one_batch(source):
    stream = reading_of(source, None).batches()
    assert len(list(itertools.islice(stream, 5))) == 5


def test_a_frame_becomes_the_dict_of_its_columns():
    frame = pd.DataFrame({"x": [1, 2], "town": ["a", "b"]})
    for source in (frame, (frame, frame["x"]), [frame], [(frame, frame["x"])]):
        features, _ = next(batches(source))
        assert list(features) == ["x", "town"]
        assert isinstance(features["town"], pd.Series)


@pytest.mark.parametrize("make", [list, iter, tuple, lambda pairs: (pair for pair in pairs)])
def test_any_iterable_of_batches(make):
    pairs = [(X, Y), (X, Y)]
    source = make(pairs)
    assert not is_endless(source)
    assert [(f is X, y is Y) for f, y in batches(source)] == [(True, True), (True, True)]
    assert [(f is X, y) for f, y in batches(make([X, X, X]))] == [(True, None)] * 3


def test_a_data_loader_with_and_without_labels():
    x, y = torch.arange(4.0), torch.tensor([0, 1, 0, 1])
    got = list(batches(DataLoader(TensorDataset(x, y), batch_size=3)))
    assert [(f.tolist(), labels.tolist()) for f, labels in got] == [
        ([0.0, 1.0, 2.0], [0, 1, 0]),
        ([3.0], [1]),
    ]
    [(features, labels)] = batches(DataLoader(TensorDataset(x), batch_size=4))
    assert features.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert labels is None
    rows = [({"x": 1.0}, 0), ({"x": 2.0}, 1)]
    [(features, labels)] = batches(DataLoader(rows, batch_size=2))
    assert features["x"].tolist() == [1.0, 2.0]
    assert labels.tolist() == [0, 1]


def test_endless_datasets_are_known():
    data = Dataset.from_tensor_slices(X).batch(1)
    assert is_endless(data.repeat())
    assert not is_endless(data)


@pytest.mark.parametrize(
    "source",
    [
        Dataset.from_tensor_slices(X),
        Dataset.from_tensor_slices((X, Y)),
        [({"x": torch.tensor(1.0)}, 0)],
        [{"x": "word"}],
    ],
)
def test_single_rows_are_refused(source):
    with pytest.raises(
        ValueError, match=r"single rows, not batches: the feature 'x' is .*call \.batch"
    ):
        next(batches(source))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "input_fn returned an object of type int; return a torchest.inputs.Dataset"),
        ("data.csv", "input_fn returned an object of type str; return a"),
        ([3], r"The input gave 3, but a batch must be \(features, labels\)"),
        (
            [(X, Y, Y)],
            r"The input gave a tuple of 3 \(dict, ndarray, ndarray\), but a batch must be",
        ),
        (
            [(1.0, 2)],
            r"The input gave a tuple of 2 \(float, int\).*if these are single rows, call \.batch",
        ),
    ],
)
def test_what_is_no_source_is_refused(source, message):
    with pytest.raises(TypeError, match=message):
        next(batches(source))


# --- call_input_fn ---


def test_an_input_fn_gets_the_arguments_that_it_takes():
    class Callable:
        def __call__(self, params):
            return [params]

    assert call(lambda: [1]) == [1]
    assert call(lambda mode: [mode]) == ["train"]
    assert call(lambda config, params: [params, config]) == [{"width": 3}, "a config"]
    assert call(lambda **all_of_them: [all_of_them]) == [
        {"mode": "train", "params": {"width": 3}, "config": "a config"}
    ]
    assert call(lambda *, mode="other", size=4: [mode, size]) == ["train", 4]
    assert call(functools.partial(lambda mode, size: [mode, size], size=4)) == ["train", 4]
    assert call(functools.partial(lambda mode: [mode], mode="mine")) == ["mine"]
    assert call(functools.partial(lambda size, mode: [mode, size], 4)) == ["train", 4]
    assert call(Callable()) == [{"width": 3}]


@pytest.mark.parametrize(
    ("input_fn", "message"),
    [
        ((n for n in range(3)), "input_fn is a generator object, which can be read only once"),
        (
            Dataset.from_tensor_slices(X),
            "input_fn is a Dataset, but must be a function; give lambda: …",
        ),
        (None, "input_fn is a NoneType, but must be a function"),
        (
            lambda path: [path],
            "input_fn needs the argument 'path', but an input_fn is called only with mode",
        ),
        (lambda: None, "input_fn returned None; return a torchest.inputs.Dataset"),
    ],
)
def test_what_is_no_input_fn_is_refused(input_fn, message):
    with pytest.raises(TypeError, match=message):
        call(input_fn)


@pytest.mark.parametrize(
    "make",
    [lambda: (X for _ in range(2)), lambda: iter([X, X]), lambda: zip([X], [Y], strict=True)],
)
def test_the_same_iterator_twice_is_refused(make):
    stream = make()

    def train_input():
        return stream

    assert call(train_input) is stream
    with pytest.raises(
        ValueError, match=r"input_fn 'train_input' returned the same \w+ object again"
    ):
        call(train_input)


def test_new_iterators_and_containers_may_come_again():
    pairs = [(X, Y)]
    for _ in range(3):
        assert call(lambda: pairs) is pairs
        assert len(list(batches(call(lambda: iter(pairs))))) == 1
        assert len(list(batches(call(lambda: (pair for pair in pairs))))) == 1


@pytest.mark.parametrize(
    "source", [({"x": []}, []), {"x": torch.empty(0)}, torch.empty(0, 2), ((Y[:0], Y[:0]), Y[:0])]
)
def test_one_batch_without_rows_is_no_batch(source):
    assert list(batches(source)) == []
    assert list(reading_of(source, None).batches()) == []


def test_an_input_fn_may_ask_for_its_place_among_processes():
    def input_fn(mode, input_context):
        return {"x": [1.0]}, [input_context]

    features, labels = call_input_fn(input_fn, mode="train", input_context="of two")
    assert (features, labels) == ({"x": [1.0]}, ["of two"])
