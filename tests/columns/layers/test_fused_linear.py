"""Small products on one thread, and what is added to them, have the values and gradients of torch's."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad

from torchest.columns.layers.fused_linear import add_product

NO_BIAS = torch.zeros(1)


@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_values_and_gradients_are_those_of_torch(units, count):
    torch.manual_seed(0)

    def numbers(*shape):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    values = torch.randn(5, 4, dtype=torch.float64)
    trained = [*(numbers(5, units) for _ in range(count)), numbers(units)]
    trained += [numbers(1, units), numbers(3, units)]

    def outputs(*given):
        return add_product(given[:count], given[count], values, given[count + 1 :])

    expected = sum(trained[:count], trained[count]) + values @ torch.cat(trained[count + 1 :])
    torch.testing.assert_close(outputs(*trained), expected)
    assert torch.autograd.gradcheck(outputs, trained)


def test_values_that_have_a_gradient_keep_it():
    values = torch.ones(2, 1, requires_grad=True)
    add_product([], NO_BIAS, values, [torch.full((1, 1), 3.0)]).sum().backward()
    assert values.grad.tolist() == [[3.0], [3.0]]


def test_no_examples_give_a_gradient_of_zero():
    weight, bias = torch.ones(2, 1, requires_grad=True), torch.ones(1, requires_grad=True)
    add_product([], bias, torch.ones(0, 2), [weight]).sum().backward()
    assert weight.grad.tolist() == [[0.0], [0.0]]
    assert bias.grad.tolist() == [0.0]


def test_the_gradient_of_a_gradient_is_that_of_torch():
    torch.manual_seed(1)
    values = torch.randn(4, 2, dtype=torch.float64)
    weights = [torch.randn(1, 1, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    bias, vectors = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((1,), (4, 1))
    )

    def cubes(bias, vectors, *weights):
        return add_product([vectors], bias, values, weights) ** 3

    assert torch.autograd.gradgradcheck(cubes, (bias, vectors, *weights))


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own
def test_a_derivative_is_taken_forwards():
    values, weight = torch.tensor([[2.0], [3.0]]), torch.ones(1, 1)
    with forward_ad.dual_level():
        bias = forward_ad.make_dual(torch.zeros(1), torch.full((1,), 5.0))
        outputs = add_product([], bias, values, [weight])
        assert forward_ad.unpack_dual(outputs).tangent.tolist() == [[5.0], [5.0]]


def test_a_bias_of_more_dimensions_is_added_as_torch_would():
    bias, weight = torch.ones(1, 1, requires_grad=True), torch.ones(1, 1)
    outputs = add_product([], bias, torch.tensor([[2.0], [3.0]]), [weight])
    outputs.sum().backward()
    assert outputs.tolist() == [[3.0], [4.0]]
    assert bias.grad.tolist() == [[2.0]]


def test_functions_of_torch_func_see_through():
    values = torch.tensor([[2.0], [3.0]])
    actual = torch.func.grad(lambda w: add_product([], NO_BIAS, values, [w]).sum())(
        torch.ones(1, 1)
    )
    assert actual.tolist() == [[5.0]]


def test_weights_of_another_width_are_refused():
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        add_product([], NO_BIAS, torch.ones(2, 3), [torch.ones(2, 1)])
