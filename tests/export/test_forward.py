"""A trained model as a module over encoded tensors: what it takes, what it gives, for any number of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import torchest
from torchest import columns as fc
from torchest.columns.features import Features
from torchest.columns.model_inputs import TensorSpec
from torchest.export.forward import Forward, Output

FEATURES = {
    "x": np.array([1.0, 2.0, 3.0], np.float32),
    "name": ["a", "", "zz"],
    "tags": [["a"], [], ["b", "a"]],
    "seen": [[1, 2], [3], []],
    "raw": np.array([[1, 2], [3, 4], [5, 6]]),
}


def forward_of(model_fn: Any, features: dict[str, Any] = FEATURES, **select: Any) -> Forward:
    estimator = torchest.Estimator(model_fn)
    next(estimator.predict(lambda: [features], yield_single_examples=False))
    model, _ = estimator._model_cache._kept
    return Forward(model, features, **select)


def model_fn(features, labels, mode):
    tags = fc.categorical_column_with_vocabulary_list("tags", ["a", "b"])
    name = fc.categorical_column_with_hash_bucket("name", 5)
    seen = fc.sequence_categorical_column_with_identity("seen", 4)
    dense = torchest.get_or_create(
        "dense",
        lambda: fc.DenseFeatures(
            # parts of the layer have the names "name" and "tags"
            [fc.embedding_column(tags, 2), fc.embedding_column(name, 2), fc.numeric_column("x")]
        ),
    )
    steps = torchest.get_or_create(
        "steps", lambda: fc.SequenceFeatures([fc.embedding_column(seen, 3)])
    )
    sequence, lengths = steps(features)
    logits = dense(features).sum(1, keepdim=True) + features["raw"].sum(1, keepdim=True)
    answers = {"logits": logits, "steps": sequence, "lengths": lengths}
    return torchest.EstimatorSpec(mode, predictions=answers)


def test_what_it_takes_and_gives():
    forward = forward_of(model_fn)
    assert forward.tensors == [
        TensorSpec("raw", torch.int64, ("batch", 2)),
        TensorSpec("name", torch.int64, ("batch",)),
        TensorSpec("seen", torch.int64, ("batch", "steps")),
        TensorSpec("seen/lengths", torch.int64, ("batch",)),
        TensorSpec("tags", torch.int64, ("batch", "values of tags")),
        TensorSpec("x", torch.float32, ("batch", 1)),
    ]
    assert forward.outputs == [
        Output("logits", torch.float32, ("batch", 1)),
        Output("steps", torch.float32, ("batch", "steps", 3)),
        Output("lengths", torch.int64, ("batch",)),
    ]


def test_it_answers_as_model_fn_and_so_does_its_program_with_any_number_of_rows():
    forward = forward_of(model_fn)
    program = forward.program().module()
    for rows in (0, 1, 2, 3):
        features = {key: value[:rows] for key, value in FEATURES.items()}
        tensors = forward.encode(features)
        spec = forward._model(Features(features), None, torchest.ModeKeys.PREDICT)
        for made in (forward(*tensors), program(*tensors)):
            for name, value in zip(("logits", "steps", "lengths"), made, strict=True):
                torch.testing.assert_close(value.detach(), spec.predictions[name].detach())


def test_sequences_of_several_layers_have_as_many_steps_as_the_longest():
    def two(features, labels, mode):
        answers = {}
        for key in ("a", "b"):
            made = torchest.get_or_create(
                key,
                lambda key=key: fc.SequenceFeatures(
                    [fc.sequence_numeric_column(key, default_value=7.0)]
                ),
            )
            steps, lengths = made(features)
            answers[key] = (
                steps.squeeze(2) * (torch.arange(steps.shape[1]) < lengths[:, None])
            ).sum(1)
        return torchest.EstimatorSpec(mode, predictions=answers)

    features = {"a": [[1.0], [2.0, 3.0]], "b": [[4.0, 5.0, 6.0], []]}
    forward = forward_of(two, features)
    tensors = forward.encode(features)
    assert [tuple(tensor.shape) for tensor in tensors] == [(2, 3, 1), (2,), (2, 3, 1), (2,)]
    for answers in (forward(*tensors), forward.program().module()(*tensors)):
        assert [each.tolist() for each in answers] == [[1.0, 5.0], [15.0, 0.0]]


def test_the_example_may_have_long_sequences():
    def last(features, labels, mode):
        made = torchest.get_or_create(
            "steps", lambda: fc.SequenceFeatures([fc.sequence_numeric_column("a")])
        )
        steps, lengths = made(features)
        answer = steps.gather(1, (lengths - 1).clamp_min(0).reshape(-1, 1, 1))
        return torchest.EstimatorSpec(mode, predictions={"last": answer.reshape(-1)})

    features = {"a": [[1.0] * 20 + [5.0], [2.0, 3.0]]}
    forward = forward_of(last, features)
    tensors = forward.encode(features)
    for answers in (forward(*tensors), forward.program().module()(*tensors)):
        assert answers[0].tolist() == [5.0, 3.0]


def test_parameters_are_called_as_in_checkpoints():
    assert set(forward_of(model_fn).original_names.values()) == {
        "dense.name.weight", "dense.tags.weight", "steps.seen.weight"
    }  # fmt: skip


def test_only_what_is_selected():
    forward = forward_of(model_fn, select=lambda spec: {"score": spec.predictions["logits"]})
    assert [output.name for output in forward.outputs] == ["score"]
    assert len(forward(*forward.encode(FEATURES))) == 1


def test_a_single_prediction_is_called_output():
    def double(features, labels, mode):
        return torchest.EstimatorSpec(mode, predictions=features["x"] * 2)

    forward = forward_of(double)
    assert forward.outputs == [Output("output", torch.float32, ("batch",))]
    assert forward(*forward.encode(FEATURES))[0].tolist() == [2.0, 4.0, 6.0]


def test_class_names_are_numbers_with_their_strings():
    estimator = torchest.LinearClassifier([fc.numeric_column("x")], label_vocabulary=["no", "yes"])
    features = {"x": FEATURES["x"]}
    estimator.train(lambda: (features, ["no", "yes", "yes"]), steps=1)
    next(estimator.predict(lambda: [features]))
    outputs = {
        each.name: each for each in Forward(estimator._model_cache._kept[0], features).outputs
    }
    assert outputs["classes"] == Output("classes", torch.int64, ("batch", 1), (b"no", b"yes"))
    assert outputs["all_classes"].shape == ("batch", 2)


def test_a_model_fn_that_asks_for_the_number_of_rows_in_python_is_told_how():
    def length(features, labels, mode):
        ones = torch.ones(len(features["x"]))
        return torchest.EstimatorSpec(mode, predictions={"y": features["x"] + ones})

    with pytest.raises(
        ValueError, match=r"cannot be traced .* write x.shape\[0\] and not len\(x\)"
    ):
        forward_of(length).program()


def test_a_model_fn_that_looks_at_values_is_told_how():
    def branch(features, labels, mode):
        x = features["x"]
        return torchest.EstimatorSpec(mode, predictions={"y": x if x.sum() > 0 else -x})

    with pytest.raises(ValueError, match=r"cannot be traced .* torch.where and not if"):
        forward_of(branch).program()


def test_a_feature_of_lists_that_model_fn_reads_itself_is_named():
    def reads(features, labels, mode):
        return torchest.EstimatorSpec(mode, predictions={"y": torch.as_tensor(features["m"])})

    features = {"m": [[1.0, 2.0], [3.0, 4.0]]}
    with pytest.raises(ValueError, match="reads the feature 'm' itself, whose rows are lists"):
        forward_of(reads, features)
