"""Tables: vectors looked up, combined, and shortened to a norm."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest.columns.ids import Ids
from torchest.columns.layers.table import Table
from torchest.optimizers.row_gradients import summed

ROWS = [[1.0, 0.0], [0.0, 2.0], [3.0, 4.0], [-1.0, 1.0]]


def table(combiner: str = "sum", max_norm: float | None = None) -> Table:
    return Table(4, 2, combiner, lambda weight: weight.copy_(torch.tensor(ROWS)), max_norm)


def ids(*rows: list[int], weights: list[float] | None = None) -> Ids:
    offsets = torch.tensor([0, *torch.tensor([len(row) for row in rows]).cumsum(0).tolist()])
    flat = torch.tensor([id_ for row in rows for id_ in row], dtype=torch.int64)
    return Ids(flat, offsets, None if weights is None else torch.tensor(weights))


def one_by_one(
    rows: list[list[int]], weights: list[list[float]], combiner: str
) -> list[list[float]]:
    """The formula in scalars: the weighted sum, over the sum of weights or the root of their squares."""
    combined = []
    for row, of_row in zip(rows, weights, strict=True):
        kept = [(i, w) for i, w in zip(row, of_row, strict=True) if combiner == "sum" or w > 0]
        scale = 1.0
        if combiner == "mean":
            scale = math.fsum(w for _, w in kept) or 1.0
        if combiner == "sqrtn":
            scale = math.sqrt(math.fsum(w * w for _, w in kept)) or 1.0
        combined.append([math.fsum(w * ROWS[i][d] for i, w in kept) / scale for d in (0, 1)])
    return combined


@settings(deadline=None)
@given(
    rows=st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]))),
        min_size=1,
    ),
    combiner=st.sampled_from(["sum", "mean", "sqrtn"]),
)
def test_combines_as_the_formula_says(rows, combiner):
    given_ids = [[id_ for id_, _ in row] for row in rows]
    weights = [[weight for _, weight in row] for row in rows]
    flat = [weight for row in weights for weight in row]
    actual = table(combiner)(ids(*given_ids, weights=flat))
    expected = torch.tensor(one_by_one(given_ids, weights, combiner))
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("combiner", ["sum", "mean", "sqrtn"])
def test_one_id_for_each_row_is_as_a_list_of_one(combiner):
    weights = torch.tensor([0.5, 2.0, -1.0, 3.0])
    single = Ids(torch.tensor([2, -1, 0, 1]), None, weights)
    listed = ids([2], [], [0], [1], weights=[0.5, -1.0, 3.0])
    torch.testing.assert_close(table(combiner)(single), table(combiner)(listed))


def test_a_vector_longer_than_max_norm_is_shortened():
    actual = table(max_norm=2.5)(ids([2], [1], [2, 1]))
    torch.testing.assert_close(actual, torch.tensor([[1.5, 2.0], [0.0, 2.0], [1.5, 4.0]]))


def test_max_norm_leaves_the_table_as_it_is():
    shortened = table(max_norm=0.1)
    shortened(ids([2]))
    assert shortened.weight.tolist() == ROWS


def test_the_gradient_goes_through_max_norm():
    shortened = table(max_norm=2.5)
    shortened(ids([2], [1])).sum().backward()
    gradient = summed(shortened.weight)
    assert gradient is not None
    # Of v = (3, 4): 2.5 / |v| (1 − v v' / |v|²) (1, 1) = (0.5 · 4/25 · (4 − 3), 0.5 · 3/25 · (3 − 4)).
    assert gradient.rows.tolist() == [1, 2]
    expected = torch.tensor([[1.0, 1.0], [0.08, -0.06]])
    torch.testing.assert_close(gradient.values, expected)


def test_a_vector_of_zeros_has_a_gradient_under_max_norm():
    zeros = Table(2, 2, "sum", max_norm=1.0)
    zeros(ids([1])).sum().backward()
    gradient = summed(zeros.weight)
    assert gradient is not None
    assert gradient.values.tolist() == [[1.0, 1.0]]


def test_vectors_are_zero_where_there_is_no_id():
    actual = table(max_norm=2.5).vectors(torch.tensor([2, -1, 0]))
    torch.testing.assert_close(actual, torch.tensor([[1.5, 2.0], [0.0, 0.0], [1.0, 0.0]]))


def test_no_rows():
    assert table("mean")(ids()).shape == (0, 2)
    assert table().vectors(torch.empty(0, dtype=torch.int64)).shape == (0, 2)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from([-1.0, 0.0, 0.5, 2.0])), max_size=4),
        min_size=1,
    ),
    combiner=st.sampled_from(["sum", "mean", "sqrtn"]),
    weighted=st.booleans(),
)
def test_a_matrix_of_ids_gives_the_same_and_touches_the_same_rows(rows, combiner, weighted):
    flat = [weight for row in rows for _, weight in row]
    given_ids = ids(*([i for i, _ in row] for row in rows), weights=flat if weighted else None)
    lists, matrix = table(combiner), table(combiner)
    of_lists, of_matrix = lists(given_ids), matrix(given_ids.padded(8))
    torch.testing.assert_close(of_matrix, of_lists)
    of_lists.square().sum().backward()
    of_matrix.square().sum().backward()
    expected, actual = summed(lists.weight), summed(matrix.weight)
    assert actual.rows.tolist() == expected.rows.tolist()
    torch.testing.assert_close(actual.values, expected.values)
