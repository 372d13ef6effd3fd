"""MultiClassHead, against what TensorFlow computes."""

from __future__ import annotations

import math

import pytest
import torch
from reference_arrays import params, read
from reference_heads import arguments, assert_as_tensorflow, make

from torchest.heads import MultiClassHead

REFERENCE = read("heads_binary_multiclass")
CASES = [case for case in REFERENCE["cases"] if case["head"] == "MultiClassHead"]
LOGITS = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize("case", params(CASES))
def test_loss_metrics_and_predictions_as_tensorflow(case):
    assert_as_tensorflow(case)


@pytest.mark.parametrize("case", params(REFERENCE["refused"]))
def test_what_tensorflow_refuses_is_refused(case):
    def use() -> None:
        head = make(case)
        if "batch" in case:
            head.loss(**arguments(case["batch"]))

    with pytest.raises(ValueError, match=r"label|logits|thresholds|n_classes|loss_reduction"):
        use()


def test_zero_logits_lose_the_log_of_the_number_of_classes():
    loss = MultiClassHead(5).loss(torch.tensor([0, 4]), torch.zeros(2, 5))
    assert loss.item() == pytest.approx(math.log(5))


def test_no_rows_lose_zero():
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = MultiClassHead(3).loss(torch.zeros(0, 1, dtype=torch.int64), logits)
    loss.backward()
    assert loss.item() == 0


def test_a_loss_fn_gets_class_ids():
    def of_own(labels, logits):
        assert labels.dtype == torch.int64
        return logits.gather(1, labels)

    head = MultiClassHead(3, loss_fn=of_own)
    assert head.loss([2, 1], LOGITS).item() == pytest.approx(1.5)


def test_predictions_of_classes_give_the_strings_back():
    head = MultiClassHead(3, label_vocabulary=["a", "b", "c"])
    actual = head.predictions(LOGITS)
    assert actual["classes"].numpy().tolist() == [[b"c"], [b"a"]]
    assert actual["all_classes"].numpy().tolist() == [[b"a", b"b", b"c"]] * 2


@pytest.mark.parametrize(
    ("n_classes", "message"),
    [
        (2, r"n_classes=2 must be a whole number of at least 3. Use BinaryClassHead"),
        (1, r"n_classes=1 must be a whole number of at least 3"),
        (3.5, r"n_classes=3.5 must be a whole number"),
        ("3", r"n_classes='3' must be a whole number"),
    ],
)
def test_wrong_numbers_of_classes(n_classes, message):
    with pytest.raises(ValueError, match=message):
        MultiClassHead(n_classes)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3], r"labels must be below n_classes=3; found 3 in 1 of 2 labels"),
        ([-1, 0], r"labels must be at least 0; found -1 in 1 of 2 labels"),
        ([0.0, 1.0], r"labels have dtype float32 and must be class ids, whole numbers from 0 to 2"),
        (torch.tensor([True, False]), r"labels have dtype bool and must be class ids"),
        (torch.eye(3, dtype=torch.int64)[:2], r"For one-hot labels, give class ids"),
        (["a", "b"], r"labels are strings such as 'a', and MultiClassHead was made without"),
    ],
)
def test_wrong_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        MultiClassHead(3).loss(labels, LOGITS)


def test_wrong_logits():
    with pytest.raises(ValueError, match=r"let the model's last layer have 3 outputs"):
        MultiClassHead(3).loss([0, 1], torch.zeros(2, 4))
