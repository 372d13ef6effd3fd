"""MultiHead, against what TensorFlow computes."""

from __future__ import annotations

import pytest
import torch
from reference_arrays import params, read
from reference_heads import arguments, assert_as_tensorflow, assert_metrics, make

from torchest.heads import BinaryClassHead, Head, MultiHead, MultiLabelHead, RegressionHead
from torchest.keys import ModeKeys
from torchest.losses import Reduction

CASES = [case for case in read("heads_regression_multi")["cases"] if case["head"] == "MultiHead"]
LOGITS = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])
LABELS = {"b": torch.tensor([1, 0]), "r": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}


def two_heads(**more: object) -> MultiHead:
    return MultiHead([BinaryClassHead(name="b"), RegressionHead(2, name="r")], **more)


@pytest.mark.parametrize("case", params(CASES))
def test_loss_metrics_and_predictions_as_tensorflow(case):
    assert_as_tensorflow(case)


@pytest.mark.parametrize("case", params(CASES))
def test_the_metrics_of_specs_merge_to_the_same(case):
    head, merged = make(case), None
    for batch in case["batches"]:
        spec = head.create_estimator_spec(mode=ModeKeys.EVAL, **arguments(batch))
        more = spec.eval_metric_ops
        merged = more if merged is None else {key: merged[key].merge(more[key]) for key in more}
    assert_metrics(merged, case["metrics"])


def test_name_dimension_and_reduction():
    head = two_heads()
    assert (head.name, head.logits_dimension, head.loss_reduction) == (
        "b_r",
        3,
        Reduction.SUM_OVER_BATCH_SIZE,
    )


def test_some_predictions():
    actual = two_heads().predictions(LOGITS, keys=[("r", "predictions")])
    assert list(actual) == [("r", "predictions")]
    assert torch.equal(actual["r", "predictions"], LOGITS[:, 1:])


def test_no_rows_lose_zero():
    head = two_heads()
    logits = torch.zeros(0, 3, requires_grad=True)
    labels = {name: labels[:0] for name, labels in LABELS.items()}
    loss = head.loss(labels, logits)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.shape == (0, 3)
    seen = head.update_metrics(head.metrics(), {}, LOGITS, LABELS)
    more = head.update_metrics(seen, {}, logits, labels)
    assert {key: m.compute() for key, m in more.items()} == {
        key: m.compute() for key, m in seen.items()
    }


def test_a_head_of_the_users_own_may_take_part():
    class Difference(Head):
        name = "d"
        logits_dimension = 1
        loss_reduction = Reduction.AUTO

        def loss(self, labels, logits, features=None, mode=None, regularization_losses=None):
            return (logits - labels).sum()

        def predictions(self, logits, keys=None):
            return {"x": logits}

        def metrics(self, regularization_losses=None):
            return {}

        def update_metrics(self, eval_metrics, features, logits, labels, **_):
            return {}

    head = MultiHead([Difference(), BinaryClassHead(name="b")])
    labels = {"d": torch.zeros(2, 1), "b": torch.tensor([1, 0])}
    spec = head.create_estimator_spec({}, ModeKeys.EVAL, LOGITS[:, :2], labels)
    assert spec.eval_metric_ops["loss/d"].compute().item() == 1
    assert ("d", "x") in spec.predictions
    alone = Difference().create_estimator_spec({}, ModeKeys.EVAL, LOGITS[:, :1], labels["d"])
    assert alone.loss.item() == 1


@pytest.mark.parametrize(
    ("heads", "more", "message"),
    [
        ([], {}, r"heads=\[\] must be a list of at least one head"),
        ([3], {}, r"heads=\[3\]: 3 \(int\) is not a head"),
        ([BinaryClassHead()], {}, r"heads has a BinaryClassHead without a name"),
        ([BinaryClassHead(name="x")] * 2, {}, r"heads has two heads called 'x'"),
        (
            [BinaryClassHead(name="x")],
            {"head_weights": [1.0, 2.0]},
            r"head_weights=\[1.0, 2.0\] has 2 weights, but there are 1 heads",
        ),
        (
            [BinaryClassHead(name="x"), RegressionHead(name="y", loss_reduction="sum")],
            {},
            r"'x' has loss_reduction='sum_over_batch_size', and 'y' has 'sum': give all heads",
        ),
        (
            [
                RegressionHead(name="x", loss_reduction="sum"),
                RegressionHead(name="y", loss_reduction="sum"),
                BinaryClassHead(name="z", loss_reduction="auto"),
            ],
            {},
            r"'x' has loss_reduction='sum', and 'z' has 'auto'",
        ),
        (
            [
                MultiLabelHead(2, classes_for_class_based_metrics=[0], name="x"),
                BinaryClassHead(name="class0/x"),
            ],
            {},
            r"'x' and 'class0/x' have a metric of one name, 'auc/class0/x'",
        ),
        (
            [MultiHead([RegressionHead(name="x")]), MultiHead([RegressionHead(name="x")])],
            {},
            r"heads has two heads called 'x'",
        ),
        (
            [
                MultiHead([RegressionHead(name="x"), RegressionHead(name="y")]),
                RegressionHead(name="x"),
            ],
            {},
            r"'x_y' and 'x' have a metric of one name, 'loss/x'",
        ),
    ],
)
def test_wrong_arguments(heads, more, message):
    with pytest.raises(ValueError, match=message):
        MultiHead(heads, **more)


def test_heads_of_the_mean_and_of_its_other_name_go_together():
    heads = [BinaryClassHead(name="x"), RegressionHead(name="y", loss_reduction="auto")]
    assert MultiHead(heads).loss_reduction == Reduction.SUM_OVER_BATCH_SIZE


def test_regularization_losses_are_the_fifth_argument_of_update_metrics_as_in_tensorflow():
    head, losses = two_heads(), [torch.tensor(0.25)]
    actual = head.update_metrics(head.metrics(losses), {}, LOGITS, LABELS, losses)
    assert actual["regularization_loss/b_r"].compute() == 0.25
    single = RegressionHead()
    actual = single.update_metrics(single.metrics(losses), {}, LOGITS[:, :1], LABELS["b"], losses)
    assert actual["regularization_loss"].compute() == 0.25


@pytest.mark.parametrize(
    ("labels", "logits", "message"),
    [
        (None, LOGITS, r"labels must be a dict by the names of the heads, 'b', 'r'; they are miss"),
        (LABELS["b"], LOGITS, r"labels must be a dict.*; they are a Tensor"),
        ({"b": LABELS["b"]}, LOGITS, r"labels have nothing for the head 'r'.*and have 'b'"),
        (LABELS, LOGITS[:, :2], r"must be \[batch, 3\]: 1 of 'b' \+ 2 of 'r'"),
        (LABELS, {"b": LOGITS[:, :1]}, r"logits have nothing for the head 'r'"),
        (LABELS, None, r"logits are None, but their shape must be \[batch, 3\]"),
        (
            LABELS,
            {"b": LOGITS, "r": LOGITS[:, 1:]},
            r"BinaryClassHead 'b': logits have shape \[2, 3\]",
        ),
    ],
)
def test_wrong_labels_and_logits(labels, logits, message):
    with pytest.raises(ValueError, match=message):
        two_heads().loss(labels, logits)


def test_a_wrong_prediction_key():
    with pytest.raises(ValueError, match=r"keys has 'logits', which is not a prediction"):
        two_heads().predictions(LOGITS, keys=["logits"])
