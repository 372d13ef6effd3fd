"""Receivers: what an exported model is given, and what it cannot be given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchest
from torchest.columns import FixedLenFeature, VarLenFeature
from torchest.export import (
    ServingInputReceiver,
    TensorServingInputReceiver,
    build_parsing_serving_input_receiver_fn,
    build_raw_serving_input_receiver_fn,
)
from torchest.export.receivers import input_names, parses_examples
from torchest.export.rows import spec_of

build_supervised = torchest.experimental.build_raw_supervised_input_receiver_fn
AGE = FixedLenFeature((1,), torch.float32)
RECORDS = FixedLenFeature((), bytes)


def test_raw_features_are_sent_by_their_keys():
    receiver = build_raw_serving_input_receiver_fn({"age": AGE, "tags": VarLenFeature(str)}, 3)()
    assert receiver.features == receiver.receiver_tensors
    assert not parses_examples(receiver)
    assert input_names(receiver) == {"age": "age", "tags": "tags"}


def test_serialized_examples_are_called_examples():
    receiver = build_parsing_serving_input_receiver_fn({"age": AGE})()
    assert receiver.features == {"age": AGE}
    assert list(receiver.receiver_tensors) == ["examples"]
    assert parses_examples(receiver)


def test_single_things_have_names():
    receiver = ServingInputReceiver(AGE, AGE)
    assert receiver.features == {"feature": AGE}
    assert receiver.receiver_tensors == {"input": AGE}
    assert input_names(receiver) == {"feature": "input"}
    assert TensorServingInputReceiver(AGE, {"x": AGE}).features is AGE


def test_labels_are_sent_beside_features():
    receiver = build_supervised({"a": AGE}, {"y": AGE})()
    assert list(receiver.receiver_tensors) == ["a", "y"]
    assert list(build_supervised(AGE, AGE)().receiver_tensors) == ["feature", "label"]


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        (torch.zeros(2, 3), FixedLenFeature((3,), torch.float32)),
        (np.zeros(2, np.int64), FixedLenFeature((), torch.int64)),
        (["a", "b"], FixedLenFeature((), str)),
        (np.array([["a"], ["b"]]), FixedLenFeature((1,), str)),
        ([["a"], ["b", "c"]], VarLenFeature(str)),
        ([[1], [2, 3]], VarLenFeature(torch.int64)),
        (AGE, AGE),
    ],
)
def test_what_an_example_says_of_a_feature(example, expected):
    assert spec_of(example, "x") == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: build_raw_serving_input_receiver_fn({}),
            r"features is \{\}: give a dict of specs",
        ),
        (
            lambda: build_raw_serving_input_receiver_fn([AGE]),
            "give a dict of specs or example arrays by key",
        ),
        (
            lambda: build_raw_serving_input_receiver_fn({1: AGE}),
            "features has the key 1: keys must be strings",
        ),
        (
            lambda: build_raw_serving_input_receiver_fn({"a": 3}),
            r"features\['a'\] is 3: give a FixedLenFeature",
        ),
        (
            lambda: build_raw_serving_input_receiver_fn({"a": AGE}, 0),
            "default_batch_size=0 must be a whole number of at least 1",
        ),
        (
            lambda: build_parsing_serving_input_receiver_fn({"a": torch.zeros(1)}),
            r"feature_spec\['a'\] is a Tensor: give a Fixed",
        ),
        (lambda: build_supervised({"a": AGE}, {"a": AGE}), "features and labels both have 'a'"),
        (lambda: ServingInputReceiver(None, {"x": AGE}), "features is None: give specs"),
        (lambda: ServingInputReceiver({"a": AGE}, None), "receiver_tensors is None: give specs"),
        (
            lambda: ServingInputReceiver({"a": AGE}, {"x": VarLenFeature(str)}),
            r"features\['a'\]=FixedLen.* is not one of the receiver_tensors=\{'x': VarLen",
        ),
        (
            lambda: TensorServingInputReceiver({"a": AGE}, {"x": AGE}),
            "features is a dict: a TensorServingInputReceiver is for a single",
        ),
    ],
)
def test_wrong_receivers(make, message):
    with pytest.raises(ValueError, match=message):
        make()
