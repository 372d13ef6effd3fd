"""Layers whose parts have names with dots: strict loading by whole names."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from torchest import columns
from torchest.columns.layers.dense import DenseFeatures
from torchest.columns.layers.linear import LinearFeatures
from torchest.columns.layers.sequence import SequenceFeatures

NAMES = ["a", "a.b", "a.b.c", "type", "weight", "bias"]


def identity(key):
    return columns.categorical_column_with_identity(key, 3)


def of_sequences(key):
    return columns.sequence_categorical_column_with_identity(key, 3)


def embeddings(make):
    return [columns.embedding_column(make(name), 2) for name in NAMES]


LAYERS = {
    "linear": lambda: LinearFeatures([identity(name) for name in NAMES]),
    "linear over embeddings": lambda: LinearFeatures(embeddings(identity)),
    "dense": lambda: DenseFeatures(embeddings(identity)),
    "sequence": lambda: SequenceFeatures(embeddings(of_sequences)),
}


@pytest.fixture(params=LAYERS)
def make(request):
    return LAYERS[request.param]


def filled(module):
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.fill_(number)
    return module


def pickled(layer):
    return pickle.loads(pickle.dumps(layer))  # noqa: S301 - our own


def in_a_model(layer):
    return nn.Sequential(nn.ModuleDict({"layer": layer}))


@pytest.mark.parametrize("wrap", [lambda layer: layer, in_a_model])
@pytest.mark.parametrize("again", [copy.deepcopy, pickled])
def test_a_state_is_loaded_strictly(make, wrap, again):
    saved, loaded = filled(wrap(make())), again(wrap(make()))
    assert list(loaded.state_dict()) == list(saved.state_dict())
    loaded.load_state_dict(saved.state_dict())
    for one, other in zip(saved.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["a.c.weight", "a.b.other", "a.weight.more", "other", "b.weight"])
def test_a_name_too_many_is_refused(make, name):
    model = in_a_model(make())
    state = {**model.state_dict(), f"0.layer.{name}": torch.zeros(1)}
    with pytest.raises(RuntimeError, match=rf'Unexpected key\(s\) in state_dict: "0.layer.{name}"'):
        model.load_state_dict(state)


def test_a_missing_name_is_refused(make):
    model = in_a_model(make())
    state = model.state_dict()
    name = next(name for name in state if ".a.b." in name or ".a.b_" in name)
    del state[name]
    with pytest.raises(RuntimeError, match=rf'Missing key\(s\) in state_dict: "{name}"'):
        model.load_state_dict(state)


def test_known_names_elsewhere_stay_unknown():
    model = nn.ModuleDict({"layer": LAYERS["dense"](), "other": nn.Linear(1, 1)})
    state = {**model.state_dict(), "other.a.b.weight": torch.zeros(1)}
    actual = model.load_state_dict(state, strict=False)
    assert actual.unexpected_keys == ["other.a.b.weight"]
