"""Write ftrl.json: weights and slots of tf.keras.optimizers.legacy.Ftrl, step by step.

"dense" and "sparse" each hold

    gradients       of each step. Dense: [rows, columns] numbers. Sparse: {"ids", "rows"}, where ids may
                    occur several times and "rows" has one gradient for each id
    cases           "name", "arguments" of the optimizer (those of TensorFlow, by keyword), "initial"
                    weights, and "after": for some numbers of steps the "weights" and the slots
                    "accumulator" and "linear"

All cases of a kind get the same gradients. Some are exactly 0; in the sparse ones the last row is
never touched, and one step touches no row at all. All numbers are float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from write_json import write_json

STEPS = 100
WRITTEN = (1, 2, 10, 100)
DENSE_SHAPE = (3, 2)
SPARSE_SHAPE = (6, 2)
IDS_PER_STEP = 4

ARGUMENTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "learning rate": {"learning_rate": 0.2},
    "l1": {"learning_rate": 0.2, "l1_regularization_strength": 0.5},
    "l1 so strong that weights stay 0": {
        "learning_rate": 0.2,
        "l1_regularization_strength": 50.0,
    },
    "l2": {"learning_rate": 0.2, "l2_regularization_strength": 0.3},
    "l2 shrinkage": {"learning_rate": 0.2, "l2_shrinkage_regularization_strength": 0.1},
    "beta": {"learning_rate": 0.2, "beta": 0.7},
    "learning rate power -0.3": {"learning_rate": 0.1, "learning_rate_power": -0.3},
    "learning rate power -0.7": {"learning_rate": 0.1, "learning_rate_power": -0.7},
    "learning rate power 0": {"learning_rate": 0.01, "learning_rate_power": 0.0},
    "initial accumulator 2": {"learning_rate": 0.2, "initial_accumulator_value": 2.0},
    "initial accumulator 0": {"learning_rate": 0.2, "initial_accumulator_value": 0.0},
    "everything": {
        "learning_rate": 0.05,
        "learning_rate_power": -0.6,
        "initial_accumulator_value": 0.3,
        "l1_regularization_strength": 0.01,
        "l2_regularization_strength": 0.02,
        "l2_shrinkage_regularization_strength": 0.01,
        "beta": 0.1,
    },
}
WITH_INITIAL_WEIGHTS = [
    "learning rate",
    "l1",
    "l2 shrinkage",
    "learning rate power 0",
    "everything",
]


def draw_gradients(random: np.random.RandomState, shape: tuple[int, ...]) -> np.ndarray:
    """Gradients of which the last column is large, as for an age, and every tenth number is 0."""
    gradients = random.normal(size=shape)
    gradients[..., -1] *= 20
    gradients[random.uniform(size=shape) < 0.1] = 0
    return np.round(gradients, 2).astype(np.float32) + np.float32(0)  # no -0


def dense_gradients() -> list[np.ndarray]:
    return list(draw_gradients(np.random.RandomState(1), (STEPS, *DENSE_SHAPE)))


def sparse_gradients() -> list[dict[str, np.ndarray]]:
    random = np.random.RandomState(2)
    rows, columns = SPARSE_SHAPE
    gradients = []
    for step in range(STEPS):
        count = 0 if step == 4 else IDS_PER_STEP
        ids = random.randint(0, rows - 1, size=count)
        gradients.append({"ids": ids, "rows": draw_gradients(random, (count, columns))})
    return gradients


def initial_weights(shape: tuple[int, ...]) -> np.ndarray:
    return np.round(np.random.RandomState(3).normal(size=shape), 2).astype(np.float32)


def as_tensor(gradient: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(gradient, dict):
        rows, ids = tf.constant(gradient["rows"]), tf.constant(gradient["ids"])
        return tf.IndexedSlices(rows, ids, dense_shape=shape)
    return tf.constant(gradient)


def trace(arguments: dict[str, Any], initial: np.ndarray, gradients: list[Any]) -> dict[str, Any]:
    """Weights and slots after the steps of WRITTEN."""
    optimizer = tf.keras.optimizers.legacy.Ftrl(**arguments)
    weights = tf.Variable(initial)
    after = {}
    for step, gradient in enumerate(gradients, start=1):
        optimizer.apply_gradients([(as_tensor(gradient, initial.shape), weights)])
        if step in WRITTEN:
            after[step] = {
                "weights": weights.numpy(),
                "accumulator": optimizer.get_slot(weights, "accumulator").numpy(),
                "linear": optimizer.get_slot(weights, "linear").numpy(),
            }
    return after


def traces(shape: tuple[int, ...], gradients: list[Any]) -> dict[str, Any]:
    zeros, others = np.zeros(shape, np.float32), initial_weights(shape)
    starts = [(name, name, zeros) for name in ARGUMENTS]
    starts += [(f"{name}, initial weights", name, others) for name in WITH_INITIAL_WEIGHTS]
    cases = [
        {
            "name": name,
            "arguments": ARGUMENTS[key],
            "initial": initial,
            "after": trace(ARGUMENTS[key], initial, gradients),
        }
        for name, key, initial in starts
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
