"""LinearSDCA finds the optimum that scikit-learn finds on the same rows, and TensorFlow after many steps."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge

import torchest
from torchest import columns
from torchest.experimental import LinearSDCA
from torchest.experimental.sdca import _check_place
from torchest.inputs import Dataset
from torchest.optimizers.dual_ascent import DualAscent, LogisticLoss, SquaredLoss

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "reference" / "linear_sdca.json").read_text(encoding="utf-8")
)
PARAMETERS = {"bias": "bias", "x": "x.weight", "town": "town.weight", "tags": "tags.weight"}
DTYPES = {"x": np.float32, "town": np.int64, "tags": np.int64, "weight": np.float32}
ESTIMATORS = {
    "classifier": torchest.LinearClassifier,
    "regressor": torchest.LinearRegressor,
}


def examples(kind):
    data = REFERENCE["data"][kind]
    features = {key: np.array(value, DTYPES.get(key)) for key, value in data["features"].items()}
    return features, np.array(data["labels"], np.int64 if kind == "classifier" else np.float32)


def feature_columns():
    return [
        columns.numeric_column("x", shape=(2,)),
        columns.categorical_column_with_identity("town", 4),
        columns.categorical_column_with_identity("tags", 6),
    ]


def design(features):
    """The same as one matrix: the bias, x, one column for each town, the number of times of each tag."""
    tags = (features["tags"][:, :, None] == np.arange(6)).sum(1)
    parts = [np.ones((len(tags), 1)), features["x"], np.eye(4)[features["town"]], tags]
    return np.concatenate(parts, 1, dtype=np.float64)


def rows(data, batch, *, seed=None):
    """An input_fn without end."""
    dataset = Dataset.from_tensor_slices(data)
    if seed is not None:
        dataset = dataset.shuffle(len(data[1]), seed=seed)
    return lambda: dataset.repeat().batch(batch)


def make(kind, model_dir=None, *, l1=0.0, l2=1.0, **options):
    sdca = LinearSDCA("id", symmetric_l1_regularization=l1, symmetric_l2_regularization=l2)
    return ESTIMATORS[kind](feature_columns(), model_dir, optimizer=sdca, **options)


def weights_of(estimator):
    """All weights, in the order of `design`."""
    values = [estimator.get_variable_value(f"linear.{name}") for name in PARAMETERS.values()]
    return np.concatenate([np.ravel(value) for value in values])


@pytest.mark.parametrize("case", REFERENCE["cases"], ids=lambda case: case["name"])
def test_weights_and_metrics_are_those_tensorflow_comes_to(case, tmp_path):
    data = examples(case["kind"])
    weight_column = "weight" if case["weighted"] else None
    estimator = make(
        case["kind"], tmp_path, l1=case["l1"], l2=case["l2"], weight_column=weight_column
    )

    estimator.train(rows(data, 40), steps=30)

    expected = np.concatenate([np.ravel(case["weights"][name]) for name in PARAMETERS])
    np.testing.assert_allclose(weights_of(estimator), expected, atol=3e-5)
    metrics = estimator.evaluate(lambda: Dataset.from_tensor_slices(data).batch(case["batch"]))
    same = {key: value for key, value in case["metrics"].items() if key != "global_step"}
    assert set(same) <= set(metrics)
    for key, value in same.items():
        assert metrics[key] == pytest.approx(value, abs=3e-5), key


@pytest.mark.parametrize("solver", ["lbfgs", "liblinear"])
@pytest.mark.parametrize("l2", [0.1, 3.0])
def test_classes_in_one_step_at_the_optimum_of_scikit_learn(solver, l2, tmp_path):
    features, labels = data = examples("classifier")
    dual = {"dual": True} if solver == "liblinear" else {}
    theirs = LogisticRegression(
        C=1 / l2, fit_intercept=False, solver=solver, tol=1e-10, max_iter=100_000, **dual
    )
    theirs.fit(design(features), labels, sample_weight=features["weight"])
    estimator = make("classifier", tmp_path, l2=l2, weight_column="weight")

    estimator.train(rows(data, 40), steps=1)

    np.testing.assert_allclose(weights_of(estimator), theirs.coef_[0], atol=2e-6)


@pytest.mark.parametrize("l2", [0.01, 3.0])
def test_numbers_in_one_step_at_the_optimum_of_ridge_regression(l2, tmp_path):
    features, labels = data = examples("regressor")
    theirs = Ridge(alpha=l2, fit_intercept=False, solver="cholesky")
    theirs.fit(design(features), labels, sample_weight=features["weight"])
    estimator = make("regressor", tmp_path, l2=l2, weight_column="weight")

    estimator.train(rows(data, 40), steps=1)

    np.testing.assert_allclose(weights_of(estimator), theirs.coef_, atol=1e-6)


def test_l1_leaves_out_the_weights_that_the_elastic_net_leaves_out(tmp_path):
    features, labels = data = examples("regressor")
    l1, l2, count = 2.0, 1.0, len(labels)
    theirs = ElasticNet(
        alpha=(l1 + l2) / count,
        l1_ratio=l1 / (l1 + l2),
        fit_intercept=False,
        tol=1e-12,
        max_iter=10**6,
    )
    theirs.fit(design(features), labels)
    estimator = make("regressor", tmp_path, l1=l1, l2=l2)

    estimator.train(rows(data, 40), steps=60)

    weights = weights_of(estimator)
    assert 0 < np.count_nonzero(theirs.coef_) < len(weights)
    assert ((weights != 0) == (theirs.coef_ != 0)).all()
    np.testing.assert_allclose(weights, theirs.coef_, atol=2e-6)


def test_small_shuffled_batches_come_to_the_same_optimum(tmp_path):
    features, labels = data = examples("classifier")
    theirs = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-10, max_iter=10_000)
    theirs.fit(design(features), labels)
    estimator = make("classifier", tmp_path, l2=2.0)

    estimator.train(rows(data, 8, seed=3), steps=150)

    np.testing.assert_allclose(weights_of(estimator), theirs.coef_[0], atol=1e-4)


def test_an_example_that_comes_twice_in_a_batch_counts_once(tmp_path):
    features, labels = data = examples("regressor")
    theirs = Ridge(alpha=1.0, fit_intercept=False).fit(design(features), labels)
    estimator = make("regressor", tmp_path)

    estimator.train(rows(data, 64), steps=2)

    np.testing.assert_allclose(weights_of(estimator), theirs.coef_, atol=1e-6)


@pytest.mark.parametrize(
    "ids",
    [
        np.arange(40),
        torch.arange(40).unsqueeze(1),
        np.array([f"{row}".encode() for row in range(40)]),
        pa.array([f"{row}" for row in range(40)]).dictionary_encode(),
        pa.array(range(40), pa.int32()),
    ],
    ids=["numbers", "tensor", "bytes", "dictionary", "arrow numbers"],
)
def test_ids_of_any_form_are_the_same_ids(ids, tmp_path):
    features, labels = examples("regressor")
    text = features | {"id": np.array([f"{row}" for row in range(40)])}
    estimator = make("regressor", tmp_path)
    estimator.train(lambda: [(text, labels)], steps=1)

    estimator.train(lambda: [(features | {"id": ids}, labels)], steps=1)

    checkpoint = torchest.load_checkpoint(str(tmp_path))
    assert checkpoint.get_tensor("optimizer.linear.bias.examples").shape == (40,)


def test_training_goes_on_from_a_checkpoint_bit_for_bit(tmp_path):
    data = examples("classifier")
    once, twice = (
        make("classifier", tmp_path / "a", l1=0.3),
        make("classifier", tmp_path / "b", l1=0.3),
    )

    once.train(rows(data, 10), steps=8)
    twice.train(rows(data, 10), steps=4)  # one pass
    make("classifier", tmp_path / "b", l1=0.3).train(rows(data, 10), steps=4)

    for name in once.get_variable_names():
        assert (once.get_variable_value(name) == twice.get_variable_value(name)).all(), name
    assert "optimizer.linear.bias.duals" in once.get_variable_names()


class Failing(torchest.SessionRunHook):
    """Fails after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def after_run(self, run_context, run_values):
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("on purpose")


