"""Write schedules.json: learning rates of Keras's schedules, and of the decays of TensorFlow 1, after numbers of steps.

"steps" is the list of these numbers. Each of "cases" has a name, the "function" (a class in
tf.keras.optimizers.schedules, or a function in tf.compat.v1.train), its "arguments" and its "rates" by step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from write_json import write_json

STEPS = [0, 1, 2, 5, 9, 10, 11, 29, 30, 31, 50, 99, 100, 101, 1000, 33_499_999]
RATE = {"initial_learning_rate": 0.3}
BOUNDARIES = {"boundaries": [10, 30, 100], "values": [0.3, 0.1, 0.05, 0.01]}
KERAS: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialDecay", {"decay_steps": 10, "decay_rate": 0.7}),
    ("ExponentialDecay", {"decay_steps": 10, "decay_rate": 0.7, "staircase": True}),
    ("ExponentialDecay", {"decay_steps": 100_000, "decay_rate": 0.99, "staircase": True}),
    ("InverseTimeDecay", {"decay_steps": 10, "decay_rate": 0.7}),
    ("InverseTimeDecay", {"decay_steps": 10, "decay_rate": 0.7, "staircase": True}),
    ("PolynomialDecay", {"decay_steps": 30}),
    ("PolynomialDecay", {"decay_steps": 30, "end_learning_rate": 0.01, "power": 2.0}),
    ("PolynomialDecay", {"decay_steps": 30, "power": 0.5, "cycle": True}),
    ("CosineDecay", {"decay_steps": 100}),
    ("CosineDecay", {"decay_steps": 30, "alpha": 0.2}),
    ("PiecewiseConstantDecay", BOUNDARIES),
]
TF1: list[tuple[str, dict[str, Any]]] = [
    ("exponential_decay", {"decay_steps": 10, "decay_rate": 0.7, "staircase": True}),
    ("natural_exp_decay", {"decay_steps": 10, "decay_rate": 0.7}),
    ("inverse_time_decay", {"decay_steps": 10, "decay_rate": 0.7}),
    ("polynomial_decay", {"decay_steps": 30, "power": 2.0, "cycle": True}),
    ("cosine_decay", {"decay_steps": 100, "alpha": 0.1}),
    ("piecewise_constant", BOUNDARIES),
]


def keras_rates(name: str, arguments: dict[str, Any]) -> list[np.float32]:
    schedule = getattr(tf.keras.optimizers.schedules, name)(**arguments)
    return [np.float32(schedule(tf.constant(step, tf.int64)).numpy()) for step in STEPS]


def tf1_rates(name: str, arguments: dict[str, Any]) -> list[np.float32]:
    function = getattr(tf.compat.v1.train, name)
    step_name = "x" if name == "piecewise_constant" else "global_step"
    rates = []
    for step in STEPS:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            rates.append(session.run(function(**{step_name: np.int64(step)}, **arguments)))
    return rates


def main() -> None:
    cases = []
    for name, given in KERAS:
        arguments = given if "values" in given else {**RATE, **given}
        cases.append((name, arguments, keras_rates(name, arguments)))
    for name, given in TF1:
        arguments = given if "values" in given else {"learning_rate": 0.3, **given}
        cases.append((name, arguments, tf1_rates(name, arguments)))
    write_json(
        __file__,
        {
            "steps": STEPS,
            "cases": [
                {
                    "name": f"{name} {number}",
                    "function": name,
                    "arguments": arguments,
                    "rates": rates,
                }
                for number, (name, arguments, rates) in enumerate(cases)
            ],
        },
    )


if __name__ == "__main__":
    main()
