"""MultiLabelHead, against what TensorFlow computes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from reference_arrays import params, read
from reference_heads import assert_as_tensorflow

import torchest
from torchest.columns.ids import Ids
from torchest.heads import MultiLabelHead

CASES = [
    case for case in read("heads_regression_multi")["cases"] if case["head"] == "MultiLabelHead"
]
LOGITS = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [2.0, 0.0, 0.0]])
HOT = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
NAMES = ["red", "green", "blue"]


@pytest.mark.parametrize("case", params(CASES))
def test_loss_metrics_and_predictions_as_tensorflow(case):
    assert_as_tensorflow(case)


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([[0, 2], [], [1]]),
        pa.array([[0, 2], None, [1]]),
        [[0, 2], [], [1]],
        pa.array([[2, 0, 2], [], [1]], pa.large_list(pa.int32())),
        Ids(torch.tensor([0, 2, 1]), torch.tensor([0, 2, 2, 3])),
        Ids.from_padded(torch.tensor([[0, 2], [-1, -1], [1, -1]])),
        HOT.numpy(),
        HOT.bool(),
        HOT.double(),
    ],
    ids=["Arrow", "null", "lists", "repeated", "Ids", "padded Ids", "numpy", "bool", "float64"],
)
def test_labels_of_any_kind(labels):
    head = MultiLabelHead(3)
    assert torch.equal(head.loss(labels, LOGITS), head.loss(HOT, LOGITS))


@pytest.mark.parametrize(
    "labels",
    [
        [["red", "blue"], [], ["green"]],
        [["red", "blue"], ["", ""], ["green", None]],
        np.array([["red", "blue"], ["", ""], ["green", ""]]),
        np.array([[b"red", b"blue"], [b"", b""], [b"green", b""]]),
        pa.array(
            [["red", "blue"], None, ["green"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))
        ),
    ],
    ids=["lists", "with a missing name", "padded", "padded bytes", "dictionary"],
)
def test_lists_of_names_of_any_kind(labels):
    head = MultiLabelHead(3, label_vocabulary=NAMES)
    assert torch.equal(head.loss(labels, LOGITS), MultiLabelHead(3).loss(HOT, LOGITS))


@pytest.mark.parametrize(
    ("labels", "ids"),
    [
        (["red", "", "green"], Ids(torch.tensor([0, -1, 1]))),
        (np.array([b"red", b"", b"green"]), Ids(torch.tensor([0, -1, 1]))),
    ],
    ids=["text", "bytes"],
)
def test_one_or_no_class_for_each_example(labels, ids):
    expected = MultiLabelHead(3).loss([[1, 0, 0], [0, 0, 0], [0, 1, 0]], LOGITS)
    named = MultiLabelHead(3, label_vocabulary=NAMES)
    assert torch.equal(named.loss(labels, LOGITS), expected)
    assert torch.equal(MultiLabelHead(3).loss(ids, LOGITS), expected)


def test_lists_that_are_all_empty():
    labels = pa.array([[], [], []])
    expected = MultiLabelHead(3).loss(torch.zeros(3, 3), LOGITS)
    assert torch.equal(MultiLabelHead(3).loss(labels, LOGITS), expected)


def test_no_rows_lose_zero():
    head = MultiLabelHead(3, thresholds=[0.5], classes_for_class_based_metrics=[1])
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = head.loss(torch.zeros(0, 3), logits)
    loss.backward()
    assert loss.item() == 0
    nothing = head.update_metrics(head.metrics(), {}, logits, torch.zeros(0, 3))
    assert all(metric.compute().item() == 0 for metric in nothing.values())


def test_predictions_of_class_names():
    head = MultiLabelHead(3, label_vocabulary=NAMES)
    assert head.predictions(LOGITS)["classes"].numpy().tolist() == [[b"red", b"green", b"blue"]] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_classes": 1}, r"n_classes=1 must be a whole number of at least 2"),
        ({"classes_for_class_based_metrics": [3]}, r"has 3: class ids are from 0 to 2"),
        ({"classes_for_class_based_metrics": [-1]}, r"has -1: class ids are from 0 to 2"),
        ({"classes_for_class_based_metrics": ["red"]}, r"has 'red', but there is no label_vocab"),
        (
            {"classes_for_class_based_metrics": ["rad"], "label_vocabulary": NAMES},
            r"has 'rad', which is not a class. Did you mean 'red'",
        ),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiLabelHead(**{"n_classes": 3, **arguments})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"MultiLabelHead: labels are missing"),
        (torch.zeros(3, 2), r"labels have shape \[3, 2\].*must be \[3, 3\]"),
        (torch.zeros(3), r"labels have shape \[3\]"),
        (2 * HOT, r"labels must be 0 or 1; found 2 in 3 of 9 labels"),
        ([[0, 3], [], [1]], r"labels must be below n_classes=3; found 3 in 1 of 3 labels"),
        ([[0, -1], [], [1]], r"labels must be at least 0; found -1 in 1 of 3 labels"),
        ([[0.5], [], [1.0, 2.0]], r"labels have dtype .* and must be class ids"),
        (
            [["a"], [], ["b"]],
            r"labels are strings such as 'a', and MultiLabelHead was made without",
        ),
        (pa.array([[0], [1]]), r"labels have shape \[2, 3\]"),
    ],
)
def test_wrong_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        MultiLabelHead(3).loss(labels, LOGITS)


def test_a_name_that_is_no_class():
    head = MultiLabelHead(3, label_vocabulary=NAMES)
    with pytest.raises(ValueError, match=r"found 'grey' in 1 of 3 labels. Did you mean 'green'"):
        head.loss([["red", "grey"], [], ["green"]], LOGITS)


HOT_OF_IDS = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0]])


def sparse(rows, places, values, shape):
    return torch.sparse_coo_tensor([rows, places], values, shape, check_invariants=True)


@pytest.mark.parametrize(
    "labels",
    [
        sparse([0, 2, 2], [0, 0, 1], [2, 1, 0], (3, 2)),
        sparse([2, 0, 2], [1, 0, 0], torch.tensor([0, 2, 1], dtype=torch.int32), (3, 7)),
        HOT_OF_IDS.to_sparse(),
        HOT_OF_IDS.bool().to_sparse(),
        HOT_OF_IDS.double().to_sparse(),
    ],
    ids=["class ids", "more room", "floats", "booleans", "doubles"],
)
def test_sparse_labels_list_class_ids_as_in_tensorflow_or_mark_classes(labels, tmp_path):
    head = MultiLabelHead(3)
    assert torch.equal(head.loss(labels, LOGITS), head.loss(HOT_OF_IDS, LOGITS))
    model = torchest.LinearEstimator(head, [torchest.columns.numeric_column("x")], tmp_path)
    results = []
    for each in (labels, HOT_OF_IDS):
        model.train(lambda each=each: ({"x": [1.0, 2.0, 3.0]}, each), steps=1)
        results.append(model.evaluate(lambda each=each: ({"x": [1.0, 2.0, 3.0]}, each), steps=1))
    assert results[0].keys() == results[1].keys()


def test_sparse_labels_without_any_class():
    labels = torch.zeros(3, 2, dtype=torch.int64).to_sparse()
    expected = MultiLabelHead(3).loss(torch.zeros(3, 3), LOGITS)
    assert torch.equal(MultiLabelHead(3).loss(labels, LOGITS), expected)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (sparse([0], [0], [3], (3, 2)), r"labels must be below n_classes=3; found 3"),
        (sparse([0], [0], [-1], (3, 2)), r"labels must be at least 0; found -1"),
        (
            HOT_OF_IDS.long().to_sparse(),
            r"must list the class ids of each example without gaps.* give labels\.float",
        ),
        (sparse([0], [0], [1], (2, 2)), r"labels have shape \[2, 3\].* must be \[3, 3\]"),
        (torch.ones(3, 1, 1, dtype=torch.int64).to_sparse(), r"sparse tensor of shape \[3, 1, 1\]"),
        (sparse([0], [0], [0.5], (3, 2)), r"labels have shape \[3, 2\]"),
        (sparse([0], [0], [1.5], (3, 3)), r"labels must be 0 or 1; found 1.5"),
    ],
)
def test_wrong_sparse_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        MultiLabelHead(3).loss(labels, LOGITS)
