"""What an input_fn returns without a Dataset: what is one batch, what are several, and how often one is used."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import torchest
from torchest import columns
from torchest.experimental import InMemoryEvaluatorHook
from torchest.inputs import Dataset
from torchest.inputs.source import batches, is_one_batch

A, B, W = (torch.full((3,), number) for number in (1.0, 2.0, 3.0))
Y = torch.tensor([0.0, 1.0, 0.0])
X = {"x": A}
FRAME = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [2.0, 4.0, 6.0]})


class Counter(torchest.SessionRunHook):
    def __init__(self):
        self.steps = 0

    def after_run(self, run_context, run_values):
        self.steps += 1


def linear(path, **options):
    return torchest.LinearRegressor([columns.numeric_column("x")], model_dir=path, **options)


def seen_by_a_model(source, mode="evaluate"):
    """The features and labels of each batch that a model_fn gets."""
    calls = []

    def model_fn(features, labels, mode):
        calls.append((features, labels))
        weight = torchest.get_or_create("w", lambda: torch.nn.Linear(1, 1))
        output = weight(torch.zeros(1, 1)).sum()
        sgd = torchest.get_or_create("o", lambda: torch.optim.SGD(weight.parameters(), 0.1))
        predictions = {"n": torch.zeros(3)}
        if mode == torchest.ModeKeys.PREDICT:
            return torchest.EstimatorSpec(mode, predictions=predictions)
        return torchest.EstimatorSpec(mode, loss=output, train_op=sgd)

    model = torchest.Estimator(model_fn)
    if mode == "predict":
        list(model.predict(lambda: source))
    elif mode == "train":
        model.train(lambda: source, steps=1)
    else:
        model.evaluate(lambda: source)
    return calls[1:]  # the first call makes the model


# --- how often ---


@pytest.mark.parametrize(
    "source",
    [
        {"x": [1.0, 2.0, 3.0]},
        ({"x": [1.0, 2.0, 3.0]}, [1.0, 2.0, 3.0]),
        [{"x": np.ones(3)}, None],
        FRAME,
        (FRAME, FRAME.y),
        {"x": FRAME.x},
    ],
)
def test_one_batch_is_predicted_once(tmp_path, source):
    assert len(list(linear(tmp_path).predict(lambda: source))) == 3


@pytest.mark.parametrize("steps", [None, 1, 5])
@pytest.mark.parametrize("source", [(FRAME, FRAME.y), [X, Y], (X, [0.0, 1.0, 0.0])])
def test_one_batch_is_evaluated_once(tmp_path, source, steps):
    counter = Counter()
    linear(tmp_path).evaluate(lambda: source, steps=steps, hooks=[counter])
    assert counter.steps == 1


def test_one_batch_is_trained_on_in_each_step(tmp_path):
    assert linear(tmp_path).train(lambda: [FRAME, FRAME.y], steps=7).steps_made == 7


@pytest.mark.parametrize("steps", [None, 100])
def test_train_and_evaluate_evaluates_one_batch_once(tmp_path, steps):
    counter = Counter()
    evaluation = torchest.EvalSpec(lambda: (FRAME, FRAME.y), steps=steps, hooks=[counter])
    train = torchest.TrainSpec(lambda: (FRAME, FRAME.y), max_steps=3)
    metrics, _ = torchest.train_and_evaluate(linear(tmp_path), train, evaluation)
    assert (counter.steps, metrics["global_step"]) == (1, 3)


def test_evaluation_in_memory_evaluates_one_batch_once(tmp_path):
    counter, model = Counter(), linear(tmp_path)
    hook = InMemoryEvaluatorHook(model, lambda: (FRAME, FRAME.y), hooks=[counter], every_n_iter=100)
    model.train(lambda: (FRAME, FRAME.y), hooks=[hook], steps=2)
    assert counter.steps == 2  # at the beginning and at the end


def test_added_metrics_see_one_batch_once(tmp_path):
    model = torchest.add_metrics(
        linear(tmp_path), lambda labels: {"mean": torchest.metrics.mean(labels)}
    )
    assert model.evaluate(lambda: (FRAME, FRAME.y))["mean"] == 4.0


@pytest.mark.parametrize(
    "data",
    [
        Dataset.from_tensor_slices(X).batch(3).repeat(),
        Dataset.from_tensor_slices((X, Y)).repeat(-1).shuffle(2).batch(2),
    ],
)
def test_predict_of_an_endless_dataset_warns(tmp_path, caplog, data):
    caplog.set_level(logging.WARNING, "torchest")
    predictions = linear(tmp_path).predict(lambda: data)
    assert len(list(itertools.islice(predictions, 7))) == 7
    assert "a Dataset that repeats without end, so predictions never end either" in caplog.text


@pytest.mark.parametrize(
    "source", [X, Dataset.from_tensor_slices(X).repeat(2).batch(3), [(X, Y), (X, Y)]]
)
def test_predict_of_what_ends_does_not_warn(tmp_path, caplog, source):
    caplog.set_level(logging.WARNING, "torchest")
    list(linear(tmp_path).predict(lambda: source))
    assert "without end" not in caplog.text


# --- what it is: as TensorFlow reads it, where TensorFlow reads it ---


@pytest.mark.parametrize(
    ("source", "features", "labels"),
    [
        (((A, B), Y), (A, B), Y),
        ([(A, B), Y], (A, B), Y),
        ([[A, B], Y], (A, B), Y),
        (((A, B), (Y, W)), (A, B), (Y, W)),
        (((A, (B, W)), Y), (A, (B, W)), Y),
        (((A, B), None), (A, B), None),
        ([A, Y], A, Y),
        ((A, Y), A, Y),
        ([X, Y], X, Y),
        ([X, {"y": Y}], X, {"y": Y}),
        ((X, {"x": Y}), X, {"x": Y}),
        ((X, (Y, W)), X, (Y, W)),
        (((X, A), Y), (X, A), Y),
    ],
)
def test_two_parts_are_features_and_labels(source, features, labels):
    assert is_one_batch(source)
    for mode in ("train", "evaluate"):
        [(seen, seen_labels)] = seen_by_a_model(source, mode)
        assert same(seen, features)
        assert same(seen_labels, labels)
    [(seen, none)] = seen_by_a_model(source, "predict")
    assert same(seen, features)
    assert none is None


def same(value, other):
    if isinstance(other, dict):
        return value.keys() == other.keys() and all(same(value[key], other[key]) for key in other)
    if isinstance(other, tuple):
        return type(value) is tuple and all(map(same, value, other))
    return value is other if other is None else torch.equal(value, other)


def test_two_frames_of_other_columns_are_features_and_labels():
    [(features, labels)] = batches([FRAME[["x"]], FRAME.assign(z=FRAME.y)[["y", "z"]]])
    assert (list(features), list(labels)) == (["x"], ["y", "z"])
    [(features, labels)] = batches([FRAME[["x"]], FRAME[["y"]]])
    assert (list(features), labels.tolist()) == (["x"], [2.0, 4.0, 6.0])
    [(features, labels)] = batches([FRAME[["x"]], FRAME.y])
    assert list(features) == ["x"]
    assert labels is not None


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("container", [list, tuple, iter])
@pytest.mark.parametrize("batch", [(X, Y), [X, Y], (FRAME, FRAME.y), (X, None), (X,)])
def test_batches_of_features_and_labels_stay_batches_however_many(batch, container, number):
    source = container([batch] * number)
    assert not is_one_batch(source)
    assert len(list(batches(source))) == number


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("batch", [X, FRAME, (A, Y), [A], (A, B), ((A, B), Y), ((A, B), (Y, W))])
def test_a_list_of_batches_stays_a_list_of_batches_however_many(batch, number):
    source = [batch] * number
    assert not is_one_batch(source)
    assert len(list(batches(source))) == number


def test_a_list_of_one_array_is_a_stream_of_one_batch():
    assert [features for features, _ in batches([A])] == [A]


@pytest.mark.parametrize("rows", [2, 4, 6])
def test_a_data_loader_and_its_list_are_the_same_batches(rows):
    loader = DataLoader(TensorDataset(torch.arange(float(rows)), torch.zeros(rows)), batch_size=2)
    expected = [features.tolist() for features, _ in batches(loader)]
    assert [features.tolist() for features, _ in batches(list(loader))] == expected
    assert len(expected) == rows // 2


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ((X, Y, W), r"a tuple of 3 \(dict, Tensor, Tensor\)"),
        ([X, Y, W], r"a list of 3 \(dict, Tensor, Tensor\)"),
        ((A, Y, W), r"a tuple of 3 \(Tensor, Tensor, Tensor\)"),
        ((X, {"y": Y}, {"w": W}), r"a tuple of 3 \(dict, dict, dict\)"),
        ((FRAME, FRAME.y, FRAME.x), r"a tuple of 3 \(DataFrame, Series, Series\)"),
        (((A, B), Y, W), r"a tuple of 3 \(tuple, Tensor, Tensor\)"),
        ([A, B, W, Y], r"a list of 4"),
        (([1.0, 2.0], Y), r"a tuple of 2 \(list, Tensor\)"),
        ((None, Y), r"a tuple of 2 \(NoneType, Tensor\)"),
    ],
)
def test_what_is_neither_one_batch_nor_several_is_refused(tmp_path, source, kinds):
    message = (
        rf"input_fn returned {kinds}.*, which is neither one batch nor several: return features"
    )
    model = linear(tmp_path)
    with pytest.raises(TypeError, match=message):
        model.train(lambda: source, steps=1)
    with pytest.raises(TypeError, match=message):
        model.evaluate(lambda: source)
    with pytest.raises(TypeError, match=message):
        next(iter(model.predict(lambda: source)))
    assert not list(tmp_path.glob("model.ckpt-*"))


@pytest.mark.parametrize("make", [lambda batch: iter([batch]), lambda batch: [batch]])
def test_a_batch_of_three_parts_in_a_stream_is_refused(tmp_path, make):
    with pytest.raises(TypeError, match=r"The input gave a tuple of 3 .*weights are features, too"):
        linear(tmp_path).train(lambda: make((X, Y, W)), steps=1)


# --- tuples ---


def test_a_dataset_of_tuples_gives_the_model_a_tuple():
    a, b = np.arange(4.0), np.arange(8.0).reshape(4, 2)
    data = Dataset.from_tensor_slices(((a, b), np.zeros(4))).batch(2)
    seen = [features for features, _ in seen_by_a_model(data)]
    assert [type(features) for features in seen] == [tuple, tuple]
    assert [features[0].tolist() for features in seen] == [[0.0, 1.0], [2.0, 3.0]]
    assert [list(features[1].shape) for features in seen] == [[2, 2], [2, 2]]


def test_a_data_loader_of_tuples_gives_the_model_a_tuple():
    rows = [((torch.tensor(1.0), torch.ones(2)), 0.0)] * 4
    for (first, second), labels in seen_by_a_model(DataLoader(rows, batch_size=2)):
        assert (list(first.shape), list(second.shape), list(labels.shape)) == ([2], [2, 2], [2])


def test_single_rows_in_a_tuple_are_refused():
    data = Dataset.from_tensor_slices(((torch.ones(2), torch.ones(2)), np.zeros(2)))
    with pytest.raises(ValueError, match=r"single rows, not batches: the feature 'features\[0\]'"):
        next(batches(data))


@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        ((1.0, 2.0, 3.0), [1.0, 2.0, 3.0]),
        (((1.0,), (2.0,), (3.0,)), [[1.0], [2.0], [3.0]]),
        (([1.0], [2.0], [3.0]), [[1.0], [2.0], [3.0]]),
        ((np.float32(1), np.float32(2), 3), [1.0, 2.0, 3.0]),
    ],
)
def test_a_tuple_of_labels_is_what_a_list_is(labels, rows, tmp_path):
    [(_, seen)] = seen_by_a_model((X, labels))
    assert seen.tolist() == rows
    expected = linear(tmp_path).evaluate(lambda: (X, rows))
    # TensorFlow's loss of a new model on these labels
    assert expected["loss"] == pytest.approx(14 / 3)
    assert linear(tmp_path).evaluate(lambda: (X, labels)) == expected


def test_a_tuple_of_texts_is_a_column_of_labels(tmp_path):
    model = torchest.LinearClassifier(
        [columns.numeric_column("x")], tmp_path, n_classes=2, label_vocabulary=["no", "yes"]
    )
    metrics = model.evaluate(lambda: (X, ("no", "yes", "yes")))
    assert metrics["label/mean"] == pytest.approx(2 / 3)
