"""The compiled loops of optimizers, beside the same formulas on tensors."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing._internal.two_tensor import TwoTensor

from torchest import feature_column, optimizers
from torchest.columns.layers.linear import LinearFeatures
from torchest.optimizers.row_gradients import look_up, look_up_sums

FTRL = st.fixed_dictionaries(
    {
        "lr": st.sampled_from([0.01, 0.5]),
        "initial_accumulator_value": st.sampled_from([0.0, 0.1]),
        "l1_regularization_strength": st.sampled_from([0.0, 0.05]),
        "l2_regularization_strength": st.sampled_from([0.0, 0.1]),
        "l2_shrinkage_regularization_strength": st.sampled_from([0.0, 0.1]),
        "beta": st.sampled_from([0.0, 0.3]),
    }
)


def without_loops(optimizer_class, parameters, **options):
    made = optimizer_class(parameters, **options)
    made._loops = lambda lr, options: None
    return made


def losses(tables, dense):
    """Three steps in which rows come twice, once and not at all."""
    for ids in ([0, 3, 3], [3, 1, 1], [0, 0, 5]):
        vectors = [look_up(table, torch.tensor(ids)) for table in tables]
        yield sum((vector.square().sum() + vector.sum() for vector in vectors), dense.cos().sum())


def trained(optimizer):
    parameters = optimizer.param_groups[0]["params"]
    for loss in losses(parameters[:2], parameters[2]):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    slots = [
        slot for p in parameters for slot in optimizer.slots(p, optimizer.param_groups[0]).values()
    ]
    return [*parameters, *slots]


def parameters():
    torch.manual_seed(3)
    shapes = ([6, 1], [6, 4], [3, 2])
    return [torch.nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in shapes]


def assert_same(optimizer_class, **options):
    with_loops = trained(optimizer_class(parameters(), **options))
    on_tensors = trained(without_loops(optimizer_class, parameters(), **options))
    for actual, expected in zip(with_loops, on_tensors, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-14)


@settings(deadline=None, max_examples=40)
@given(FTRL)
def test_ftrl_in_loops_is_ftrl_on_tensors(options):
    assert_same(optimizers.Ftrl, **options)


def test_adagrad_in_loops_is_adagrad_on_tensors():
    assert_same(optimizers.Adagrad, lr=0.1)
    assert_same(optimizers.Adagrad, lr=lambda step: 0.1 / (step + 1), epsilon=1e-3)


def test_weights_below_the_penalty_are_exactly_zero():
    weight = torch.nn.Parameter(torch.zeros(4, 1))
    optimizer = optimizers.Ftrl([weight], lr=0.1, l1_regularization_strength=5.0)
    (look_up(weight, torch.tensor([1, 2])).sum() * 3).backward()
    optimizer.step()
    assert weight.tolist() == [[0.0]] * 4


@pytest.mark.parametrize("change", ["state is cleared", "state is loaded", "optimizer is copied"])
def test_what_is_known_of_parameters_follows_their_state(change):
    expected = optimizers.Adagrad(parameters(), lr=0.1)
    trained(expected)
    again = optimizers.Adagrad(parameters(), lr=0.1)
    trained(again)
    if change == "state is cleared":
        for optimizer in (expected, again):
            optimizer.state.clear()
        expected = _moved_on(optimizers.Adagrad(expected.param_groups[0]["params"], lr=0.1))
    elif change == "state is loaded":
        again.load_state_dict(copy.deepcopy(expected.state_dict()))
        expected = _moved_on(expected)
    else:
        again = copy.deepcopy(again)
        expected = _moved_on(expected)
    again = _moved_on(again)
    for actual, wanted in zip(trained(again), trained(expected), strict=True):
        assert torch.equal(actual, wanted)


def _moved_on(optimizer):
    trained(optimizer)
    return optimizer


def test_parameters_that_are_no_single_piece_are_updated_too():
    base = torch.zeros(3, 4)
    weight = torch.nn.Parameter(base.t())
    assert not weight.is_contiguous()
    optimizer = optimizers.Adagrad([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()
    step = -0.1 / (1.1**0.5 + 1e-7)
    torch.testing.assert_close(weight.detach(), torch.full((4, 3), step))


class Shouting(optimizers.Adagrad):
    """Has a formula of its own."""

    def _update(self, weight, gradient, slots, lr, options):
        weight.add_(100)


def test_a_subclass_with_a_formula_of_its_own_has_it_everywhere():
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = Shouting([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()
    assert weight.tolist() == [100, 100]


def shared_tables():
    columns = [feature_column.categorical_column_with_hash_bucket(key, 10) for key in "ab"]
    layer = LinearFeatures(columns)
    features = {"a": np.array([b"u", b"v"]), "b": np.array([b"1", b"2"])}
    optimizer = optimizers.Adagrad(layer.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        (layer(features) - 1).square().sum().backward()
        optimizer.step()

    return layer, optimizer, step


@pytest.mark.parametrize("of", ["tables", "bias"])
def test_the_state_of_a_parameter_may_be_exchanged(of):
    layer, optimizer, step = shared_tables()
    step()
    bias, tables = layer.parameters()
    parameter = bias if of == "bias" else tables
    optimizer.state[parameter] = {}
    step()
    assert optimizer.state[parameter]["step"] == 1
    assert optimizer.state[parameter]["accumulator"].max() > 0.1


@pytest.mark.parametrize("of", ["tables", "bias"])
def test_a_slot_may_be_given_other_data(of):
    layer, optimizer, step = shared_tables()
    step()
    bias, tables = layer.parameters()
    parameter = bias if of == "bias" else tables
    slot = optimizer.state[parameter]["accumulator"]
    slot.data = torch.full_like(slot, 100.0)
    step()
    assert optimizer.state[parameter]["accumulator"].max() > 100
    assert optimizer.state[parameter]["accumulator"].min() >= 100


@pytest.mark.parametrize("of", ["parameter", "slot"])
@pytest.mark.parametrize("steps_before", [0, 3])
@pytest.mark.parametrize("others", [0, 1])
def test_what_is_transposed_in_its_memory_is_updated_where_it_is(of, steps_before, others):
    weights = [torch.nn.Parameter(torch.zeros(2, 2)) for _ in range(1 + others)]
    optimizer = optimizers.Adagrad(weights, lr=1.0)
    for weight in weights:
        weight.grad = torch.zeros(2, 2)
    for _ in range(steps_before):
        optimizer.step()
    weight = weights[-1]
    slot = optimizer.slots(weight, optimizer.param_groups[0])["accumulator"]
    moved = weight if of == "parameter" else slot
    moved.data = moved.data.t()
    weight.grad = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    optimizer.step()
    slot = optimizer.state[weight]["accumulator"]
    torch.testing.assert_close(slot, torch.tensor([[0.1, 4.1], [0.1, 0.1]]))
    step = 2 / (4.1**0.5 + 1e-7)
    torch.testing.assert_close(weight.detach(), torch.tensor([[0.0, -step], [0.0, 0.0]]))


def test_a_parameter_that_turns_into_another_dtype_in_its_memory_leaves_that_of_others_alone():
    memory = torch.zeros(8)
    weight = torch.nn.Parameter(memory[:4])
    optimizer = optimizers.Adagrad([weight], lr=1.0)
    for _ in range(3):
        weight.grad = torch.zeros(4)
        optimizer.step()
    slot = optimizer.state[weight]["accumulator"]
    weight.grad = None
    weight.data = memory.view(torch.float64)
    weight.grad = torch.ones(4, dtype=torch.float64)
    optimizer.step()
    step = torch.full((4,), -1 / (1.1**0.5 + 1e-7), dtype=torch.float64)
    torch.testing.assert_close(weight.detach(), step, rtol=1e-6, atol=0)
    assert optimizer.state[weight]["accumulator"] is slot
    torch.testing.assert_close(slot, torch.full((4,), 1.1))


@pytest.mark.parametrize("slots_first", [True, False])
def test_a_parameter_of_another_size_than_its_slots_is_an_error(slots_first):
    # loops would read and write beyond the smaller one
    weight, other = (torch.nn.Parameter(torch.zeros(1000)) for _ in range(2))
    optimizer = optimizers.Ftrl([weight, other])
    weight.grad, other.grad = torch.ones(1000), torch.ones(1000)
    optimizer.step()
    if slots_first:
        optimizer.state[weight]["linear"] = torch.zeros(5)
    else:
        weight.grad = None
        weight.data = torch.zeros(5)
        weight.grad = torch.ones(5)
    with pytest.raises(RuntimeError, match="size"):
        optimizer.step()


def test_parameters_without_a_gradient_in_some_steps_are_left_as_they_are():
    weights = [torch.nn.Parameter(torch.zeros(3)) for _ in range(2)]
    optimizer = optimizers.Ftrl(weights, lr=0.1)
    alone = torch.nn.Parameter(torch.zeros(3))
    expected = optimizers.Ftrl([alone], lr=0.1)
    for there in ([0, 1], [1], [0], [], [0, 1]):
        for place, weight in enumerate(weights):
            weight.grad = torch.arange(3.0) - place if place in there else None
        alone.grad = torch.arange(3.0) if 0 in there else None
        optimizer.step()
        expected.step()
        assert weights[0].tolist() == alone.tolist()


@pytest.mark.parametrize("which", ["a", "b"])
def test_an_id_beyond_the_table_is_an_error(which):
    # also where, in one parameter, the row of another table would follow
    layer, _, step = shared_tables()
    layer.part(which).weight = torch.nn.Parameter(torch.zeros(1, 1))
    with pytest.raises(IndexError, match="out of range"):
        step()


def test_sums_of_rows_that_are_not_there_are_an_error():
    with pytest.raises(IndexError, match="ids from 1 to 4 are looked up in a table of 4 rows"):
        look_up_sums(torch.zeros(4, 1), torch.tensor([[1, 4]]))


def test_parameters_without_memory_of_their_own_are_updated():
    weight = torch.nn.Parameter(TwoTensor(torch.ones(2), torch.ones(2)))
    optimizer = optimizers.Adagrad([weight], lr=0.1)
    (weight * weight).sum().backward()
    optimizer.step()
    assert (weight.a < 1).all()
