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
