"""Write optimizers.json: weights and slots of Keras's legacy optimizers and of those of TensorFlow 1, step by step.

The file is built as ftrl.json is, with the same gradients: "dense" and "sparse" each hold "gradients" and
"cases", and a case has

    name, optimizer  the class in tf.keras.optimizers.legacy, or in tf.compat.v1.train, where names end in "Optimizer"
    arguments        of the optimizer, by keyword; {"exponential_decay": [start, steps, rate]} stands for a
                     learning rate of start · rate^(step / steps), where the first step is 0
    initial          weights
    after            for some numbers of steps the "weights" and the slots by TensorFlow's names

Where gradients of rows are clipped, those of one row were summed first, as the look-ups of TensorFlow's
columns do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
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

DECAY = {"exponential_decay": [0.2, 10, 0.5]}
SHRINKING = {"learning_rate": 0.1, "l1_regularization_strength": 0.05}
SHRINKING |= {"l2_regularization_strength": 0.1}
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
    ("Adadelta", "defaults", {}),
    ("Adadelta", "learning rate", {"learning_rate": 1.0}),
    ("Adadelta", "rho, epsilon", {"learning_rate": 1.0, "rho": 0.7, "epsilon": 0.01}),
    ("Adamax", "defaults", {}),
    ("Adamax", "learning rate", {"learning_rate": 0.1}),
    ("Adamax", "betas", {"learning_rate": 0.1, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 0.5}),
    ("Nadam", "defaults", {}),
    ("Nadam", "learning rate", {"learning_rate": 0.1}),
    ("Nadam", "betas", {"learning_rate": 0.1, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 0.5}),
    ("Nadam", "schedule decay", {"learning_rate": 0.1, "schedule_decay": 0.1}),
    ("SGD", "decay", {"learning_rate": 0.1, "decay": 0.5}),
    ("Adam", "decay", {"learning_rate": 0.1, "decay": 0.1}),
    ("Ftrl", "decay", {"learning_rate": 0.5, "decay": 0.1, "l1_regularization_strength": 0.1}),
    ("Adagrad", "decay of a schedule", {"learning_rate": DECAY, "decay": 0.1}),
    ("SGD", "clipped by value", {"learning_rate": 0.1, "clipvalue": 0.5, "momentum": 0.5}),
    ("SGD", "clipped by norm", {"learning_rate": 0.1, "clipnorm": 2.0}),
    ("Adagrad", "clipped by norm", {"learning_rate": 0.1, "clipnorm": 0.01}),
    ("Adam", "clipped by value", {"learning_rate": 0.1, "clipvalue": 0.2}),
    (
        "Ftrl",
        "clipped by value and norm",
        {"learning_rate": 0.5, "clipvalue": 1.0, "clipnorm": 1.5},
    ),
    ("RMSprop", "clipped by norm", {"learning_rate": 0.05, "clipnorm": 3.0}),
    ("GradientDescentOptimizer", "learning rate", {"learning_rate": 0.1}),
    ("MomentumOptimizer", "momentum", {"learning_rate": 0.1, "momentum": 0.9}),
    (
        "MomentumOptimizer",
        "Nesterov",
        {"learning_rate": 0.1, "momentum": 0.9, "use_nesterov": True},
    ),
    ("AdagradOptimizer", "learning rate", {"learning_rate": 0.1}),
    ("AdagradOptimizer", "accumulator", {"learning_rate": 0.1, "initial_accumulator_value": 2.0}),
    ("AdamOptimizer", "defaults", {}),
    ("AdamOptimizer", "betas", {"learning_rate": 0.1, "beta1": 0.7, "beta2": 0.9, "epsilon": 0.1}),
    ("AdadeltaOptimizer", "defaults", {}),
    ("AdadeltaOptimizer", "learning rate", {"learning_rate": 1.0, "rho": 0.8, "epsilon": 0.001}),
    ("RMSPropOptimizer", "learning rate", {"learning_rate": 0.05}),
    ("RMSPropOptimizer", "momentum", {"learning_rate": 0.05, "decay": 0.7, "momentum": 0.8}),
    ("RMSPropOptimizer", "centered", {"learning_rate": 0.05, "centered": True, "epsilon": 0.1}),
    ("FtrlOptimizer", "learning rate", {"learning_rate": 0.2}),
    ("FtrlOptimizer", "strengths", {**SHRINKING, "beta": 0.3, "learning_rate_power": -0.6}),
    ("FtrlOptimizer", "shrinkage", {**SHRINKING, "l2_shrinkage_regularization_strength": 0.1}),
    ("ProximalAdagradOptimizer", "strengths", SHRINKING),
    ("ProximalAdagradOptimizer", "learning rate", {"learning_rate": 0.1}),
    ("ProximalGradientDescentOptimizer", "strengths", SHRINKING),
]


def make_optimizer(name: str, arguments: dict[str, Any]) -> Any:
    rate = arguments.get("learning_rate")
    if isinstance(rate, dict):
        start, steps, factor = rate["exponential_decay"]
        schedule = tf.keras.optimizers.schedules.ExponentialDecay(start, steps, factor)
        arguments = arguments | {"learning_rate": schedule}
    place = tf.compat.v1.train if name.endswith("Optimizer") else tf.keras.optimizers.legacy
    return getattr(place, name)(**arguments)


def is_clipped(arguments: dict[str, Any]) -> bool:
    return "clipnorm" in arguments or "clipvalue" in arguments


def summed(gradient: Any) -> Any:
    """Gradients of rows with each row once."""
    if not isinstance(gradient, dict):
        return gradient
    ids, places = np.unique(gradient["ids"], return_inverse=True)
    rows = np.zeros((len(ids), gradient["rows"].shape[1]), np.float32)
    np.add.at(rows, places, gradient["rows"])
    return {"ids": ids, "rows": rows}


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
            "after": trace(
                make_optimizer(optimizer, arguments),
                initial,
                list(map(summed, gradients)) if is_clipped(arguments) else gradients,
            ),
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
