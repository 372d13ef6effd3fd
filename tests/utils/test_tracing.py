"""What torch follows, to repeat or to derive it, is made of operations of torch, and not of compiled loops."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from torchest import losses, metrics
from torchest.columns.layers.fused_linear import add_product
from torchest.optimizers.row_gradients import look_up_sums

VALUES = torch.tensor([[1.0], [-2.0], [0.0]])
OTHERS = torch.tensor([[0.5], [3.0], [2.0]])
NUMBERS, LABELS = torch.tensor([[4.0], [-1.0], [5.0]]), torch.tensor([[1.0], [0.0], [0.0]])
IDS = torch.tensor([[0, 1], [2, 2]])

FUNCTIONS = {
    "small product": lambda x: add_product([], x[0], NUMBERS, [x[:1]]),
    "sums of rows": lambda x: look_up_sums(x, IDS),
    "sigmoid cross entropy": lambda x: losses.sigmoid_cross_entropy(LABELS, x),
}
PLAIN = {
    "small product": lambda x: x[0] + NUMBERS @ x[:1],
    "sums of rows": lambda x: x[IDS].sum(1),
    "sigmoid cross entropy": lambda x: torch.nn.functional.binary_cross_entropy_with_logits(
        x, LABELS, reduction="none"
    ),
}


def mean(values):
    return metrics.mean(values).statistics


@pytest.fixture(params=[True, False], ids=["gradients", "no gradients"])
def _gradients(request):
    with torch.set_grad_enabled(request.param):
        yield


@pytest.mark.filterwarnings("ignore:`torch.jit.trace` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.usefixtures("_gradients")
@pytest.mark.parametrize("function", [*FUNCTIONS.values(), mean], ids=[*FUNCTIONS, "mean"])
@pytest.mark.parametrize(
    "trace",
    [
        lambda function: torch.jit.trace(function, (VALUES,), check_trace=False),
        lambda function: make_fx(function)(VALUES),
    ],
    ids=["jit", "fx"],
)
def test_a_trace_is_right_for_other_values(trace, function):
    torch.testing.assert_close(trace(function)(OTHERS), function(OTHERS))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.usefixtures("_gradients")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_taken_forwards_are_those_of_torch(name):
    expected = torch.func.jvp(PLAIN[name], (VALUES,), (OTHERS,))
    torch.testing.assert_close(torch.func.jvp(FUNCTIONS[name], (VALUES,), (OTHERS,)), expected)
    with forward_ad.dual_level():
        actual = FUNCTIONS[name](forward_ad.make_dual(VALUES, OTHERS))
        torch.testing.assert_close(tuple(forward_ad.unpack_dual(actual)), expected)


@pytest.mark.usefixtures("_gradients")
def test_a_mean_is_taken_of_each_of_many():
    many = torch.stack([VALUES, OTHERS])
    assert torch.vmap(mean)(many).tolist() == [mean(VALUES).tolist(), mean(OTHERS).tolist()]