def test_training_that_failed_goes_on_bit_for_bit(tmp_path):
    data = examples("regressor")
    config = torchest.RunConfig(save_checkpoints_steps=3)
    whole = make("regressor", tmp_path / "whole", config=config)
    parts = make("regressor", tmp_path / "parts", config=config)

    whole.train(rows(data, 7, seed=1), max_steps=9)
    with pytest.raises(RuntimeError, match="on purpose"):
        parts.train(rows(data, 7, seed=1), hooks=[Failing(5)], max_steps=9)
    parts = make("regressor", tmp_path / "parts", config=config)
    parts.train(rows(data, 7, seed=1), max_steps=9)

    for name in whole.get_variable_names():
        assert (whole.get_variable_value(name) == parts.get_variable_value(name)).all(), name


def test_other_penalties_with_an_old_model_dir_are_used(tmp_path):
    features, labels = data = examples("regressor")
    theirs = Ridge(alpha=7.0, fit_intercept=False).fit(design(features), labels)
    make("regressor", tmp_path, l1=1.0, l2=1.0).train(rows(data, 40), steps=5)
    estimator = make("regressor", tmp_path, l2=7.0)

    estimator.train(rows(data, 40), steps=1)

    np.testing.assert_allclose(weights_of(estimator), theirs.coef_, atol=1e-6)


