"""Checkpoints without their estimator, and an object-based checkpoint of TensorFlow as the start of a model.

    python examples/guide/checkpoints.py

A checkpoint of torchest has the state of each object that model_fn made under its name, so a plain loop can go on with
it as the estimator would. The one of TensorFlow is in examples/data/tensorflow_line.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import torchest
from torchest import inputs

OF_TENSORFLOW = Path(__file__).parents[1] / "data" / "tensorflow_line" / "model.ckpt-100"
LAYER = "net/layer"  # the path of attributes to the dense layer in TensorFlow's checkpoint
VALUE = ".ATTRIBUTES/VARIABLE_VALUE"
X = torch.arange(10.0)[:, None]
Y = X * torch.arange(1.0, 6.0)  # [10, 5]


def make_net() -> nn.Linear:
    return nn.Linear(1, 5)


def make_adam(net: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(net.parameters(), lr=0.1)


def model_fn(
    features: torchest.Features, labels: torch.Tensor, mode: str
) -> torchest.EstimatorSpec:
    """One layer, which learns to multiply its input by 1, 2, 3, 4 and 5."""
    net = torchest.get_or_create("net", make_net)
    y = net(features["x"])
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions={"y": y})
    loss = nn.functional.mse_loss(y, labels)
    adam = torchest.get_or_create("adam", lambda: make_adam(net))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=adam)


def input_fn() -> inputs.Dataset:
    """All ten rows as one batch, for ever."""
    return inputs.Dataset.from_tensors(({"x": X}, Y)).repeat()


def make_model(model_dir: Any, warm_start_from: Any = None) -> torchest.Estimator:
    config = torchest.RunConfig(tf_random_seed=1)
    return torchest.Estimator(model_fn, model_dir, config=config, warm_start_from=warm_start_from)


def go_on_in_a_loop(model_dir: str, steps: int) -> nn.Linear:
    """Takes the net and the optimizer out of the newest checkpoint, and trains on without an estimator."""
    checkpoint = torchest.load_checkpoint(model_dir)
    net = make_net()
    net.load_state_dict(checkpoint.module("net"))
    adam = make_adam(net)
    adam.load_state_dict(checkpoint.module("adam"))
    for _ in range(steps):
        adam.zero_grad()
        nn.functional.mse_loss(net(X), Y).backward()
        adam.step()
    return net


def start_from_tensorflow(model_dir: Any) -> torchest.Estimator:
    """An estimator whose weights are those of TensorFlow's layer; a kernel is transposed on the way."""
    names = {"net.weight": f"{LAYER}/kernel/{VALUE}", "net.bias": f"{LAYER}/bias/{VALUE}"}
    settings = torchest.WarmStartSettings(str(OF_TENSORFLOW), var_name_to_prev_var_name=names)
    return make_model(model_dir, settings)


def answers(model: torchest.Estimator, x: Any) -> np.ndarray:
    """What the model makes of x [rows, 1]: [rows, 5]."""
    features = {"x": np.asarray(x, np.float32)}
    return np.stack([row["y"] for row in model.predict(lambda: features)])


def main() -> None:
    """Lists checkpoints, trains with and without an estimator, and starts from TensorFlow's weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    parser.add_argument("--steps", type=int, default=100, help="how many steps to train for")
    arguments = parser.parse_args()

    model = make_model(arguments.model_dir).train(input_fn, steps=arguments.steps)
    print("In torchest's checkpoint:")
    for name, shape in torchest.list_variables(model.model_dir):
        print(f"  {name} {shape}")
    net = go_on_in_a_loop(model.model_dir, arguments.steps)
    model.train(input_fn, steps=arguments.steps)
    print(f"The loop learned the factors       {net.weight.detach().flatten().numpy().round(3)}")
    weight = model.get_variable_value("net.weight").flatten()
    print(f"The estimator has learned as many  {weight.round(3)}")

    print("In TensorFlow's checkpoint:")
    for name, shape in torchest.list_variables(OF_TENSORFLOW):
        print(f"  {name} {shape}")
    answer = answers(start_from_tensorflow(None), [[20]])[0]
    print(f"A model that starts with it makes of 20: {answer.round(1)}")


if __name__ == "__main__":
    main()
