"""Trains TensorFlow's linear models with LinearSDCA, and writes what they learn, to linear_sdca.json.

The examples are in the file too, so that the tests use the same.
"""

from __future__ import annotations

import tempfile

import numpy as np
import tensorflow as tf
from write_json import write_json

ROWS, TOWNS, TAGS = 40, 4, 6
STEPS = 4000


def examples(kind):
    """Features and labels as lists; every example has an id of its own."""
    random = np.random.default_rng(7)
    x = random.normal(size=(ROWS, 2)).round(3)
    town = random.integers(0, TOWNS, ROWS)
    tags = random.integers(-1, TAGS, (ROWS, 3))
    noise = random.normal(size=ROWS)
    score = x @ [1.5, -1.0] + np.array([0.7, -0.6, 0.1, 0.3])[town] + 0.5 + noise
    labels = (score > 0).astype(int) if kind == "classifier" else score.round(3)
    return {
        "id": [f"row {row}" for row in range(ROWS)],
        "x": x.tolist(),
        "town": town.tolist(),
        "tags": tags.tolist(),
        "weight": random.choice([0.5, 1.0, 2.0], ROWS).tolist(),
    }, labels.tolist()


def columns():
    fc = tf.feature_column
    return [
        fc.numeric_column("x", shape=(2,)),
        fc.categorical_column_with_identity("town", TOWNS),
        fc.categorical_column_with_identity("tags", TAGS),
    ]


def learned(case):
    features, labels = examples(case["kind"])
    arrays = {
        "id": np.array(features["id"]),
        "x": np.array(features["x"], np.float32),
        "town": np.array(features["town"], np.int64),
        "tags": np.array(features["tags"], np.int64),
        "weight": np.array(features["weight"], np.float32),
    }
    numbers = np.array(labels, np.int64 if case["kind"] == "classifier" else np.float32)

    def input_fn(repeats=None):
        data = tf.data.Dataset.from_tensor_slices((arrays, numbers))
        return data.repeat(repeats).batch(case["batch"])

    sdca = tf.estimator.experimental.LinearSDCA(
        "id",
        symmetric_l1_regularization=case["l1"],
        symmetric_l2_regularization=case["l2"],
    )
    make = {
        "classifier": tf.estimator.LinearClassifier,
        "regressor": tf.estimator.LinearRegressor,
    }[case["kind"]]
    estimator = make(
        columns(),
        tempfile.mkdtemp(),
        optimizer=sdca,
        weight_column="weight" if case["weighted"] else None,
    )
    estimator.train(input_fn, steps=STEPS)
    prefix = "linear/linear_model/"
    values = {
        name: estimator.get_variable_value(f"{prefix}{variable}").tolist()
        for name, variable in [
            ("bias", "bias_weights"),
            ("x", "x/weights"),
            ("town", "town/weights"),
            ("tags", "tags/weights"),
        ]
    }
    metrics = estimator.evaluate(lambda: input_fn(1))
    return {
        **case,
        "weights": values,
        "metrics": {name: float(value) for name, value in metrics.items()},
    }


def main():
    plain = {"weighted": False, "l1": 0.0, "l2": 1.0, "batch": 8}
    cases = [
        {"name": "classifier", "kind": "classifier", **plain},
        {"name": "regressor", "kind": "regressor", **plain},
        {"name": "weighted classifier", "kind": "classifier", **plain, "weighted": True, "l2": 0.5},
        {"name": "weighted regressor", "kind": "regressor", **plain, "weighted": True, "l2": 3.0},
        {"name": "classifier with l1", "kind": "classifier", **plain, "l1": 0.6},
        {"name": "weighted regressor with l1", "kind": "regressor", **plain, "weighted": True, "l1": 2.0},
    ]  # fmt: skip
    data = {}
    for kind in ("classifier", "regressor"):
        features, labels = examples(kind)
        data[kind] = {"features": features, "labels": labels}
    write_json(__file__, {"data": data, "cases": [learned(case) for case in cases]})


if __name__ == "__main__":
    main()
