"""A linear model without gradients, in compiled loops, has the logits that it has with them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest import columns

WORDS = np.array(["a", "b", "c"])


def features(rows, seed=0, *, is_missing=False):
    random = np.random.default_rng(seed)
    known = -1 if is_missing else 0
    return {
        "word": random.choice(WORDS, rows),
        "id": random.integers(known, 5, rows),
        "x": random.normal(size=rows).astype(np.float32),
        "y": random.normal(size=(rows, 2)).astype(np.float32),
    }


def make_model(keys, units=1):
    made = {
        "word": columns.categorical_column_with_hash_bucket("word", 7),
        "id": columns.categorical_column_with_identity("id", 5),
        "x": columns.numeric_column("x"),
        "y": columns.numeric_column("y", shape=2),
    }
    model = columns.LinearFeatures([made[key] for key in keys], units)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.manual_seed(1)))
    return model


def logits_of(model, batch):
    with torch.no_grad():
        without = model(batch)
    expected = model(batch)
    assert not without.requires_grad
    assert expected.requires_grad
    torch.testing.assert_close(without, expected, rtol=2e-6, atol=1e-6)
    return without


def in_loops(model, batch):
    made = model.logits_in_loops()
    return made is not None and made(columns.Features.of(batch)) is not None


@settings(deadline=None, max_examples=40)
@given(
    keys=st.lists(st.sampled_from(["word", "id", "x", "y"]), min_size=1, unique=True),
    units=st.sampled_from([1, 3]),
    rows=st.sampled_from([0, 1, 6]),
    is_missing=st.booleans(),
    inference=st.booleans(),
)
def test_logits_without_gradients_are_those_with_gradients(
    keys, units, rows, is_missing, inference
):
    model, batch = make_model(keys, units), features(rows, is_missing=is_missing)
    logits = logits_of(model, batch)
    assert logits.shape == (rows, units)
    with torch.inference_mode(inference):
        again = model(batch).detach()
    torch.testing.assert_close(again, logits, rtol=2e-6, atol=1e-6)


def test_the_loops_are_used_for_ids_and_numbers():
    assert in_loops(make_model(["word", "id", "x", "y"]), features(4))


CHANGES = {
    "in place": lambda model: model.bias.detach().add_(1),
    "other bias": lambda model: setattr(model, "bias", torch.nn.Parameter(torch.ones(1))),
    "other memory": lambda model: setattr(model.bias, "data", torch.ones(1)),
    "other weight": lambda model: setattr(
        model.part("x"), "weight", torch.nn.Parameter(torch.ones(1, 1))
    ),
    "other table": lambda model: setattr(
        model.part("id"), "weight", torch.nn.Parameter(torch.ones(5, 1))
    ),
    "hook": lambda model: model.part("x").register_forward_hook(lambda *_: torch.ones(4, 1)),
    "hook of a table": lambda model: model.part("id").register_forward_hook(
        lambda *_: torch.ones(4, 1)
    ),
    "float64": lambda model: model.double(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_of_a_model_are_seen(change):
    model, batch = make_model(["word", "id", "x", "y"]), features(4)
    before = logits_of(model, batch)
    change(model)
    after = logits_of(model, batch)
    if change is not CHANGES["float64"]:
        assert not torch.equal(before, after)


def test_a_copy_has_parameters_of_its_own():
    model, batch = make_model(["id", "x"]), features(4)
    before = logits_of(model, batch)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.bias.add_(1)
    torch.testing.assert_close(logits_of(other, batch), before + 1)
    assert torch.equal(logits_of(model, batch), before)


def test_a_weight_of_another_shape_raises_as_with_gradients():
    model, batch = make_model(["x"]), features(4)
    logits_of(model, batch)
    model.part("x").weight = torch.nn.Parameter(torch.ones(3, 1))
    for context in (torch.no_grad(), torch.enable_grad()):
        with context, pytest.raises(RuntimeError, match="mat1 and mat2"):
            model(batch)
