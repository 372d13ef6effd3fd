"""Write metric_shapes.json: which shapes of labels, predictions and weights the metrics take, and what they give.

"values" are the first elements of labels, predictions and weights, to be reshaped; each of "cases" has

    metric       the function of tf.compat.v1.metrics; "mean" is of the predictions
    labels, predictions, weights   shapes; weights of shape [] are the number 2, None stands for no weights
    result       the metric; None: TensorFlow refuses the shapes
"""

from __future__ import annotations

import itertools
import os
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from write_json import write_json

v1 = tf.compat.v1
VALUES = {
    "labels": [1.0, 0.0, 1.0, 1.0],
    "predictions": [0.9, 0.6, 0.4, 0.7],
    "weights": [1.0, 2.0, 3.0, 4.0],
}
PAIRS = [
    ([4], [4]),
    ([4], [4, 1]),
    ([4, 1], [4]),
    ([4, 1], [4, 1]),
    ([4, 1], [4, 1, 1]),
    ([4], [4, 1, 1]),
    ([2, 2], [2, 2]),
    ([2, 2], [2, 2, 1]),
    ([2, 2, 1], [2, 2]),
    ([4, 1], [2, 2]),
    ([4], [3]),
]
WEIGHTS = [None, [], [4], [4, 1], [4, 1, 1], [2], [2, 1], [1, 2], [2, 2], [2, 2, 1]]
METRICS = ["mean", "mean_squared_error", "mean_absolute_error", "root_mean_squared_error", "auc"]
METRICS += ["accuracy", "precision", "recall"]
OF_CLASSES = ("accuracy", "precision", "recall")  # take class ids instead of probabilities


def shaped(name: str, shape: list[int]) -> Any:
    if not shape:
        return np.float32(2)
    return np.array(VALUES[name][: int(np.prod(shape))], np.float32).reshape(shape)


def result(metric: str, arguments: dict[str, Any]) -> np.float32 | None:
    with tf.Graph().as_default(), v1.Session() as session:
        try:
            value, update = getattr(v1.metrics, metric)(**arguments)
            session.run([v1.local_variables_initializer(), v1.global_variables_initializer()])
            session.run(update)
        except (ValueError, tf.errors.InvalidArgumentError):
            return None
        return np.float32(session.run(value))


def case(metric: str, labels: list[int], predictions: list[int], weights: Any) -> dict[str, Any]:
    predicted = shaped("predictions", predictions)
    if metric in OF_CLASSES:
        predicted = (predicted > 0.5).astype(np.float32)
    arguments = {"labels": shaped("labels", labels), "predictions": predicted}
    if metric == "mean":
        arguments = {"values": predicted}
    if weights is not None:
        arguments["weights"] = shaped("weights", weights)
    shapes = {"labels": labels, "predictions": predictions, "weights": weights}
    return {"metric": metric, **shapes, "result": result(metric, arguments)}


def main() -> None:
    combinations = itertools.product(METRICS, PAIRS, WEIGHTS)
    cases = [case(metric, *pair, weights) for metric, pair, weights in combinations]
    write_json(__file__, {"values": VALUES, "cases": cases})


if __name__ == "__main__":
    main()