@pytest.mark.parametrize("loss", [SquaredLoss(), LogisticLoss()], ids=["numbers", "classes"])
@pytest.mark.parametrize("l1", [0.0, 2.0])
def test_no_block_makes_the_dual_objective_less(loss, l1, monkeypatch):
    monkeypatch.setattr("torchest.optimizers.dual_ascent._BLOCK", 60)
    random = np.random.default_rng(5)
    count, width, l2 = 150, 20, 6.0  # three blocks
    matrix = torch.from_numpy(random.normal(size=(count, width)) * random.gamma(1, size=width))
    labels = torch.from_numpy((matrix.numpy() @ random.normal(size=width) > 0.3).astype(float))
    weights = torch.from_numpy(random.choice([0.0, 1.0, 2.5], count))
    weight = torch.nn.Parameter(torch.zeros(width, 1))
    ascent = DualAscent([weight], loss, l1, l2)

    def conjugate(duals):
        """Of s φ, at −r."""
        if isinstance(loss, SquaredLoss):
            counted = torch.where(weights > 0, weights, 1.0)
            return (duals.square() / counted / 2 - duals * labels).sum()
        odds = labels - torch.where(weights > 0, duals / torch.where(weights > 0, weights, 1.0), 0)
        return (weights * (torch.xlogy(odds, odds) + torch.xlogy(1 - odds, 1 - odds))).sum()

    def gap_and_dual():
        slots = ascent.state[weight]
        w = torch.nn.functional.softshrink(slots["unshrunk"], l1 / l2)[:, 0]
        primal = (
            (weights * loss.value(matrix @ w, labels)).sum() + l2 / 2 * w @ w + l1 * w.abs().sum()
        )
        dual = -conjugate(slots["duals"]) - l2 / 2 * w @ w
        return float(primal - dual), float(dual)

    numbers, gaps, duals = torch.arange(count), [], []
    for _ in range(20):
        ascent.ascend([(weight, matrix)], numbers, labels, weights)
        gap, dual = gap_and_dual()
        gaps.append(gap)
        duals.append(dual)

    assert (np.diff(duals) > -1e-9 * np.abs(duals[:-1])).all()
    assert min(gaps) > -1e-8
    assert gaps[-1] < 0.1 * gaps[0] + 1e-9
    torch.testing.assert_close(
        ascent.state[weight]["unshrunk"][:, 0], matrix.T @ ascent.state[weight]["duals"] / l2
    )


def test_rows_of_tables_that_no_batch_uses_are_not_touched(tmp_path):
    column = columns.categorical_column_with_hash_bucket("word", 1000)
    data = {"id": np.arange(4), "word": ["a", "b", "a", ""]}, np.array([1, 0, 1, 0])
    estimator = torchest.LinearClassifier([column], tmp_path, optimizer=LinearSDCA("id"))

    estimator.train(lambda: [data], steps=1)

    table = estimator.get_variable_value("linear.word.weight")
    assert np.count_nonzero(table) == 2


