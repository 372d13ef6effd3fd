"""How losses are scaled, what weights do to losses and metrics, and what becomes of labels: from end to end."""

from __future__ import annotations

import numpy as np
import pytest

import torchest
from torchest import columns

QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)
TOWNS = columns.categorical_column_with_vocabulary_list("town", ["a", "b", "c"])
X = [1.0, 2.0, 3.0, -1.0, 0.5]
COUNTS = [1, 3, 2, 1, 2]
LABELS = {
    "regression": [0.5, 2.0, 1.0, -1.0, 0.0],
    "binary": [0, 1, 1, 0, 1],
    "classes": [0, 2, 1, 2, 0],
    "labels": [[1, 0], [0, 0], [1, 1], [0, 1], [1, 0]],
    "counts": [1.0, 4.0, 2.0, 0.0, 1.0],
}
HEADS = {
    "regression": torchest.RegressionHead,
    "binary": torchest.BinaryClassHead,
    "classes": lambda **given: torchest.MultiClassHead(3, **given),
    "labels": lambda **given: torchest.MultiLabelHead(2, **given),
    "counts": torchest.PoissonRegressionHead,
}
ALL = pytest.mark.parametrize("kind", HEADS)


class Losses(torchest.SessionRunHook):
    """Notes the loss of every step."""

    def __init__(self):
        self.seen = []

    def before_run(self, run_context):
        return torchest.SessionRunArgs("loss")

    def after_run(self, run_context, run_values):
        self.seen.append(float(run_values.results))


def rows(kind, counts=None, **features):
    """An input_fn of one batch: each row as often as it counts."""
    repeat = np.repeat(np.arange(len(X)), [1] * len(X) if counts is None else counts)
    batch = {key: np.asarray(value)[repeat] for key, value in {"x": X, **features}.items()}
    return lambda: (batch, np.asarray(LABELS[kind])[repeat])


def linear(directory, kind, **head):
    head = HEADS[kind](**head)
    return torchest.LinearEstimator(
        head, [columns.numeric_column("x")], directory, optimizer="SGD", config=QUIET
    )


def first_loss(model, input_fn):
    losses = Losses()
    model.train(input_fn, [losses], steps=1)
    return losses.seen[0]


@ALL
def test_the_loss_of_a_batch_is_a_mean_unless_it_is_asked_to_be_a_sum(tmp_path, kind):
    mean = first_loss(linear(tmp_path / "default", kind), rows(kind))
    twice = first_loss(linear(tmp_path / "twice", kind), rows(kind, [2] * 5))
    total = first_loss(linear(tmp_path / "sum", kind, loss_reduction="sum"), rows(kind))
    assert twice == pytest.approx(mean, rel=1e-6)
    assert total == pytest.approx(len(X) * mean, rel=1e-6)


@ALL
def test_loss_and_average_loss_are_named_and_logged_as_what_they_are(tmp_path, kind, caplog):
    model = linear(tmp_path, kind).train(rows(kind), steps=2)
    with caplog.at_level("INFO", "torchest"):
        metrics = model.evaluate(rows(kind), steps=1)
    assert metrics["loss"] == pytest.approx(metrics["average_loss"], rel=1e-6)
    assert f"average_loss = {metrics['average_loss']!s}" in caplog.text
    assert f", loss = {metrics['loss']!s}" in caplog.text


@ALL
def test_doubled_weights_double_the_loss_and_leave_every_metric(tmp_path, kind):
    weights = [0.5, 1.0, 2.0, 0.0, 1.5]
    plain, doubled = (
        rows(kind, weight=[factor * weight for weight in weights]) for factor in (1, 2)
    )
    model = linear(tmp_path, kind, weight_column="weight").train(plain, steps=3)
    once, twice = model.evaluate(plain, steps=1), model.evaluate(doubled, steps=1)
    assert twice.pop("loss") == pytest.approx(2 * once.pop("loss"), rel=1e-6)
    assert twice == pytest.approx(once, rel=1e-6)


