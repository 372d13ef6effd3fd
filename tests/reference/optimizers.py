"""Write optimizers.json: weights and slots of Keras's legacy Adagrad, Adam, RMSprop and SGD, step by step.

The file is built as ftrl.json is, with the same gradients: "dense" and "sparse" each hold "gradients" and
"cases", and a case has

    name, optimizer  the class in tf.keras.optimizers.legacy
    arguments        of the optimizer, by keyword; {"exponential_decay": [start, steps, rate]} stands for a
                     learning rate of start · rate^(step / steps), where the first step is 0
    initial          weights
    after            for some numbers of steps the "weights" and the slots by TensorFlow's names
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from ftrl import (
    DENSE_SHAPE,
    SPARSE_SHAPE,
    WRITTEN,
    as_tensor,
    dense_gradients,
    initial_weights,
    sparse_gradients,
)
from write_json import write_json

if TYPE_CHECKING:
    import numpy as np

DECAY = {"exponential_decay": [0.2, 10, 0.5]}
ARGUMENTS: list[tuple[str, str, dict[str, Any]]] = [
    ("Adagrad", "defaults", {}),
    ("Adagrad", "learning rate", {"learning_rate": 0.1}),
    ("Adagrad", "initial accumulator 0", {"learning_rate": 0.1, "initial_accumulator_value": 0.0}),
    ("Adagrad", "initial accumulator 2", {"learning_rate": 0.1, "initial_accumulator_value": 2.0}),
    ("Adagrad", "epsilon", {"learning_rate": 0.1, "epsilon": 0.5}),
    ("Adagrad", "exponential decay", {"learning_rate": DECAY}),
    ("Adam", "defaults", {}),
    ("Adam", "learning rate", {"learning_rate": 0.1}),
    ("Adam", "betas", {"learning_rate": 0.1, "beta_1": 0.7, "beta_2": 0.9}),
    ("Adam", "epsilon", {"learning_rate": 0.1, "epsilon": 0.5}),
    ("Adam", "amsgrad", {"learning_rate": 0.1, "beta_2": 0.8, "amsgrad": True}),
    ("Adam", "exponential decay", {"learning_rate": DECAY}),
    ("RMSprop", "defaults", {}),
    ("RMSprop", "learning rate", {"learning_rate": 0.05}),
    ("RMSprop", "rho", {"learning_rate": 0.05, "rho": 0.5}),
    ("RMSprop", "epsilon", {"learning_rate": 0.05, "epsilon": 0.5}),
    ("RMSprop", "momentum", {"learning_rate": 0.05, "momentum": 0.8}),
    ("RMSprop", "momentum, epsilon", {"learning_rate": 0.05, "momentum": 0.8, "epsilon": 0.5}),
    ("RMSprop", "centered", {"learning_rate": 0.05, "rho": 0.7, "centered": True, "epsilon": 0.01}),
    (
        "RMSprop",
        "centered, momentum",
        {"learning_rate": 0.05, "rho": 0.7, "centered": True, "momentum": 0.8, "epsilon": 0.01},
    ),
    ("RMSprop", "exponential decay", {"learning_rate": DECAY}),
    ("SGD", "defaults", {}),
    ("SGD", "learning rate", {"learning_rate": 0.1}),
    ("SGD", "momentum", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", "nesterov", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", "nesterov without momentum", {"learning_rate": 0.1, "nesterov": True}),
    ("SGD", "exponential decay", {"learning_rate": DECAY, "momentum": 0.5}),
]


def make_optimizer(name: str, arguments: dict[str, Any]) -> Any:
    rate = arguments.get("learning_rate")
    if isinstance(rate, dict):
        start, steps, factor = rate["exponential_decay"]
        schedule = tf.keras.optimizers.schedules.ExponentialDecay(start, steps, factor)
        arguments = arguments | {"learning_rate": schedule}
    return getattr(tf.keras.optimizers.legacy, name)(**arguments)


def trace(optimizer: Any, initial: np.ndarray, gradients: list[Any]) -> dict[str, Any]:
    """Weights and slots after the steps of WRITTEN."""
    weights = tf.Variable(initial)
    after = {}
    for step, gradient in enumerate(gradients, start=1):
        optimizer.apply_gradients([(as_tensor(gradient, initial.shape), weights)])
        if step in WRITTEN:
            slots = {
                name: optimizer.get_slot(weights, name).numpy()
                for name in optimizer.get_slot_names()
            }
            after[step] = {"weights": weights.numpy(), **slots}
    return after


def traces(shape: tuple[int, ...], gradients: list[Any]) -> dict[str, Any]:
    initial = initial_weights(shape)
    cases = [
        {
            "name": f"{optimizer}: {name}",
            "optimizer": optimizer,
            "arguments": arguments,
            "initial": initial,
            "after": trace(make_optimizer(optimizer, arguments), initial, gradients),
        }
        for optimizer, name, arguments in ARGUMENTS
    ]
    return {"gradients": gradients, "cases": cases}


def main() -> None:
    write_json(
        __file__,
        {
            "dense": traces(DENSE_SHAPE, dense_gradients()),
            "sparse": traces(SPARSE_SHAPE, sparse_gradients()),
        },
    )


if __name__ == "__main__":
    main()
