from __future__ import annotations

import pytest
import torch
from torch import nn

from torchest import columns
from torchest.engine.scope import Scope, get_or_create

CPU = torch.device("cpu")


def made(scope, name, factory):
    return scope.call(get_or_create, name, factory)


def test_the_same_object_comes_back():
    scope = Scope(CPU, training=True)
    with scope.creating():
        net = made(scope, "net", lambda: nn.Linear(1, 1))
    assert made(scope, "net", lambda: nn.Linear(1, 1)) is net


def test_parameters_and_random_numbers_are_those_of_a_plain_script():
    torch.manual_seed(1)
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    following = torch.rand(3)

    torch.manual_seed(1)
    scope = Scope(CPU, training=True)
    with scope.creating():
        torch.rand(5)  # dropout of the creation pass, say
        one = made(scope, "one", lambda: nn.Linear(2, 2))
        torch.rand(5)
        two = made(scope, "two", lambda: nn.Linear(2, 2))
        torch.rand(5)
    assert torch.equal(one.weight, first.weight)
    assert torch.equal(two.weight, second.weight)
    assert torch.equal(torch.rand(3), following)


def test_buffers_are_as_before_the_creation_pass():
    scope = Scope(CPU, training=True)
    with scope.creating():
        norm = made(scope, "norm", lambda: nn.BatchNorm1d(2))
        norm(torch.randn(8, 2))
    assert torch.equal(norm.running_mean, torch.zeros(2))
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize("training", [True, False])
def test_modules_are_in_the_mode_of_the_scope(training):
    scope = Scope(CPU, training=training)
    with scope.creating():
        assert made(scope, "net", nn.Dropout).training == training


def test_parameters_are_named_after_their_objects():
    scope = Scope(CPU, training=True)
    with scope.creating():
        net = made(scope, "net", lambda: nn.Linear(1, 1))
    names = {key: [each.name for each in parts] for key, parts in scope.stored_parameters().items()}
    assert names == {id(net.weight): ["net.weight"], id(net.bias): ["net.bias"]}


def test_a_parameter_that_tables_share_is_named_after_each_of_them():
    scope = Scope(CPU, training=True)
    made_of = [columns.categorical_column_with_identity(key, 3) for key in "ba"]
    with scope.creating():
        linear = made(scope, "linear", lambda: columns.LinearFeatures(made_of))
    parts = scope.stored_parameters()[id(linear.part("a").bank_rows.bank.weight)]
    assert [(each.name, each.rows) for each in parts] == [
        ("linear.a.weight", slice(0, 3)),
        ("linear.b.weight", slice(3, 6)),
    ]


def test_outside_a_model_fn_the_way_out_is_told():
    with pytest.raises(RuntimeError, match=r"get_or_create\('net'\) was called outside a model_fn"):
        get_or_create("net", nn.Identity)


def test_a_new_name_after_the_first_batch_is_refused():
    scope = Scope(CPU, training=True)
    with scope.creating():
        made(scope, "net", nn.Identity)
    with pytest.raises(
        RuntimeError, match=r"'nett'\) came after the first batch.*Did you mean 'net'"
    ):
        made(scope, "nett", nn.Identity)


def test_what_a_checkpoint_cannot_keep_is_refused():
    scope = Scope(CPU, training=True)
    with scope.creating(), pytest.raises(TypeError, match="made a float, which has no state_dict"):
        made(scope, "x", lambda: 1.0)


@pytest.mark.parametrize(
    ("name", "factory", "message"),
    [
        (
            "net",
            nn.Linear(1, 1).weight,
            "factory must be a function that makes the object, not a Parameter",
        ),
        ("", nn.Identity, "name='' must be a string that is not empty"),
    ],
)
def test_wrong_arguments_are_named(name, factory, message):
    scope = Scope(CPU, training=True)
    with scope.creating(), pytest.raises(TypeError, match=message):
        made(scope, name, factory)


@pytest.mark.parametrize(("first", "second"), [("net", "net.hidden"), ("net.hidden", "net")])
def test_a_name_that_goes_on_from_another_is_refused(first, second):
    scope = Scope(CPU, training=True)
    with scope.creating():
        made(scope, first, lambda: nn.Linear(1, 1))
        made(scope, "network", lambda: nn.Linear(1, 1))
        with pytest.raises(ValueError, match=rf"\('{second}'\): there is '{first}' too"):
            made(scope, second, lambda: nn.Linear(1, 1))
