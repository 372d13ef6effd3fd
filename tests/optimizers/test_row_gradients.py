"""Gradients of tables by row."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from torchest.optimizers import row_gradients
from torchest.optimizers.row_gradients import clear, densify, look_up, pending, summed


def table(rows: int = 5, dimension: int = 2, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    return nn.Parameter(torch.arange(rows * dimension, dtype=dtype).reshape(rows, dimension))


def test_a_look_up_gives_the_rows_in_the_shape_of_the_ids():
    weight = table()
    vectors = look_up(weight, torch.tensor([[0, 4, 4], [1, 0, 2]]))
    assert vectors.shape == (2, 3, 2)
    assert vectors[0, 1].tolist() == [8.0, 9.0]


def test_the_gradient_stays_with_the_table_as_rows():
    weight = table()
    vectors = look_up(weight, torch.tensor([3, 1, 3]))
    (vectors * torch.tensor([[1.0], [10.0], [100.0]])).sum().backward()
    assert weight.grad is None
    (gradient,) = pending(weight)
    assert gradient.rows.tolist() == [3, 1, 3]
    assert gradient.values.tolist() == [[1, 1], [10, 10], [100, 100]]


def test_rows_that_repeat_are_summed_over_all_look_ups_of_the_step():
    weight = table()
    first = look_up(weight, torch.tensor([3, 1, 3]))
    second = look_up(weight, torch.tensor([[1], [4]]))
    (first.sum() + 5 * second.sum()).backward()
    total = summed(weight)
    assert total.rows.tolist() == [1, 3, 4]
    assert total.values.tolist() == [[6, 6], [2, 2], [5, 5]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_row_gradients_have_the_dtype_of_the_table(dtype):
    weight = table(dtype=dtype)
    look_up(weight, torch.tensor([0, 0])).float().sum().backward()
    assert summed(weight).values.dtype == dtype


def test_no_ids_give_no_rows():
    weight = table()
    vectors = look_up(weight, torch.zeros(0, 3, dtype=torch.int64))
    vectors.sum().backward()
    total = summed(weight)
    assert vectors.shape == (0, 3, 2)
    assert total.rows.shape == (0,)
    assert total.values.shape == (0, 2)


def test_nothing_is_pending_before_backward_and_after_clear():
    weight = table()
    vectors = look_up(weight, torch.tensor([0]))
    assert summed(weight) is None
    vectors.sum().backward()
    clear([weight])
    assert summed(weight) is None


@pytest.mark.parametrize("frozen", [True, False])
def test_nothing_is_recorded_where_no_gradient_is_wanted(frozen):
    weight = table().requires_grad_(not frozen)
    with torch.set_grad_enabled(frozen):
        vectors = look_up(weight, torch.tensor([1]))
    assert not vectors.requires_grad
    assert pending(weight) == []


def test_a_dense_gradient_of_the_rows_for_other_optimizers():
    weight, ids = table(), torch.tensor([3, 1, 3])
    look_up(weight, ids).square().sum().backward()
    densify(weight)
    reference = table()
    reference[ids].square().sum().backward()
    assert torch.equal(weight.grad, reference.grad)
    assert pending(weight) == []


def test_densify_adds_to_a_dense_gradient_that_is_there():
    weight = table()
    (look_up(weight, torch.tensor([0])).sum() + 2 * weight.sum()).backward()
    densify(weight)
    assert weight.grad.tolist() == [[3, 3], [2, 2], [2, 2], [2, 2], [2, 2]]


def test_densify_without_row_gradients_changes_nothing():
    weight = table()
    densify(weight)
    assert weight.grad is None


@settings(deadline=None, max_examples=60)
@given(
    look_ups=st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=3),
    dimension=st.integers(1, 3),
)
def test_summed_rows_equal_the_dense_gradient(look_ups, dimension):
    weight, reference = table(7, dimension, torch.float64), table(7, dimension, torch.float64)
    for ids in look_ups:
        index = torch.tensor(ids, dtype=torch.int64)
        look_up(weight, index).square().sum().backward()
        reference[index].square().sum().backward()
    total = summed(weight)
    dense = torch.zeros_like(reference).index_copy(0, total.rows, total.values)
    assert torch.equal(dense, reference.grad)
    assert total.rows.tolist() == sorted({row for ids in look_ups for row in ids})


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.integers(0, 2**40 - 1), min_size=1, max_size=9),
    table_rows=st.sampled_from([2**40, 2**62]),
)
def test_rows_are_sorted_with_equal_ones_in_their_order(rows, table_rows):
    order = row_gradients.RowOrder.of(torch.tensor(rows), table_rows)
    places = sorted(range(len(rows)), key=rows.__getitem__)
    assert order.places.tolist() == places
    assert order.rows.tolist() == sorted(set(rows))
    assert order.starts.tolist() == [sorted(rows).index(row) for row in sorted(set(rows))]


def test_no_rows_of_a_table_without_rows_have_an_order():
    order = row_gradients.RowOrder.of(torch.empty(0, dtype=torch.int64), 0)
    assert order.rows.tolist() == order.places.tolist() == []


def test_a_large_table_is_not_traversed():
    weight = nn.Parameter(torch.empty(20_000_000, 16, dtype=torch.float32).detach())
    ids = torch.tensor([19_999_999, 5, 5])
    with torch.no_grad():
        weight[ids] = 1.0
    with torch.profiler.profile(profile_memory=True) as profile:
        look_up(weight, ids).sum().backward()
        total = summed(weight)
    assert total.rows.tolist() == [5, 19_999_999]
    allocated = sum(max(event.self_cpu_memory_usage, 0) for event in profile.events())
    assert allocated < 100_000


def test_row_gradients_are_made_once_differentiable():
    weight = table()
    vectors = look_up(weight, torch.tensor([1]))
    loss = vectors.square().sum()
    (gradient,) = torch.autograd.grad(loss, [vectors], create_graph=True)
    assert gradient.tolist() == [[4, 6]]
    assert row_gradients.pending(weight) == []


@settings(deadline=None, max_examples=60)
@given(
    ids=st.lists(st.integers(0, 6), min_size=1, max_size=12),
    dimension=st.integers(1, 3),
)
def test_sums_of_fixed_shape_repeat_the_whole_sum(ids, dimension):
    rows = torch.tensor(ids)
    values = torch.arange(len(ids) * dimension, dtype=torch.float64).reshape(len(ids), dimension)
    actual = row_gradients.summed_in_fixed_shape(rows, values)
    expected = torch.zeros(7, dimension, dtype=torch.float64).index_add(0, rows, values)
    assert actual.rows.tolist() == sorted(ids)
    assert torch.equal(actual.values, expected[actual.rows])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("dimension", [1, 3])
def test_rows_are_written(dtype, dimension):
    weight = table(5, dimension, dtype)
    expected = weight.detach().clone()
    expected[[4, 1]] = torch.full((2, dimension), -1.0, dtype=dtype)
    with torch.no_grad():
        row_gradients.write(weight, torch.tensor([4, 1]), torch.full_like(expected[:2], -1))
    assert torch.equal(weight, expected)


def test_writing_rows_tells_autograd():
    weight = table()
    loss = weight.square().sum()
    with torch.no_grad():
        row_gradients.write(weight, torch.tensor([0]), torch.zeros(1, 2))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
