"""A head of the user's own, and `train_op_fn`, in a model that is trained, evaluated and asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchest
from torchest import columns, heads, metrics, models, optimizers

X = columns.numeric_column("x")
KIND = columns.categorical_column_with_identity("kind", 3)


class AbsoluteError(heads.Head):
    """Regression by the absolute error."""

    name = None
    logits_dimension = 1
    loss_reduction = "sum_over_batch_size"

    def __init__(self):
        self.modes = []

    def loss(self, labels, logits, features=None, mode=None, regularization_losses=None):
        return (logits - labels.reshape(-1, 1)).abs().mean()

    def predictions(self, logits, keys=None):
        return {"value": logits}

    def metrics(self, regularization_losses=None):
        return {"error": metrics.Mean.empty()}

    def update_metrics(
        self, eval_metrics, features, logits, labels, mode=None, regularization_losses=None
    ):
        self.modes.append(mode)
        more = metrics.mean_absolute_error(labels.reshape(-1, 1), logits)
        return {"error": eval_metrics["error"].merge(more)}


def rows():
    return [({"x": [1.0, 2.0], "kind": [0, 2]}, [1.0, 5.0])]


def test_an_estimator_with_a_head_of_the_users_own(tmp_path):
    head = AbsoluteError()
    model = torchest.LinearEstimator(
        head, [X], tmp_path, optimizer=lambda parameters: optimizers.SGD(parameters, lr=0.5)
    )
    model.train(rows)
    # |0 − 1| and |0 − 5|, halved, have the gradients −(1 + 2) / 2 and −1: weight 0.75, bias 0.5
    assert [each["value"].item() for each in model.predict(rows)] == [1.25, 2.0]
    assert model.evaluate(rows) == {"error": 1.625, "loss": 1.625, "global_step": 1}
    assert set(head.modes) == {torchest.ModeKeys.EVAL}


class Doubled(heads.RegressionHead):
    """Adds a prediction and a metric to those of a regression."""

    def create_estimator_spec(self, features, mode, logits, labels=None, **rest):
        spec = super().create_estimator_spec(features, mode, logits, labels, **rest)
        found = {**spec.predictions, "doubled": 2 * logits}
        added = {} if labels is None else {"doubled": torchest.metrics.mean(2 * logits)}
        return spec._replace(
            predictions=found,
            export_outputs=None,
            eval_metric_ops={**spec.eval_metric_ops, **added},
        )


def test_a_head_derived_from_one_of_torchest_makes_the_results(tmp_path):
    model = torchest.LinearEstimator(
        Doubled(), [X], tmp_path, optimizer=lambda parameters: optimizers.SGD(parameters, lr=0.5)
    )
    model.train(rows)
    # the residuals −1 and −5 have the gradients −(1 + 2 · 5) and −6 of weight and bias
    assert [each["doubled"].item() for each in model.predict(rows)] == [17.0, 28.0]
    assert model.evaluate(rows)["doubled"] == 22.5


class DoubledLoss(heads.RegressionHead):
    def loss(self, *batch, **named):
        return 2 * super().loss(*batch, **named)


class DoubledLosses(heads.RegressionHead):
    def _losses(self, labels, logits):
        return 2 * super()._losses(labels, logits)


class WithSeven(heads.RegressionHead):
    def update_metrics(self, eval_metrics, *batch, **named):
        updated = super().update_metrics(eval_metrics, *batch, **named)
        return {**updated, "seven": metrics.mean(torch.tensor([7.0]))}


class WithSevenOfItsOwn(heads.RegressionHead):
    def _metrics(self, batch):
        return {**super()._metrics(batch), "seven": metrics.mean(torch.tensor([7.0]))}


def with_a_loss_of_its_own(name=None):
    head = heads.RegressionHead(name=name)
    loss = head.loss
    head.loss = lambda *batch, **named: 2 * loss(*batch, **named)
    return head


CHANGED = {
    "loss": DoubledLoss,
    "losses": DoubledLosses,
    "update_metrics": WithSeven,
    "metrics": WithSevenOfItsOwn,
    "an object's loss": with_a_loss_of_its_own,
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_a_derived_head_replaces_is_called(tmp_path, name):
    model = torchest.LinearEstimator(CHANGED[name](), [X], tmp_path)
    # the model predicts 0 for 1 and 5
    evaluated = model.evaluate(rows)
    assert evaluated["loss"] == (13 if "metrics" in name else 26)
    assert evaluated.get("seven") == (7 if "metrics" in name else None)
    assert evaluated["label/mean"] == 3


def test_a_derived_head_is_called_by_a_head_of_several(tmp_path):
    head = heads.MultiHead([DoubledLoss(name="a"), WithSeven(name="b")])
    model = torchest.LinearEstimator(head, [X], tmp_path)
    labels = {name: [1.0, 5.0] for name in "ab"}
    evaluated = model.evaluate(lambda: [({"x": [1.0, 2.0]}, labels)])
    assert [evaluated[f"loss/{name}"] for name in "ab"] == [26, 13]
    assert evaluated["seven"] == 7


def test_a_derived_head_trains_by_its_own_loss(tmp_path):
    trained = {}
    for kind in (DoubledLoss, DoubledLosses, heads.RegressionHead):
        model = torchest.LinearEstimator(
            kind(),
            [X],
            tmp_path / kind.__name__,
            optimizer=lambda parameters: optimizers.SGD(parameters, lr=0.5),
        ).train(rows)
        trained[kind] = model.get_variable_value("linear.bias").item()
    # the residuals −1 and −5 have the gradients −1 and −5 of the bias, in the mean of squares
    assert list(trained.values()) == [6.0, 6.0, 3.0]


def test_train_op_fn_trains_tables_too(tmp_path):
    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: models.LinearModel([KIND]))
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.5))

        def train_op_fn(loss):
            def step():
                sgd.zero_grad()
                torchest.backward(loss)
                sgd.step()

            return step

        return heads.RegressionHead().create_estimator_spec(
            features, mode, net(features), labels, train_op_fn=train_op_fn
        )

    model = torchest.Estimator(model_fn, tmp_path).train(rows)
    # the mean of (0 − 1)² and (0 − 5)² has the gradients −1 and −5
    np.testing.assert_allclose(model.get_variable_value("net.kind.weight"), [[0.5], [0], [2.5]])
    np.testing.assert_allclose(model.get_variable_value("net.bias"), [3.0])
