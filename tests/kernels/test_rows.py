"""Loops over rows of tables, beside numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest.kernels import products, rows

BOUNDS = st.sampled_from([1, 7, 2**11, 2**11 + 1, 2**30, 2**57])


@st.composite
def row_numbers(draw):
    bound = draw(BOUNDS)
    some = draw(st.lists(st.integers(0, bound - 1), min_size=1, max_size=5))
    return np.array(draw(st.lists(st.sampled_from(some), max_size=40)), np.int64), bound


@settings(deadline=None, max_examples=80)
@given(row_numbers())
def test_rows_are_ordered_as_a_stable_sort_orders_them(drawn):
    given_rows, bound = drawn
    distinct, places, starts = rows.order(given_rows, bound)
    assert places.tolist() == np.argsort(given_rows, kind="stable").tolist()
    expected, firsts = np.unique(given_rows[places], return_index=True)
    assert distinct.tolist() == expected.tolist()
    assert starts.tolist() == firsts.tolist()


@settings(deadline=None, max_examples=40)
@given(row_numbers())
def test_sorted_keys_give_the_same_order(drawn):
    given_rows, bound = drawn
    bits = (len(given_rows) - 1).bit_length()
    if (bound - 1).bit_length() + bits > 63:
        return
    keys = np.empty_like(given_rows)
    rows.number(given_rows, bits, keys)
    keys.sort()
    distinct, places, starts = np.empty((3, len(keys)), np.int64)
    count = rows.group(keys, bits, distinct, places, starts)
    for actual, expected in zip(
        (distinct[:count], places, starts[:count]), rows.order(given_rows, bound), strict=True
    ):
        assert actual.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [1, 3])
def test_sums_by_row_are_those_of_numpy(dtype, width):
    random = np.random.default_rng(0)
    of_places = random.integers(0, 9, 50)
    values = random.normal(size=(50, width)).astype(dtype)
    distinct, places, starts = rows.order(of_places, 9)
    sums = np.empty((len(distinct), width), dtype)
    rows.add_up(values, places, starts, sums)
    expected = np.zeros((9, width), dtype)
    np.add.at(expected, of_places, values)
    np.testing.assert_array_equal(sums, expected[distinct])  # in the same order: the same bits


@pytest.mark.parametrize("width", [1, 4])
def test_sums_of_the_rows_of_examples_are_those_of_numpy(width):
    random = np.random.default_rng(1)
    table, used = random.normal(size=(20, width)), random.integers(0, 20, (7, 5))
    sums = np.empty((7, width))
    rows.add_up_rows(table, used, sums)
    np.testing.assert_allclose(sums, table[used].sum(1), rtol=1e-14)


def test_products_are_those_of_numpy():
    random = np.random.default_rng(2)
    values, weights = random.normal(size=(6, 3)), random.normal(size=(3, 2))
    parts = weights[:1], weights[1:]
    gradient, bias = random.normal(size=(6, 2)), random.normal(size=2)
    outputs, of_weights = np.tile(bias, (6, 1)), np.empty((4, 2))
    addresses = np.array([part.__array_interface__["data"][0] for part in parts])
    products.add_product(values, addresses, np.array([part.size for part in parts]), outputs)
    products.multiply_transposed(values, gradient, of_weights)
    np.testing.assert_allclose(outputs, bias + values @ weights, rtol=1e-13)
    np.testing.assert_allclose(of_weights[:3], values.T @ gradient, rtol=1e-13)
    np.testing.assert_allclose(of_weights[3], gradient.sum(0), rtol=1e-13)
