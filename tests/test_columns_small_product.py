"""Small products on one thread have the values and gradients of torch's."""

from __future__ import annotations

import pytest
import torch

from torchest.columns import small_product


@pytest.mark.parametrize("units", [1, 3])
def test_values_and_gradients_are_those_of_torch(units):
    torch.manual_seed(0)
    values = torch.randn(5, 4, dtype=torch.float64)
    weights = [
        torch.randn(width, units, dtype=torch.float64, requires_grad=True) for width in (1, 3)
    ]
    outputs = small_product.product(values, weights)
    torch.testing.assert_close(outputs, values @ torch.cat(weights))
    assert torch.autograd.gradcheck(lambda *w: small_product.product(values, w), weights)


def test_values_that_have_a_gradient_keep_it():
    values = torch.ones(2, 1, requires_grad=True)
    small_product.product(values, [torch.full((1, 1), 3.0)]).sum().backward()
    assert values.grad.tolist() == [[3.0], [3.0]]


def test_no_examples_give_a_gradient_of_zero():
    weight = torch.ones(2, 1, requires_grad=True)
    small_product.product(torch.ones(0, 2), [weight]).sum().backward()
    assert weight.grad.tolist() == [[0.0], [0.0]]


def test_the_gradient_of_a_gradient_is_that_of_torch():
    torch.manual_seed(1)
    values = torch.randn(4, 2, dtype=torch.float64)
    weights = [torch.randn(1, 1, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradgradcheck(lambda *w: small_product.product(values, w) ** 3, weights)


def test_functions_of_torch_func_see_through():
    values = torch.tensor([[2.0], [3.0]])
    found = torch.func.grad(lambda w: small_product.product(values, [w]).sum())(torch.ones(1, 1))
    assert found.tolist() == [[5.0]]
