from __future__ import annotations

import numpy as np
import pytest
import torch

import torchest
from torchest import columns as fc
from torchest import metrics

X = [fc.numeric_column("x")]


def data():
    return {"x": torch.tensor([1.0, 2.0, 6.0])}, torch.tensor([2.0, 4.0, 12.0])


@pytest.fixture
def model(tmp_path):
    return torchest.LinearRegressor(X, tmp_path, optimizer=torch.optim.SGD).train(data, steps=1)


def test_a_metric_of_the_labels_is_added_to_the_estimators_own(model):
    more = torchest.add_metrics(model, lambda labels: {"largest": metrics.mean(labels.max())})
    before, after = model.evaluate(data, steps=1), more.evaluate(data, steps=1)
    assert after == {**before, "largest": np.float32(12.0)}
    assert list(after)[-1] == "global_step"
    assert more.model_dir == model.model_dir


def test_a_metric_fn_is_given_what_it_asks_for(model):
    seen = {}

    def metric_fn(features, labels, predictions, config):
        seen.update(features=features, labels=labels, predictions=predictions, config=config)
        return {}

    torchest.add_metrics(model, metric_fn).evaluate(data, steps=1)
    assert seen["features"]["x"].tolist() == [1, 2, 6]
    assert seen["labels"].tolist() == [2, 4, 12]
    assert list(seen["predictions"]) == ["predictions"]
    assert seen["config"].model_dir == model.model_dir


def test_a_metric_of_a_known_name_takes_its_place(model):
    more = torchest.add_metrics(
        model, lambda labels: {"average_loss": metrics.mean(0 * labels + 7)}
    )
    assert more.evaluate(data, steps=1)["average_loss"] == 7


def test_metrics_are_added_to_added_ones(model):
    once = torchest.add_metrics(model, lambda labels: {"one": metrics.mean(labels)})
    twice = torchest.add_metrics(once, lambda labels: {"two": metrics.mean(2 * labels)})
    actual = twice.evaluate(data, steps=1)
    assert (actual["one"], actual["two"]) == (6, 12)


def test_the_extended_estimator_trains_and_predicts_as_the_other(model):
    more = torchest.add_metrics(model, lambda labels: {"mean": metrics.mean(labels)})
    more.train(data, steps=1)
    assert model.evaluate(data, steps=1)["global_step"] == 2
    predicted = next(iter(more.predict(data)))["predictions"]
    assert predicted == next(iter(model.predict(data)))["predictions"]


def test_a_metric_of_all_batches_is_merged(model):
    def batches():
        return torchest.inputs.Dataset.from_tensor_slices(data()).batch(2)

    more = torchest.add_metrics(model, lambda labels: {"mean": metrics.mean(labels)})
    assert more.evaluate(batches)["mean"] == 6


@pytest.mark.parametrize(
    ("metric_fn", "error", "message"),
    [
        (3, TypeError, "metric_fn=3 must be a function of any of features, labels, predictions"),
        (lambda label: {}, ValueError, "metric_fn takes 'label'.* Did you mean 'labels'?"),
    ],
)
def test_a_wrong_metric_fn(model, metric_fn, error, message):
    with pytest.raises(error, match=message):
        torchest.add_metrics(model, metric_fn)


def test_what_is_no_estimator():
    with pytest.raises(TypeError, match=r"estimator=3 must be a torchest\.Estimator"):
        torchest.add_metrics(3, dict)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([], "metric_fn returned a list, but must return a dict"),
        ({"m": 3}, r"eval_metric_ops\['m'\] is a int, not a metric"),
    ],
)
def test_a_metric_fn_that_returns_something_else(model, result, message):
    with pytest.raises(TypeError, match=message):
        torchest.add_metrics(model, lambda: result).evaluate(data, steps=1)
