"""Properties that every premade estimator has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import torchest
from torchest import columns
from torchest.checkpoint.directory import Checkpoint

QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None, tf_random_seed=3)
NAMES = Path(__file__).with_name("parameter_names.json")

AGE = columns.numeric_column("age")
TOWN = columns.categorical_column_with_hash_bucket("town", 10)
KIND = columns.categorical_column_with_vocabulary_list("kind", ["a", "b"])
WIDE = [AGE, TOWN, KIND, columns.crossed_column(["town", "kind"], 20)]
DEEP = [AGE, columns.embedding_column(TOWN, 3), columns.indicator_column(KIND)]
BOTH = {"linear_feature_columns": WIDE, "dnn_feature_columns": DEEP, "dnn_hidden_units": [4, 3]}
NETWORK = {"hidden_units": [4, 3], "feature_columns": DEEP}
HEAD = torchest.BinaryClassHead

ESTIMATORS = {
    "linear classifier": (torchest.LinearClassifier, {"feature_columns": WIDE}),
    "linear classifier of three classes": (torchest.LinearClassifier, {"feature_columns": WIDE, "n_classes": 3}),
    "linear regressor": (torchest.LinearRegressor, {"feature_columns": WIDE}),
    "linear estimator": (torchest.LinearEstimator, {"head": HEAD(), "feature_columns": WIDE}),
    "deep classifier": (torchest.DNNClassifier, NETWORK),
    "deep classifier with batch norm": (torchest.DNNClassifier, {**NETWORK, "batch_norm": True}),
    "deep regressor": (torchest.DNNRegressor, NETWORK),
    "deep estimator": (torchest.DNNEstimator, {"head": HEAD(), **NETWORK}),
    "wide and deep classifier": (torchest.DNNLinearCombinedClassifier, BOTH),
    "wide and deep regressor": (torchest.DNNLinearCombinedRegressor, BOTH),
    "wide and deep estimator": (torchest.DNNLinearCombinedEstimator, {"head": HEAD(), **BOTH}),
    "baseline classifier": (torchest.BaselineClassifier, {}),
    "baseline regressor": (torchest.BaselineRegressor, {}),
    "baseline estimator": (torchest.BaselineEstimator, {"head": HEAD()}),
}  # fmt: skip
WITHOUT_WEIGHTS = [name for name in ESTIMATORS if name.endswith("estimator")]


def make(name, model_dir, config=QUIET, **more):
    kind, arguments = ESTIMATORS[name]
    return kind(model_dir=model_dir, config=config, **{**arguments, **more})


def batch(rows, start=0):
    numbers = np.arange(start, start + rows)
    features = {
        "age": (numbers % 7).astype(np.float32),
        "town": np.array([f"town {number % 5}" for number in numbers], dtype=object),
        "kind": np.array(["a", "b", "c"], dtype=object)[numbers % 3],
        "weight": (numbers % 2).astype(np.float32),
    }
    return features, numbers % 2


def batches(*sizes):
    starts = np.cumsum([0, *sizes])
    return lambda: [batch(size, start) for size, start in zip(sizes, starts, strict=False)]


@pytest.fixture(params=ESTIMATORS)
def name(request):
    return request.param


@pytest.fixture(autouse=True)
def _float32():
    yield
    torch.set_default_dtype(torch.float32)


def names_of(estimator):
    """The names of parameters, buffers and slots."""
    return [name for name in estimator.get_variable_names() if name != "global_step"]


def weights(estimator):
    return {name: estimator.get_variable_value(name) for name in names_of(estimator)}


def test_an_empty_last_batch_changes_no_weight_and_no_metric(name, tmp_path):
    whole = make(name, tmp_path / "whole").train(batches(6, 6))
    with_empty = make(name, tmp_path / "empty").train(batches(6, 6, 0))
    for key, value in weights(whole).items():
        if not key.endswith((".step", ".running_mean", ".running_var")) and "optimizer" not in key:
            np.testing.assert_allclose(
                with_empty.get_variable_value(key), value, rtol=1e-4, atol=1e-6
            )
    expected, actual = (whole.evaluate(batches(6, 6, *more)) for more in ((), (0,)))
    for key, value in expected.items():
        assert actual[key] == pytest.approx(value), key


def test_one_row_batches(name, tmp_path):
    estimator = make(name, tmp_path).train(batches(1, 1, 1))
    assert np.isfinite(estimator.evaluate(batches(1, 1))["loss"])
    assert len(list(estimator.predict(batches(1, 1)))) == 2


def test_a_model_comes_back_from_its_checkpoint(name, tmp_path):
    estimator = make(name, tmp_path).train(batches(6, 6))
    expected = estimator.evaluate(batches(6))
    assert make(name, tmp_path).evaluate(batches(6)) == expected


def test_training_in_two_calls_is_training_in_one(name, tmp_path):
    once = make(name, tmp_path / "once").train(batches(6, 5, 4))
    twice = make(name, tmp_path / "twice").train(batches(6, 5))
    twice.train(lambda: [batch(4, 11)])
    for key, value in weights(once).items():
        assert np.array_equal(twice.get_variable_value(key), value), key


def test_names_of_parameters_and_slots(name, tmp_path):
    estimator = make(name, tmp_path).train(batches(6))
    actual = {
        key: list(Checkpoint(estimator.latest_checkpoint()).tensor(key).shape)
        for key in names_of(estimator)
    }
    golden = json.loads(NAMES.read_text(encoding="utf-8"))
    assert actual == golden[name], f"If this is meant, write it to {NAMES.name}: python {__file__}"


def test_the_order_of_columns_does_not_matter(name, tmp_path):
    arguments = ESTIMATORS[name][1]
    turned = {
        key: value[::-1] for key, value in arguments.items() if key.endswith("feature_columns")
    }
    one = make(name, tmp_path / "one").train(batches(6, 6))
    other = make(name, tmp_path / "other", **turned).train(batches(6, 6))
    for key, value in weights(one).items():
        assert np.array_equal(other.get_variable_value(key), value), key


def test_double_precision(name, tmp_path):
    torch.set_default_dtype(torch.float64)
    estimator = make(name, tmp_path).train(batches(6, 6))
    parameters = Checkpoint(estimator.latest_checkpoint()).model()
    assert {value.dtype for value in parameters.values()} == {torch.float64}
    assert np.isfinite(estimator.evaluate(batches(6))["loss"])


def test_rows_that_weigh_nothing_do_not_count(name, tmp_path):
    if name in WITHOUT_WEIGHTS:
        kind, arguments = ESTIMATORS[name]
        estimator = kind(
            model_dir=tmp_path, config=QUIET, **{**arguments, "head": HEAD(weight_column="weight")}
        )
    else:
        estimator = make(name, tmp_path, weight_column="weight")
    estimator.train(batches(6))

    def rows_of_weight_one():
        features, labels = batch(6)
        kept = features["weight"] == 1
        return iter([({key: value[kept] for key, value in features.items()}, labels[kept])])

    everything, kept = estimator.evaluate(batches(6)), estimator.evaluate(rows_of_weight_one)
    for key in everything.keys() - {"loss"}:  # the loss is divided by the number of rows
        assert everything[key] == pytest.approx(kept[key], rel=1e-5), key


def write_names():
    import tempfile

    actual = {}
    for name in ESTIMATORS:
        with tempfile.TemporaryDirectory() as model_dir:
            path = make(name, model_dir).train(batches(6)).latest_checkpoint()
            read = Checkpoint(path)
            actual[name] = {key: list(read.tensor(key).shape) for key in read.names()}
    NAMES.write_text(json.dumps(actual, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_names()
