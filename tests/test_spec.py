"""EstimatorSpec: what a model_fn returns, checked."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from torchest import metrics
from torchest.keys import ModeKeys
from torchest.spec import EstimatorSpec
from torchest.utils.deferred import Deferred
from torchest.utils.indexed_strings import IndexedStrings

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
    spec = EstimatorSpec(ModeKeys.TRAIN, loss=LOSS, train_op=SGD, loss_reduction="sum")
    changed = spec._replace(training_hooks=["hook"], loss=torch.tensor([0.25]))
    assert isinstance(changed, EstimatorSpec)
    assert changed.training_hooks == ("hook",)
    assert changed.loss.shape == ()
    assert changed.train_op is SGD
    assert changed.loss_reduction == "sum"
    assert spec.training_hooks == ()
    assert spec._replace(mode=ModeKeys.TRAIN) == spec


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"loss": torch.ones(2)}, ValueError, r"loss has shape \[2], but must be a scalar"),
        ({"loss": None}, ValueError, "loss is missing"),
        ({"predictions": "a"}, TypeError, "predictions must be a tensor, not a str"),
        ({"train_op": "sgd"}, TypeError, "train_op must be a torch.optim.Optimizer"),
        ({"eval_metric_ops": {"x": 3}}, TypeError, "is a int, not a metric"),
        ({"eval_metric_ops": {"loss": metrics.mean(1.0)}}, ValueError, "has 'loss'"),
        ({"training_hooks": 3}, TypeError, "training_hooks must be a list of hooks"),
        ({"scaffold": 3}, TypeError, "scaffold is a int"),
        ({"loss_reduction": "mean"}, ValueError, "loss_reduction='mean'"),
        ({"mode": "eval"}, ValueError, "mode='eval' cannot take the place of 'train'"),
        ({"mode": "evil"}, ValueError, "mode='evil' cannot take the place of 'train'"),
        ({"los": LOSS}, ValueError, "no field 'los'. Did you mean 'loss'"),
    ],
)
def test_replace_checks_as_the_constructor_does(changes, error, message):
    spec = EstimatorSpec(ModeKeys.TRAIN, loss=LOSS, train_op=SGD)
    with pytest.raises(error, match=message):
        spec._replace(**changes)


def test_a_spec_is_a_tuple_of_its_fields():
    spec = EstimatorSpec(ModeKeys.EVAL, loss=LOSS, loss_reduction="sum")
    assert isinstance(spec, tuple)
    assert list(spec._asdict()) == list(spec._fields)
    assert tuple(spec._asdict().values()) == tuple(spec)
    for again in (EstimatorSpec(**spec._asdict()), EstimatorSpec._make(spec), copy.copy(spec)):
        assert isinstance(again, EstimatorSpec)
        assert again == spec
    assert copy.deepcopy(spec).loss_reduction == "sum"
    assert pickle.loads(pickle.dumps(spec)).loss_reduction == "sum"  # noqa: S301


def test_a_spec_is_made_of_all_its_fields():
    with pytest.raises(TypeError, match="has 12 fields, and was made of 2 values"):
        EstimatorSpec._make(["eval", LOSS])
    fields = [*EstimatorSpec(ModeKeys.EVAL, loss=LOSS)]
    with pytest.raises(ValueError, match=r"loss has shape \[2\]"):
        EstimatorSpec._make([*fields[:2], torch.ones(2), *fields[3:]])


@pytest.mark.parametrize("name", ["loss", "global_step"])
@pytest.mark.parametrize("mode", [ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT])
def test_a_metric_must_not_be_called_as_what_every_evaluation_gives(mode, name):
    with pytest.raises(ValueError, match=f"eval_metric_ops has '{name}', which every evaluation"):
        EstimatorSpec(
            mode,
            predictions={"x": LOSS},
            loss=LOSS,
            train_op=SGD,
            eval_metric_ops={name: metrics.mean(1.0)},
        )


@pytest.mark.parametrize("name", [3, None, ("a", "b"), b"a"])
def test_the_name_of_a_metric_is_a_string(name):
    with pytest.raises(ValueError, match=r"a name of eval_metric_ops=.* must be a string"):
        EstimatorSpec(ModeKeys.EVAL, loss=LOSS, eval_metric_ops={name: metrics.mean(1.0)})


@pytest.mark.parametrize("words", ["a", b"a", ["a", "b"], (b"a",), [["a"]]])
def test_text_in_predictions_is_given_as_an_array(words):
    for predictions in ({"words": words}, words):
        with pytest.raises(TypeError, match=r"Give text as an array .* np\.array\("):
            EstimatorSpec(ModeKeys.PREDICT, predictions=predictions)
    array = np.array(["a", "b"], dtype=object)
    assert EstimatorSpec(ModeKeys.PREDICT, {"words": array}).predictions["words"] is array


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
        ({"mode": "eval_"}, ValueError, r"mode='eval_' is not a mode. Did you mean 'eval'"),
        ({"mode": "train"}, ValueError, r"loss is missing: in TRAIN give a scalar tensor"),
        ({"mode": "eval"}, ValueError, r"loss is missing: in EVAL give a scalar tensor"),
        ({"mode": "train", "loss": LOSS}, ValueError, r"train_op is missing: in TRAIN give"),
        ({"mode": "infer"}, ValueError, r"predictions are missing: in PREDICT give"),
        ({"mode": "eval", "loss": 0.5}, TypeError, r"loss must be a scalar tensor, not a float"),
        ({"mode": "eval", "loss": torch.zeros(3)}, ValueError, r"shape \[3], but must be a scalar"),
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
    with pytest.raises(ValueError, match=r"loss_reduction='mean' is not known. There are: 'auto'"):
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
