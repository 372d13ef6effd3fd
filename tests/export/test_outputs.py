"""Export outputs: what they take, what a spec makes of them, and how shared outputs are named."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from torchest import EstimatorSpec, ModeKeys
from torchest.export import (
    ClassificationOutput,
    EvalOutput,
    PredictOutput,
    RegressionOutput,
)
from torchest.export.signatures import name_outputs
from torchest.utils.indexed_strings import IndexedStrings

SCORES = torch.tensor([[0.25, 0.75]])
INTEGERS = torch.tensor([[1]])
WORDS = np.array([[b"no", b"yes"]], object)


@pytest.mark.parametrize(
    "classes", [WORDS, IndexedStrings(torch.tensor([[0, 1]]), (b"no", b"yes")), pa.array(["a"])]
)
def test_classification_has_scores_and_classes(classes):
    output = ClassificationOutput(SCORES, classes)
    assert output.named() == {"scores": SCORES, "classes": classes}
    assert output.scores is SCORES
    assert output.classes is classes


def test_either_suffices():
    assert ClassificationOutput(scores=SCORES).named() == {"scores": SCORES}
    assert list(ClassificationOutput(classes=WORDS).named()) == ["classes"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (ClassificationOutput, "needs scores, or classes, or both; neither is given"),
        (
            lambda: ClassificationOutput(INTEGERS),
            "scores must be a floating tensor, not a Tensor of dtype torch.int64",
        ),
        (lambda: ClassificationOutput(WORDS), "scores must be a floating tensor, not a ndarray"),
        (lambda: ClassificationOutput(classes=INTEGERS), "classes must be strings, not a Tensor"),
        (lambda: RegressionOutput(INTEGERS), "value must be a floating tensor"),
        (lambda: RegressionOutput(None), "value must be a floating tensor, not a NoneType"),
        (lambda: PredictOutput({1: SCORES}), "has the name 1: names must be strings"),
        (
            lambda: PredictOutput([SCORES]),
            r"outputs\['output'\] must be a tensor or strings, not a list",
        ),
        (lambda: PredictOutput({"a": 1}), r"outputs\['a'\] must be a tensor or strings, not a int"),
        (lambda: EvalOutput(SCORES, {1: SCORES}), "has the name 1"),
    ],
)
def test_wrong_outputs(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_predictions_have_names():
    assert PredictOutput(SCORES).outputs == {"output": SCORES}
    assert PredictOutput({("a", "b"): SCORES}).outputs == {"a/b": SCORES}
    assert PredictOutput({}).outputs == {}


def test_an_evaluation_has_prefixes():
    output = EvalOutput(SCORES, {"a": INTEGERS}, {"m": (1, 2), "n": 3})
    assert output.named() == {
        "loss": SCORES,
        "predictions/a": INTEGERS,
        "metrics/m/value": 1,
        "metrics/m/update_op": 2,
        "metrics/n/value": 3,
        "metrics/n/update_op": 3,
    }
    assert EvalOutput().named() == {}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (ClassificationOutput(SCORES), "inputs"),
        (RegressionOutput(SCORES), "inputs"),
        (PredictOutput(SCORES), "examples"),
    ],
)
def test_classification_and_regression_call_their_single_input_inputs(output, expected):
    signature = output.as_signature_def({"examples": WORDS})
    assert list(signature.inputs) == [expected]
    assert signature.outputs == output.named()
    assert list(output.as_signature_def({"a": SCORES, "b": SCORES}).inputs) == ["a", "b"]


@pytest.mark.parametrize("value", [None, 1.5, "a", ["a"], object(), {"a": "b"}, {1: SCORES}])
def test_a_signature_takes_specs_and_tensors_alone(value):
    with pytest.raises(
        ValueError, match=r"^receiver_tensors(\[.*\] must be a spec| has the name 1)"
    ):
        PredictOutput(SCORES).as_signature_def(value)


# ---- in a spec


def spec(export_outputs, mode=ModeKeys.PREDICT):
    more = {} if mode == ModeKeys.PREDICT else {"loss": SCORES.sum()}
    return EstimatorSpec(mode, {"p": SCORES}, export_outputs=export_outputs, **more).export_outputs


def test_without_export_outputs_the_predictions_are_the_default():
    ((name, output),) = spec(None).items()
    assert name == "serving_default"
    assert output.named() == {"p": SCORES}


def test_a_single_output_is_the_default_too():
    output = PredictOutput(SCORES)
    assert spec({"a": output}) == {"a": output, "serving_default": output}
    assert spec({}) == {}


def test_outside_of_prediction_nothing_is_added():
    assert spec(None, ModeKeys.EVAL) is None


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"a": PredictOutput(SCORES), "b": PredictOutput(SCORES)},
            ValueError,
            "export_outputs has 'a', 'b': call the one",
        ),
        ([1], TypeError, "must be a dict of export outputs by name, not a list"),
        (
            {"a": SCORES},
            TypeError,
            r"export_outputs\['a'\] is a Tensor: give a torchest.export.PredictOutput",
        ),
    ],
)
def test_wrong_export_outputs(given, error, message):
    with pytest.raises(error, match=message):
        spec(given)


# ---- in an exported model


def test_what_two_signatures_share_is_one_output():
    probabilities, logits = torch.rand(2, 2), torch.rand(2, 1)
    outputs, signatures = name_outputs(
        {
            "serving_default": ClassificationOutput(probabilities, WORDS),
            "predict": PredictOutput({"probabilities": probabilities, "logits": logits}),
            "other": PredictOutput({"logits": INTEGERS, "scores": logits}),
        }
    )
    assert {name: id(value) for name, value in outputs.items()} == {
        "probabilities": id(probabilities),
        "logits": id(logits),
        "classes": id(WORDS),
        "other/logits": id(INTEGERS),
    }
    assert signatures["serving_default"].outputs == {
        "scores": "probabilities",
        "classes": "classes",
    }
    assert signatures["other"].outputs == {"logits": "other/logits", "scores": "logits"}
