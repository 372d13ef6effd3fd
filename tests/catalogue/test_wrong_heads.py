"""Every argument of every head and of its methods: a wrong value is refused by a sentence that names the argument."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from torchest import heads
from torchest.heads import BinaryClassHead, RegressionHead

MAKE = {
    "BinaryClassHead": {},
    "MultiClassHead": {"n_classes": 3},
    "MultiLabelHead": {"n_classes": 3},
    "RegressionHead": {},
    "PoissonRegressionHead": {},
    "LogisticRegressionHead": {},
    "MultiHead": {"heads": [BinaryClassHead(name="a"), RegressionHead(name="b")]},
}
NEVER = {
    "an object": object(),
    "a dict": {"z": 1},
    "NaN": math.nan,
    "infinity": math.inf,
    "2.5": 2.5,
    "bytes": b"z",
    "a single number as a tensor": torch.tensor(1.0),
    "complex numbers": torch.zeros(2, 1, dtype=torch.complex64),
    "an array of text": np.array(["z"]),
    "a list of None": [None],
    "a class": object,
    "minus one": -1,
}
WITHOUT_CLASS = {name: NEVER[name] for name in NEVER if name != "a class"}  # it can be called
TEXT = {"text": "z"}
CONSTRUCTOR = {
    "n_classes": {**NEVER, **TEXT, "True": True, "2**70 as a float": 2.0**70, "0": 0},
    "label_dimension": {**NEVER, **TEXT, "True": True, "0": 0},
    "weight_column": {**NEVER, "a list": ["a"]},
    "thresholds": {**NEVER, **TEXT, "1": [1], "0": [0.0], "text in a list": ["0.5"]},
    "label_vocabulary": {**NEVER, **TEXT, "numbers": [0, 1], "one": ["a"], "twice": ["a"] * 3},
    "loss_reduction": {**NEVER, **TEXT, "None": None, "none": "none", "an array": np.zeros(3)},
    "loss_fn": {**NEVER, **TEXT, "of nothing": lambda: 1, "of x": lambda x: x, "int": int},
    "inverse_link_fn": {**WITHOUT_CLASS, **TEXT},
    "classes_for_class_based_metrics": {**NEVER, **TEXT, "names": ["a"], "above": [3]},
    "compute_full_loss": {**NEVER, **TEXT, "0": 0, "None": None},
    "name": {**NEVER, "a list": ["a"], "True": True},
    "heads": {**NEVER, **TEXT, "none": [], "a class in a list": [BinaryClassHead], "None": None},
    "head_weights": {
        **NEVER,
        **TEXT,
        "one": [1.0],
        "text in a list": ["a", "b"],
        "NaN in a list": [math.nan, 1.0],
        "infinity in a list": [1.0, math.inf],
        "True in a list": [True, 1.0],
    },
}
LABELS = {**NEVER, **TEXT, "three rows": torch.zeros(3), "sparse": torch.eye(4).to_sparse()}
METHODS = {
    "labels": LABELS | {"None": None},
    "logits": {**NEVER, **TEXT, "None": None, "one dimension": torch.zeros(3)},
    "mode": {**NEVER, **TEXT, "misspelt": "trian", "an array": np.zeros(3)},
    "regularization_losses": {**NEVER, **TEXT, "vectors": [torch.zeros(2)], "texts": ["a"]},
    "keys": {**NEVER, **TEXT, "a key that is not there": ["logitz"], "lists": [["logits"]]},
    "eval_metrics": {**NEVER, **TEXT, "None": None, "no metric": {"average_loss/a": 3}},
    "train_op_fn": {**WITHOUT_CLASS, **TEXT},
    "optimizer": {**WITHOUT_CLASS, **TEXT, "none": [], "a class in a list": [torch.optim.SGD]},
    "trainable_variables": {"a number": 1, "text": "z", "a dict": {"z": 1}},
    "update_ops": {"a number": 1.5, "text": "z", "a class": object},
    "predictions": {**NEVER, **TEXT, "None": None},
}


def logits_of(head):
    return torch.zeros(2, head.logits_dimension)


def right(name, head):
    """Right arguments of all methods."""
    labels = torch.zeros(2, 3 if name == "MultiLabelHead" else 1, dtype=torch.int64)
    if name == "MultiHead":
        labels = {"a": labels, "b": labels}
    return {"labels": labels, "logits": logits_of(head)}


def calls(name):
    """The methods of a head by name: each a function of arguments that take the place of right ones."""
    head = getattr(heads, name)(**MAKE[name])
    batch = right(name, head)
    return {
        "loss": lambda **wrong: head.loss(**{**batch, **wrong}),
        "predictions": lambda **wrong: head.predictions(**{"logits": batch["logits"], **wrong}),
        "metrics": head.metrics,
        "update_metrics": lambda **wrong: head.update_metrics(
            **{"eval_metrics": head.metrics(), "features": {}, **batch, **wrong}
        ),
        "create_estimator_spec": lambda **wrong: head.create_estimator_spec(
            **{
                "features": {},
                "mode": "train",
                "train_op_fn": None if "optimizer" in wrong else lambda _: print,
                **batch,
                **wrong,
            }
        ),
        "export_outputs": lambda **wrong: head.export_outputs(
            **{"predictions": head.predictions(batch["logits"]), **wrong}
        ),
    }


TAKEN = {
    "loss": ["labels", "logits", "mode", "regularization_losses"],
    "predictions": ["logits", "keys"],
    "metrics": ["regularization_losses"],
    "update_metrics": ["eval_metrics", "labels", "logits", "mode", "regularization_losses"],
    "create_estimator_spec": [
        "labels",
        "logits",
        "mode",
        "train_op_fn",
        "regularization_losses",
        "optimizer",
        "trainable_variables",
        "update_ops",
    ],
    "export_outputs": ["predictions"],
}


def assert_named(argument, use):
    """The error names the argument, in a sentence of this library."""
    with pytest.raises((ValueError, TypeError), match=argument.rstrip("s")) as caught:
        use()
    assert "torchest" in caught.traceback[-1].path.parts
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("name", MAKE)
def test_right_arguments_pass(name):
    for call in calls(name).values():
        call()


@pytest.mark.parametrize("argument", CONSTRUCTOR)
@pytest.mark.parametrize("name", MAKE)
def test_a_wrong_argument_of_a_head_is_named(name, argument):
    make = getattr(heads, name)
    if argument not in make.__init__.__annotations__:
        return
    for wrong in CONSTRUCTOR[argument].values():
        assert_named(argument, lambda wrong=wrong: make(**{**MAKE[name], argument: wrong}))


@pytest.mark.parametrize("method", TAKEN)
@pytest.mark.parametrize("name", MAKE)
def test_a_wrong_argument_of_a_method_is_named(name, method):
    call = calls(name)[method]
    for argument in TAKEN[method]:
        for what, wrong in METHODS[argument].items():
            if name == "MultiLabelHead" and what == "sparse":
                continue  # which it takes
            assert_named(argument, lambda a=argument, wrong=wrong: call(**{a: wrong}))
