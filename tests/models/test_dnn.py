"""DNNModel, beyond what the premade estimators' traces show of it."""

from __future__ import annotations

import torch
from torch import nn

from torchest.columns.numeric import numeric_column
from torchest.models.dnn import DNNModel


def test_models_share_no_parameters_of_an_activation():
    activation = nn.PReLU()
    first, second = (
        DNNModel([numeric_column("x")], [3], activation_fn=activation) for _ in range(2)
    )
    shared = {id(each) for each in first.parameters()} & {id(each) for each in second.parameters()}
    assert not shared
    assert len(list(first.parameters())) == 5  # two layers of weight and bias, and the slope
    first({"x": torch.tensor([-1.0, 1.0])}).sum().backward()
    assert activation.weight.grad is None


def small_model():
    torch.manual_seed(0)
    return DNNModel([numeric_column("x")], [4, 4]), {"x": torch.tensor([-1.0, 1.0])}


def test_hooks_of_layers_see_what_is_before_the_activation():
    model, features = small_model()
    expected = model.hidden[0](torch.tensor([[-1.0], [1.0]])).detach()
    assert (expected < 0).any()
    seen = []

    def keep(module, inputs, output):
        if module is model.hidden[0]:
            seen.append(output)

    with torch.nn.modules.module.register_module_forward_hook(keep):
        model(features).sum().backward()
    torch.testing.assert_close(seen[0], expected)


def test_hooks_before_the_backward_pass_of_layers_are_called():
    model, features = small_model()
    called = []
    model.hidden[1].register_full_backward_pre_hook(lambda module, gradient: called.append(module))
    model(features).sum().backward()
    assert called == [model.hidden[1]]
