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


# --- forward_features ---


ROWS = {
    "x": torch.tensor([1.0, 2.0]),
    "customer": ["a1", "b2"],
    "pair": torch.tensor([[1, 2], [3, 4]]),
}


def test_predictions_include_features(model):
    plain = list(model.predict(lambda: ROWS))
    keyed = list(torchest.forward_features(model, ["customer", "pair"]).predict(lambda: ROWS))
    assert [row["customer"] for row in keyed] == [b"a1", b"b2"]
    assert [row["pair"].tolist() for row in keyed] == [[1, 2], [3, 4]]
    assert [row["predictions"] for row in keyed] == [row["predictions"] for row in plain]
    every = next(iter(torchest.forward_features(model).predict(lambda: ROWS)))
    assert set(every) == {"predictions", *ROWS}
    kept = torchest.forward_features(model, "customer").predict(lambda: ROWS, "customer")
    assert next(iter(kept)) == {"customer": b"a1"}


def test_training_and_evaluation_do_not_need_the_features(model):
    keyed = torchest.forward_features(model, "customer")
    assert keyed.evaluate(data, steps=1) == model.evaluate(data, steps=1)
    assert keyed.train(data, steps=1).get_variable_value("global_step") == 2


def test_exports_include_features(model, tmp_path):
    specs = fc.make_parse_example_spec(X) | {"customer": torchest.inputs.FixedLenFeature((), str)}
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(specs)
    path = torchest.forward_features(model, "customer").export_saved_model(
        tmp_path / "e", receiver_fn
    )
    signatures = torchest.export.load(path).signatures
    answers = signatures["predict"](x=[1.0, 2.0], customer=["a1", "b2"])
    assert answers["customer"].tolist() == [b"a1", b"b2"]
    assert "customer" not in signatures["regression"].outputs


def test_a_model_fn_without_export_outputs(tmp_path):
    def model_fn(features, labels, mode):
        return torchest.EstimatorSpec(mode, {"twice": features["x"] * 2})

    keyed = torchest.forward_features(torchest.Estimator(model_fn, str(tmp_path)), "x")
    assert list(keyed.predict(lambda: ROWS)) == [
        {"twice": 2, "x": 1},
        {"twice": 4, "x": 2},
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (1, "keys=1 must be a list of keys of features"),
        (["x", 1], r"keys=\['x', 1\] must be the key of a feature, or a list of keys"),
        ("custmer", "keys has 'custmer', but there is no such feature. Did you mean 'customer'"),
        ("predictions", "keys has 'predictions', but there is a prediction of this name: rename the feature"),
    ],
)  # fmt: skip
def test_wrong_keys_are_named(model, keys, message):
    rows = {**ROWS, "predictions": torch.zeros(2)}
    with pytest.raises(ValueError, match=message):
        list(torchest.forward_features(model, keys).predict(lambda: rows))


def test_what_has_no_keys_has_no_features_to_forward(tmp_path):
    with pytest.raises(TypeError, match=r"estimator='a' must be a torchest\.Estimator"):
        torchest.forward_features("a")

    def model_fn(features, labels, mode):
        return torchest.EstimatorSpec(mode, features * 2)

    keyed = torchest.forward_features(torchest.Estimator(model_fn, str(tmp_path)))
    with pytest.raises(TypeError, match="the features of the model must be a dict, to have keys"):
        list(keyed.predict(lambda: torch.ones(2, 1)))
