"""`call_logit_fn`, with what TensorFlow's does of the same name."""

from __future__ import annotations

import functools
import re

import pytest
import torch

from torchest.experimental import call_logit_fn

LOGITS = torch.tensor([[1.0]])


def call(logit_fn):
    return call_logit_fn(logit_fn, "features", "train", {"p": 1}, "config")


def arguments_of(names):
    """What a function with these arguments is called with."""
    seen = {}
    fn = eval(f"lambda {names}: (seen.update(locals_of(locals())), LOGITS)[1]", {
        "seen": seen, "LOGITS": LOGITS, "locals_of": dict,
    })  # fmt: skip
    assert call(fn) is LOGITS
    return seen


ALL = {"features": "features", "mode": "train", "params": {"p": 1}, "config": "config"}


@pytest.mark.parametrize(
    ("names", "given"),
    [
        ("features", ["features"]),
        ("features, mode", ["features", "mode"]),
        ("config, params, mode, features", ["features", "mode", "params", "config"]),
        ("mode, *, features", ["features", "mode"]),
    ],
)
def test_a_function_gets_what_it_names(names, given):
    assert arguments_of(names) == {name: ALL[name] for name in given}


def test_what_takes_any_keywords_gets_features_only():
    assert arguments_of("**others") == {"others": {"features": "features"}}


def test_arguments_with_defaults_keep_them():
    assert arguments_of("features, labels=7")["labels"] == 7


def test_parts_of_functions_and_objects():
    class Logits:
        def __call__(self, features, mode):
            return torch.tensor([len(features), len(mode)])

    assert call(Logits()).tolist() == [8, 5]
    part = functools.partial(lambda features, mode, x: x * LOGITS, x=3)
    assert call(part).item() == 3


def test_logits_of_several_heads():
    given = {"a": LOGITS, "b": -LOGITS}
    assert call(lambda features: given) is given


WRONG = {
    "no function": (3, TypeError, "logit_fn=3 must be a function of (features, mode, params, config)."),
    "no features": (
        lambda mode: LOGITS,
        TypeError,
        "logit_fn(mode) cannot be called: got an unexpected keyword argument 'features'. It must take 'features', "
        "and may take 'mode', 'params' and 'config'.",
    ),
    "labels": (
        lambda features, labels: LOGITS,
        TypeError,
        "logit_fn(features, labels) cannot be called: missing a required argument: 'labels'. It must take "
        "'features', and may take 'mode', 'params' and 'config'.",
    ),
    "a list": (
        lambda features: [1],
        ValueError,
        "logit_fn=SOME_FUNCTION must return a tensor, or a dict of tensors by name; it returned [1].",
    ),
    "a dict of numbers": (
        lambda features: {"a": 1},
        ValueError,
        "logit_fn=SOME_FUNCTION must return a tensor, or a dict of tensors by name; it returned {'a': 1}.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("logit_fn", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong(logit_fn, error, message):
    named = re.escape(message).replace("SOME_FUNCTION", "<function .*>")
    with pytest.raises(error, match=f"^{named}$"):
        call(logit_fn)
