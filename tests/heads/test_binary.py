"""BinaryClassHead, against what TensorFlow computes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from reference_arrays import params, read
from reference_heads import assert_as_tensorflow

from torchest import losses
from torchest.columns.categorical import categorical_column_with_hash_bucket
from torchest.heads import BinaryClassHead
from torchest.keys import ModeKeys

CASES = [
    case for case in read("heads_binary_multiclass")["cases"] if case["head"] == "BinaryClassHead"
]
LOGITS = torch.tensor([[0.5], [-1.0], [2.0]])


@pytest.mark.parametrize("case", params(CASES))
def test_loss_metrics_and_predictions_as_tensorflow(case):
    assert_as_tensorflow(case)


def test_zero_logits_lose_log_two():
    loss = BinaryClassHead().loss(torch.tensor([0, 1]), torch.zeros(2, 1))
    assert loss.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    "labels",
    [
        [1, 0, 1],
        np.array([1, 0, 1], np.int32),
        np.array([[1], [0], [1]], np.float64),
        torch.tensor([True, False, True]),
        pd.Series([1, 0, 1], dtype="Int64"),
    ],
    ids=["list", "int32", "float64 [batch, 1]", "bool", "nullable"],
)
def test_labels_of_any_kind(labels):
    expected = BinaryClassHead().loss(torch.tensor([[1.0], [0.0], [1.0]]), LOGITS)
    assert torch.equal(BinaryClassHead().loss(labels, LOGITS), expected)


@pytest.mark.parametrize(
    "labels",
    [
        ["yes", "no", "yes"],
        [b"yes", b"no", b"yes"],
        np.array([["yes"], ["no"], ["yes"]]),
        np.array([b"yes", b"no", b"yes"]),
        np.array(["yes", "no", "yes"], dtype=object),
        pd.Series(["yes", "no", "yes"]),
        pd.Series(["yes", "no", "yes"], dtype="category"),
    ],
    ids=["list", "bytes", "[batch, 1]", "numpy bytes", "objects", "Series", "category"],
)
def test_string_labels_of_any_kind(labels):
    head = BinaryClassHead(label_vocabulary=["no", "yes"])
    expected = BinaryClassHead().loss(torch.tensor([1, 0, 1]), LOGITS)
    assert torch.equal(head.loss(labels, LOGITS), expected)


def test_predictions_of_classes_give_the_strings_back():
    head = BinaryClassHead(label_vocabulary=["nein", "größer"])
    classes = head.predictions(LOGITS)["classes"].numpy()
    assert [name.decode() for name in classes[:, 0]] == ["größer", "nein", "größer"]


def test_some_predictions():
    actual = BinaryClassHead().predictions(LOGITS, keys=["class_ids", "logits"])
    assert list(actual) == ["class_ids", "logits"]


def test_the_loss_is_in_float64_for_float64_logits():
    loss = BinaryClassHead().loss(torch.tensor([1, 0, 1]), LOGITS.double())
    expected = np.mean(np.log1p(np.exp([-0.5, -1.0, -2.0])))
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("reduction", [losses.Reduction.SUM, losses.Reduction.SUM_OVER_BATCH_SIZE])
def test_no_rows_lose_zero_and_leave_the_metrics(reduction):
    head = BinaryClassHead(loss_reduction=reduction, thresholds=[0.5])
    logits = torch.zeros(0, 1, requires_grad=True)
    loss = head.loss(torch.zeros(0, dtype=torch.int64), logits)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.shape == (0, 1)
    seen = head.update_metrics(head.metrics(), {}, LOGITS, torch.tensor([1, 1, 0]))
    more = head.update_metrics(seen, {}, torch.zeros(0, 1), torch.zeros(0))
    assert {key: m.compute() for key, m in more.items()} == {
        key: m.compute() for key, m in seen.items()
    }


def test_metrics_are_values():
    head = BinaryClassHead()
    empty = head.metrics()
    head.update_metrics(empty, {}, LOGITS, torch.tensor([1, 1, 0]))
    assert all(metric.compute() == 0 for metric in empty.values())


def test_a_loss_fn_replaces_the_loss():
    def hinge(labels, logits):
        return torch.relu(1 - (2 * labels - 1) * logits)

    head = BinaryClassHead(loss_fn=hinge)
    assert head.loss(torch.tensor([1, 0, 0]), LOGITS).item() == pytest.approx((0.5 + 0 + 3) / 3)


def test_a_loss_fn_may_take_features():
    head = BinaryClassHead(loss_fn=lambda labels, logits, features: logits * features["factor"])
    actual = head.loss(torch.tensor([1, 0, 0]), LOGITS, {"factor": 2.0})
    assert actual.item() == pytest.approx(1.0)


def test_regularization_losses_are_added():
    head = BinaryClassHead()
    labels, more = torch.tensor([1, 0, 0]), [torch.tensor(0.5), torch.tensor(0.25)]
    plain = head.loss(labels, LOGITS)
    assert torch.equal(head.loss(labels, LOGITS, regularization_losses=more), plain + 0.75)


def test_the_spec_of_each_mode():
    head = BinaryClassHead()
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    logits, labels = LOGITS + weight, torch.tensor([1, 0, 0])
    train = head.create_estimator_spec({}, ModeKeys.TRAIN, logits, labels, optimizer=optimizer)
    assert train.train_op is optimizer
    assert train.loss.requires_grad
    assert not train.predictions["logistic"].requires_grad
    evaluation = head.create_estimator_spec({}, ModeKeys.EVAL, logits, labels)
    assert evaluation.eval_metric_ops["label/mean"].compute().item() == pytest.approx(1 / 3)
    assert torch.equal(evaluation.loss, train.loss)
    prediction = head.create_estimator_spec({}, ModeKeys.PREDICT, logits)
    assert "probabilities" in prediction.predictions
    assert prediction.loss is None


def test_train_op_fn_is_given_the_loss():
    head, seen = BinaryClassHead(), []

    def train_op_fn(loss):
        seen.append(loss)
        return lambda: None

    spec = head.create_estimator_spec(
        {}, ModeKeys.TRAIN, LOGITS, torch.tensor([1, 0, 0]), train_op_fn=train_op_fn
    )
    assert seen == [spec.loss]
    assert callable(spec.train_op)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"thresholds": [0.5, 1.0]},
            r"thresholds=\[0.5, 1.0\] must be numbers between 0 and 1; 1.0 is",
        ),
        ({"thresholds": [0.0]}, r"thresholds=\[0.0\] must be numbers between"),
        (
            {"loss_reduction": "none"},
            r"loss_reduction='none' is not known\. There are: 'auto', 'sum', 'sum_ov",
        ),
        ({"loss_reduction": "mean"}, r"loss_reduction='mean' is not known\. There are: 'auto'"),
        (
            {"label_vocabulary": "ny"},
            r"label_vocabulary='ny' is a str: give a list or tuple of strings",
        ),
        ({"label_vocabulary": ["a"]}, r"\['a'\] must have n_classes=2 different strings; it has 1"),
        ({"label_vocabulary": ["a", "a"]}, r"n_classes=2 different strings; it has 1"),
        ({"label_vocabulary": [0, 1]}, r"label_vocabulary has 0, a int: its items must be strings"),
        ({"weight_column": 3}, r"weight_column=3 must be the key of a feature or a numeric column"),
        (
            {"weight_column": categorical_column_with_hash_bucket("w", 3)},
            r"must be the key of a feature or a numeric column, not a HashedC",
        ),
        ({"loss_fn": 3}, r"loss_fn=3 must be a function"),
        ({"loss_fn": lambda logits: logits}, r"loss_fn must take 'labels'; it takes \(logits\)"),
        (
            {"loss_fn": lambda labels, logits, mode: 0},
            r"loss_fn takes 'mode', which no head passes",
        ),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        BinaryClassHead(**arguments)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"BinaryClassHead: labels are missing: let the input_fn give \(features, labels\)"),
        ([0, 2, 1], r"labels must be 0 or 1; found 2 in 1 of 3 labels. Labels are class"),
        ([0, -1, -1], r"labels must be at least 0; found -1 in 2 of 3 labels"),
        (
            [0.0, math.nan, 1.0],
            r"labels must be there for every example; found nan in 1 of 3 labels",
        ),
        ([0, 1], r"labels have shape \[2\], but for logits of shape \[3, 1\] their shape must be"),
        (torch.zeros(3, 2), r"must be \[3, 1\] or \[3\]. For one-hot labels, give class ids"),
        (
            ["no", "yes", "no"],
            r"labels are strings such as 'no', and BinaryClassHead was made with",
        ),
    ],
)
def test_wrong_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        BinaryClassHead().loss(labels, LOGITS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 1], r"label_vocabulary=\['no', 'yes'\]; they are numbers of dtype int64"),
        (["no", "yess", "x"], r"found 'yess' in 2 of 3 labels. Did you mean 'yes'"),
        (["no", None, "yes"], r"found a missing value in 1 of 3 labels"),
        (["no", "yes"], r"labels have shape \[2\]"),
    ],
)
def test_wrong_string_labels(labels, message):
    head = BinaryClassHead(label_vocabulary=["no", "yes"])
    with pytest.raises(ValueError, match=message):
        head.loss(labels, LOGITS)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (torch.zeros(3), r"logits have shape \[3\], but their shape must be \[batch, 1\]"),
        (
            torch.zeros(3, 2),
            r"logits have shape \[3, 2\].*let the model's last layer have 1 output,",
        ),
        (
            torch.zeros(3, 1, dtype=torch.int64),
            r"logits must be a tensor of floating point numbers",
        ),
        (np.zeros((3, 1)), r"logits must be a tensor of floating point numbers, not a ndarray"),
    ],
)
def test_wrong_logits(logits, message):
    with pytest.raises(ValueError, match=message):
        BinaryClassHead().loss([0, 1, 1], logits)
    with pytest.raises(ValueError, match=message):
        BinaryClassHead().predictions(logits)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (None, r"weight_column='w' needs features that are a dict; they are None"),
        ({"v": [1.0, 1.0, 1.0]}, r"weight_column 'w' is not among the features"),
        ({"w": [1.0, -2.0, 1.0]}, r"weight_column 'w' has the weight -2; found 1 such in 3 rows"),
        ({"w": [1.0, math.nan, 1.0]}, r"weight_column 'w' has the weight nan"),
        ({"w": ["a", "b", "c"]}, r"weight_column 'w' holds strings or lists of unequal lengths"),
        ({"w": [[1.0, 2.0]] * 3}, r"'w' has shape \[3, 2\].*must be \[3, 1\] or \[3\]: one weight"),
        ({"w": [1.0]}, r"weight_column 'w' has shape \[1\]"),
    ],
)
def test_wrong_weights(features, message):
    with pytest.raises(ValueError, match=message):
        BinaryClassHead(weight_column="w").loss([0, 1, 1], LOGITS, features)


def test_a_wrong_prediction_key():
    with pytest.raises(
        ValueError, match=r"keys has 'logit', which is not a prediction. Did you mean 'logits'"
    ):
        BinaryClassHead().predictions(LOGITS, keys=["logit"])


def test_a_loss_fn_of_a_wrong_shape():
    head = BinaryClassHead(loss_fn=lambda labels, logits: logits.mean())
    with pytest.raises(
        ValueError, match=r"loss_fn returned a result of shape \[\]; it must return"
    ):
        head.loss([0, 1, 1], LOGITS)


def test_training_needs_one_way_to_train():
    head = BinaryClassHead()
    with pytest.raises(ValueError, match=r"one of optimizer and train_op_fn.*neither is given"):
        head.create_estimator_spec({}, ModeKeys.TRAIN, LOGITS, [0, 1, 1])
