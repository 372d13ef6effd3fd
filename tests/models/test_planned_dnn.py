"""Planned steps of deep models have the logits of the module, and the gradients and updates of autograd."""

from __future__ import annotations

import copy
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest import columns
from torchest.columns.features import Features
from torchest.models import planned_dnn
from torchest.models.dnn import DNNModel
from torchest.models.planned_dnn import plan_dnn
from torchest.optimizers import Adagrad, Ftrl

BUCKETS = 12


def embedding(key, dimension, **options):
    column = columns.categorical_column_with_hash_bucket(key, BUCKETS)
    return columns.embedding_column(column, dimension, **options)


# their names, and so their places in the matrix, alternate between embeddings and numbers
COLUMNS = [
    columns.numeric_column("a"),
    embedding("b", 3),
    columns.numeric_column("c", shape=2),
    embedding("d", 9),
    embedding("e", 3),
    columns.indicator_column(columns.categorical_column_with_identity("f", 3)),
]


def features_of(rows, seed, missing=False):
    rng = np.random.default_rng(seed)
    words = [f"w{number}" for number in range(2 * BUCKETS)]
    texts = {key: rng.choice(words, rows).astype(object) for key in "bde"}
    if missing:
        for text in texts.values():
            text[rng.random(rows) < 0.3] = ""
    return Features(
        {
            "a": rng.normal(size=rows).astype("f"),
            "c": rng.normal(size=(rows, 2)).astype("f"),
            "f": rng.integers(0, 3, rows),
            **texts,
        }
    )


def assert_close(found, expected, what):
    scale = max(float(expected.abs().max()), 0.1)  # sums of gradients may cancel out
    torch.testing.assert_close(found, expected, rtol=5e-6, atol=5e-6 * scale, msg=what)


def step_of_autograd(model, optimizer, features, slopes):
    logits = model(features)
    optimizer.zero_grad()
    logits.backward(slopes)
    optimizer.step()
    return logits.detach()


def assert_equal_steps(model, make_optimizer, batches, small):
    torch.manual_seed(3)
    other = copy.deepcopy(model)
    optimizers = [make_optimizer(each.parameters()) for each in (model, other)]
    plan = plan_dnn(model, optimizers[0])
    with (
        mock.patch.object(planned_dnn, "_SMALL", 1 << 40 if small else 0),
    ):
        for features in batches:
            logits = plan.forward(features)
            slopes = torch.randn(logits.shape)
            expected = step_of_autograd(other, optimizers[1], features, slopes)
            plan.update(slopes.numpy())
            assert_close(torch.from_numpy(logits), expected, "logits")
    for (name, weight), twin in zip(model.named_parameters(), other.parameters(), strict=True):
        assert_close(weight.detach(), twin.detach(), name)
        states = [
            optimizer.state[each]
            for optimizer, each in zip(optimizers, (weight, twin), strict=True)
        ]
        assert states[0].keys() == states[1].keys()
        for slot, value in states[1].items():
            found = torch.as_tensor(states[0][slot])
            assert_close(found, torch.as_tensor(value), f"{slot} of {name}")


OPTIMIZERS = {
    "adagrad": lambda parameters: Adagrad(parameters, 0.1),
    "ftrl": lambda parameters: Ftrl(parameters, 0.1, l1_regularization_strength=0.01),
}


