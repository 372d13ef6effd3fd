"""EstimatorSpec: what a model_fn returns, checked."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from torchest import metrics
from torchest.indexed_strings import IndexedStrings
from torchest.keys import ModeKeys
from torchest.spec import Deferred, EstimatorSpec

LOSS = torch.tensor(0.5)
WEIGHT = torch.nn.Parameter(torch.zeros(1))
SGD = torch.optim.SGD([WEIGHT], lr=0.1)


def test_fields_not_given():
    spec = EstimatorSpec(ModeKeys.EVAL, loss=LOSS)
    assert spec.predictions == {}
    assert spec.eval_metric_ops == {}
    assert spec.train_op is None
    assert spec.export_outputs is None
    assert spec.training_hooks == spec.training_chief_hooks == ()
    assert spec.evaluation_hooks == spec.prediction_hooks == ()


def test_replace_changes_single_fields():
    spec = EstimatorSpec(ModeKeys.TRAIN, loss=LOSS, train_op=SGD)
    changed = spec._replace(training_hooks=("hook",))
    assert isinstance(changed, EstimatorSpec)
    assert changed.training_hooks == ("hook",)
    assert changed.train_op is SGD


@pytest.mark.parametrize("loss", [torch.tensor([0.5]), torch.tensor([[0.5]]), LOSS])
def test_a_loss_of_one_number_becomes_a_scalar(loss):
    assert EstimatorSpec(ModeKeys.EVAL, loss=loss).loss.shape == ()


@pytest.mark.parametrize(
    "train_op", [SGD, [SGD, SGD], (SGD,), lambda: None], ids=["one", "list", "tuple", "function"]
)
def test_train_ops(train_op):
    spec = EstimatorSpec(ModeKeys.TRAIN, loss=LOSS, train_op=train_op)
    assert spec.train_op == (list(train_op) if isinstance(train_op, tuple) else train_op)


@pytest.mark.parametrize(
    "predictions",
    [
        torch.zeros(2),
        {"x": torch.zeros(2), "y": np.zeros(2)},
        {"names": IndexedStrings(torch.tensor([0]), (b"a",))},
    ],
    ids=["tensor", "dict", "strings"],
)
def test_predictions(predictions):
    spec = EstimatorSpec(ModeKeys.PREDICT, predictions=predictions)
    assert spec.predictions is predictions or spec.predictions == predictions
    assert spec.loss is None


def test_metrics_are_values():
    value = metrics.mean(torch.ones(2))
    spec = EstimatorSpec(ModeKeys.EVAL, loss=LOSS, eval_metric_ops={"one": value})
    assert spec.eval_metric_ops == {"one": value}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mode": "eval_"}, ValueError, r"mode='eval_' is no mode. Did you mean 'eval'"),
        ({"mode": "train"}, ValueError, r"loss is missing: in TRAIN give a scalar tensor"),
        ({"mode": "eval"}, ValueError, r"loss is missing: in EVAL give a scalar tensor"),
        ({"mode": "train", "loss": LOSS}, ValueError, r"train_op is missing: in TRAIN give"),
        ({"mode": "infer"}, ValueError, r"predictions are missing: in PREDICT give"),
        ({"mode": "eval", "loss": 0.5}, TypeError, r"loss must be a scalar tensor, not a float"),
        ({"mode": "eval", "loss": torch.zeros(3)}, ValueError, r"shape \[3\] and must be a scalar"),
        (
            {"mode": "infer", "predictions": [1]},
            TypeError,
            r"predictions must be a tensor, not a l",
        ),
        (
            {"mode": "infer", "predictions": {"x": "y"}},
            TypeError,
            r"predictions\['x'\] must be a tensor, not a str",
        ),
        (
            {"mode": "train", "loss": LOSS, "train_op": 3},
            TypeError,
            r"train_op must be a torch.optim.Optimizer, a list of them, or a function; it is a int",
        ),
        (
            {"mode": "train", "loss": LOSS, "train_op": torch.optim.SGD},
            TypeError,
            r"it is the class SGD",
        ),
        ({"mode": "train", "loss": LOSS, "train_op": []}, TypeError, r"it is an empty list"),
        ({"mode": "train", "loss": LOSS, "train_op": [SGD, 3]}, TypeError, r"a list with a int"),
        (
            {"mode": "eval", "loss": LOSS, "eval_metric_ops": [1]},
            TypeError,
            r"eval_metric_ops must be a dict of metrics by name, not a list",
        ),
        (
            {"mode": "eval", "loss": LOSS, "eval_metric_ops": {"m": LOSS}},
            TypeError,
            r"eval_metric_ops\['m'\] is a Tensor, not a metric. Use a value of torchest.metrics",
        ),
    ],
)
def test_wrong_use(arguments, error, message):
    with pytest.raises(error, match=message):
        EstimatorSpec(**arguments)


def test_a_loss_is_a_mean_unless_said_otherwise():
    spec = EstimatorSpec(ModeKeys.EVAL, loss=torch.tensor(1.0))
    assert spec.loss_reduction == "auto"
    with pytest.raises(ValueError, match=r"loss_reduction='mean' must be one of 'auto', .*'sum'\."):
        EstimatorSpec(ModeKeys.EVAL, loss=torch.tensor(1.0), loss_reduction="mean")


def test_predictions_of_a_head_are_made_when_they_are_looked_at():
    made = []

    def make():
        made.append("once")
        return {"logits": 1}

    spec = EstimatorSpec(ModeKeys.EVAL, Deferred(make), loss=torch.tensor(1.0))
    assert not made
    assert spec.predictions["logits"] == 1
    spec.predictions["more"] = 2
    assert spec.predictions | {"most": 3} == {"logits": 1, "more": 2, "most": 3}
    assert pickle.loads(pickle.dumps(spec.predictions)) == {"logits": 1, "more": 2}  # noqa: S301
    assert made == ["once"]