@ALL
def test_a_weight_of_k_counts_in_every_metric_as_k_rows_do(tmp_path, kind):
    weighted = rows(kind, weight=[float(count) for count in COUNTS])
    repeated = rows(kind, COUNTS, weight=[1.0] * len(X))
    model = linear(tmp_path, kind, weight_column="weight").train(weighted, steps=3)
    by_weight, by_rows = model.evaluate(weighted, steps=1), model.evaluate(repeated, steps=1)
    # the loss of a batch is divided by the number of its rows
    expected = by_rows.pop("loss") * sum(COUNTS) / len(X)
    assert by_weight.pop("loss") == pytest.approx(expected, rel=1e-6)
    assert by_weight == pytest.approx(by_rows, rel=1e-6)


def test_strings_come_back_as_they_were_given(tmp_path):
    model = torchest.LinearClassifier(
        [columns.numeric_column("x")],
        tmp_path,
        n_classes=3,
        label_vocabulary=["cat", "dog", "owl"],
        config=QUIET,
    )
    model.train(lambda: ({"x": [1.0, 2.0, 3.0]}, ["owl", "cat", "dog"]), steps=5)
    actual = list(model.predict(lambda: [{"x": [1.0, 2.0]}]))
    assert {prediction["classes"][0] for prediction in actual} <= {b"cat", b"dog", b"owl"}


@pytest.mark.parametrize(
    ("vocabulary", "labels", "message"),
    [
        (None, ["owl", "cat", "dog"], "label_vocabulary"),
        (["cat", "dog", "owl"], ["owl", "cat", "cow"], "'cow'"),
    ],
)
def test_string_labels_need_a_vocabulary_that_has_them(tmp_path, vocabulary, labels, message):
    model = torchest.LinearClassifier(
        [columns.numeric_column("x")], tmp_path, n_classes=3, label_vocabulary=vocabulary
    )
    with pytest.raises((TypeError, ValueError), match=message):
        model.train(lambda: ({"x": [1.0, 2.0, 3.0]}, labels), steps=1)


def test_a_weight_that_the_model_also_sees_is_an_error(tmp_path):
    model = torchest.LinearRegressor(
        [columns.numeric_column("x"), columns.numeric_column("weight")],
        tmp_path,
        weight_column="weight",
    )
    with pytest.raises(
        ValueError,
        match=r"weight_column 'weight' is also read by the feature column 'weight', .* if it is meant, say so by "
        r"weight_column=columns\.numeric_column\('weight'\)",
    ):
        model.train(rows("regression", weight=[1.0] * 5), steps=1)


def test_a_weight_that_the_model_also_sees_may_be_meant(tmp_path):
    weight = columns.numeric_column("weight")
    model = torchest.LinearRegressor(
        [columns.numeric_column("x"), weight], tmp_path, weight_column=weight
    )
    model.train(rows("regression", weight=[1.0] * 5), steps=1)


def test_a_negative_weight_is_an_error(tmp_path):
    model = linear(tmp_path, "regression", weight_column="weight")
    with pytest.raises(ValueError, match="has the weight -2; found 1 such in 5 rows"):
        model.train(rows("regression", weight=[1.0, -2.0, 1.0, 1.0, 1.0]), steps=1)


def test_several_heads_add_their_losses_by_their_weights_and_name_their_metrics(tmp_path):
    heads = [torchest.RegressionHead(name="a"), torchest.BinaryClassHead(name="b")]
    head = torchest.MultiHead(heads, [2.0, 0.5])
    model = torchest.LinearEstimator(head, [columns.numeric_column("x")], tmp_path, config=QUIET)

    def input_fn():
        labels = {"a": np.asarray(LABELS["regression"]), "b": np.asarray(LABELS["binary"])}
        return {"x": X}, labels

    metrics = model.train(input_fn, steps=2).evaluate(input_fn, steps=1)
    expected = 2.0 * metrics["loss/a"] + 0.5 * metrics["loss/b"]
    assert metrics["loss"] == pytest.approx(expected, rel=1e-6)
    assert {"average_loss/a", "average_loss/b", "accuracy/b", "auc/b"} <= set(metrics)