def test_weights_of_a_warm_start_are_dropped_with_a_warning(tmp_path, caplog):
    data = examples("regressor")
    make("regressor", tmp_path / "a", l2=5.0).train(rows(data, 40), steps=1)
    cold, warm = make("regressor"), make("regressor", warm_start_from=str(tmp_path / "a"))
    cold.train(rows(data, 40), steps=1)

    with caplog.at_level(logging.WARNING, "torchest"):
        warm.train(rows(data, 40), steps=1)

    assert "starts from dual variables and weights of 0" in caplog.text
    np.testing.assert_array_equal(weights_of(warm), weights_of(cold))


def test_a_label_that_is_not_finite_is_told_of_by_the_loop():
    features, labels = examples("regressor")
    estimator = make("regressor")

    with pytest.raises(torchest.NanLossDuringTrainingError, match="label"):
        estimator.train(lambda: [(features, np.where(labels > 0, np.nan, labels))], steps=1)


CLASSIFIER = partial(torchest.LinearClassifier, [columns.numeric_column("x")])
EMBEDDED = columns.embedding_column(columns.categorical_column_with_identity("town", 4), 2)


@pytest.mark.parametrize(
    ("make_wrong", "message"),
    [
        (lambda: LinearSDCA(3), "example_id_column=3 must be a string .* the key of a feature"),
        (lambda: LinearSDCA("id", 0), "num_loss_partitions=0 must be a whole number of at least 1"),
        (lambda: LinearSDCA("id", 1, 0), "num_table_shards=0 must be a whole number of at least 1"),
        (
            lambda: LinearSDCA("id", 1, None, -1.0),
            "symmetric_l1_regularization=-1.0 must be a finite number at least 0",
        ),
        (
            lambda: LinearSDCA("id", 1, 1, 0.0, 0.0),
            "symmetric_l2_regularization=0.0 must be a finite number above 0",
        ),
        (lambda: LinearSDCA("id", adaptive=1), "adaptive=1 must be True or False"),
        (
            lambda: CLASSIFIER(n_classes=3, optimizer=LinearSDCA("id")),
            r"does not support the loss of MultiClassHead: use one of .*\(n_classes=2\)",
        ),
        (
            lambda: CLASSIFIER(sparse_combiner="mean", optimizer=LinearSDCA("id")),
            "needs sparse_combiner='sum', but it is 'mean'",
        ),
        (
            lambda: torchest.LinearRegressor(
                feature_columns(), label_dimension=2, optimizer=LinearSDCA("id")
            ),
            "needs label_dimension=1, but it is 2",
        ),
        (
            lambda: torchest.LinearEstimator(
                torchest.PoissonRegressionHead(), feature_columns(), optimizer=LinearSDCA("id")
            ),
            "does not support the loss of PoissonRegressionHead",
        ),
        (
            lambda: torchest.LinearEstimator(
                torchest.RegressionHead(loss_fn=lambda labels, logits: labels - logits),
                feature_columns(),
                optimizer=LinearSDCA("id"),
            ),
            "does not support the loss_fn of RegressionHead",
        ),
        (
            lambda: torchest.LinearClassifier([EMBEDDED], optimizer=LinearSDCA("id")),
            "cannot train 'town_embedding'.* give its categorical column",
        ),
    ],
)
def test_wrong_arguments_are_told(make_wrong, message):
    with pytest.raises(ValueError, match=message):
        make_wrong()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (None, "example_id_column='id' is not a feature of the batch"),
        (["a", "", "c"], "1 of 3 rows have no id in the feature 'id'"),
        (["a", None, "c"], "1 of 3 rows have no id"),
        ([0.5, 1.0, 2.0], "must have one string or whole number in each row"),
        ([["a", "b"], ["c", "d"], ["e", "f"]], "must have one string or whole number in each row"),
        (["a", "b", "a"], "1 of 3 rows of a batch have the id of another row, but other features"),
    ],
)
def test_wrong_ids_are_told(ids, message):
    features = {"x": [1.0, 2.0, 3.0]} | ({} if ids is None else {"id": ids})
    estimator = CLASSIFIER(optimizer=LinearSDCA("id"))

    with pytest.raises((ValueError, KeyError), match=message):
        estimator.train(lambda: [(features, [0, 1, 1])], steps=1)


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 4)

    with pytest.raises(ValueError, match="trains in one process, but there are 4"):
        _check_place(torch.device("cpu"))


def test_a_device_without_float64_is_refused():
    with pytest.raises(ValueError, match="not on 'mps'"):
        _check_place(torch.device("mps"))