@given(
    members=st.sets(st.sampled_from(range(len(COLUMNS))), min_size=1),
    widths=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    units=st.integers(1, 3),
    activation=st.sampled_from([F.relu, torch.relu, None]),
    rows=st.lists(st.integers(1, 70), min_size=1, max_size=3),
    missing=st.booleans(),
    small=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_steps_are_those_of_autograd(members, widths, units, activation, rows, missing, small):
    torch.manual_seed(0)
    chosen = [COLUMNS[place] for place in sorted(members)]
    model = DNNModel(chosen, widths, units, activation)
    batches = [features_of(count, seed, missing) for seed, count in enumerate(rows)]
    assert_equal_steps(model, OPTIMIZERS["adagrad"], batches, small)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("small", [True, False])
def test_every_optimizer_makes_the_steps_of_autograd(name, small):
    model = DNNModel(COLUMNS, [20, 5], 2)
    batches = [features_of(30, seed) for seed in range(4)]
    assert_equal_steps(model, OPTIMIZERS[name], batches, small)


def test_rows_that_look_up_the_same_id_add_their_gradients():
    town = columns.categorical_column_with_identity("town", 3)
    model = DNNModel([columns.embedding_column(town, 1)], [1], activation_fn=None)
    with torch.no_grad():
        model.hidden[0].weight.fill_(2.0)
        model.logits.weight.fill_(3.0)
        table = model.embeddings.part("town").weight
        table.copy_(torch.tensor([[1.0], [10.0], [100.0]]))
    # epsilon and the first gradient apart, Adagrad subtracts lr times the sign
    optimizer = Adagrad(model.parameters(), 0.5, 0.0, 0.0)
    plan = plan_dnn(model, optimizer)
    logits = plan.forward(Features({"town": np.array([1, 0, 1])}))
    assert logits.tolist() == [[60.0], [6.0], [60.0]]
    plan.update(np.array([[1.0], [0.5], [0.25]], "f"))
    # the gradient of a vector is 6 times that of the logits: 6 · 0.5, and 6 · (1 + 0.25)
    assert optimizer.state[table]["accumulator"].tolist() == [[9.0], [56.25], [0.0]]
    assert table.tolist() == [[0.5], [9.5], [100.0]]


def test_batches_with_several_ids_in_a_row_are_left_to_the_model():
    model = DNNModel([embedding("b", 3)], [4])
    plan = plan_dnn(model, Adagrad(model.parameters()))
    assert plan.forward(Features({"b": [["x", "y"], ["z"]]})) is None
    assert plan.forward(Features({"b": ["x", "z"]})).shape == (2, 1)


@pytest.mark.parametrize(
    "options",
    [{"dropout": 0.5}, {"batch_norm": True}, {"activation_fn": torch.tanh}],
    ids=str,
)
def test_other_layers_are_not_planned(options):
    model = DNNModel(COLUMNS, [4], **options)
    assert plan_dnn(model, Adagrad(model.parameters())) is None


def test_other_tables_and_frozen_parameters_are_not_planned():
    for column in (embedding("b", 3, max_norm=1.0), embedding("b", 3, trainable=False)):
        model = DNNModel([column, *COLUMNS[:1]], [4])
        assert plan_dnn(model, Adagrad(model.parameters())) is None
    model = DNNModel(COLUMNS, [4])
    model.logits.bias.requires_grad_(False)
    assert plan_dnn(model, Adagrad(model.parameters())) is None


CHANGES = {
    "a hook of a layer": lambda model: model.hidden[0].register_forward_hook(lambda *_: None),
    "a hook of columns": lambda model: model.embeddings.register_forward_hook(lambda *_: None),
    "a hook of a table": lambda model: model.embeddings.part("b").register_forward_hook(
        lambda *_: None
    ),
    "another layer": lambda model: setattr(model, "logits", torch.nn.Linear(4, 1)),
    "other columns": lambda model: setattr(model, "embeddings", torch.nn.Identity()),
    "another parameter": lambda model: setattr(
        model.logits, "weight", torch.nn.Parameter(torch.zeros(1, 4))
    ),
    "a table that left its bank": lambda model: model.embeddings.part("b").leave_bank(),
    "another activation": lambda model: setattr(model, "activation_fn", torch.tanh),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_plan_does_not_hold_after_a_change(name):
    model = DNNModel(COLUMNS, [4])
    plan = plan_dnn(model, Adagrad(model.parameters()))
    plan.update(plan.forward(features_of(5, 0)))
    assert plan.holds()
    CHANGES[name](model)
    assert not plan.holds()


def test_columns_that_share_a_table_add_up_their_gradients():
    towns = [columns.categorical_column_with_identity(key, 5) for key in ("from", "to")]
    model = DNNModel(columns.shared_embeddings(towns, 3), [4])
    rng = np.random.default_rng(0)
    batches = [Features({key: rng.integers(0, 5, 40) for key in ("from", "to")}) for _ in range(3)]
    for small in (True, False):
        assert_equal_steps(model, OPTIMIZERS["adagrad"], batches, small)
