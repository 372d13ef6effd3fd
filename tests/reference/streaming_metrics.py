"""Write streaming_metrics.json: what the metrics of `tf.compat.v1.metrics` are after each of several batches.

"cases" has one for each metric, its arguments and its data:

    metric      the function
    data        which of "data" it was fed with
    weighted    whether it took the weights
    arguments   its other arguments
    values      the metric after each batch: a number or nested lists

"data" has by name lists of batches: labels, predictions (or values) and weights as arrays.
"""

# One case a line, however long, reads better than a case over ten lines.

from __future__ import annotations

import os
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from write_json import array, write_json

v1 = tf.compat.v1
THRESHOLDS = [0.0, 0.25, 0.5, 0.5001, 0.75, 1.0]


def batches(make: Any, sizes: tuple[int, ...] = (7, 5, 9)) -> list[dict[str, Any]]:
    """Batches with weights, some of which are 0."""
    random = np.random.RandomState(1)
    made = []
    for size in sizes:
        labels, predictions = make(random, size)
        weights = random.choice([0.0, 0.5, 1.0, 2.0], size).astype(np.float32)
        made.append({"labels": labels, "predictions": predictions, "weights": weights})
    return made


def binary(random: Any, size: int) -> tuple[Any, Any]:
    labels = random.randint(0, 2, size)
    return labels, np.round(0.3 * labels + 0.7 * random.rand(size), 2).astype(np.float32)


def classes(random: Any, size: int) -> tuple[Any, Any]:
    labels = random.randint(0, 4, size)
    return labels, np.where(random.rand(size) < 0.5, labels, random.randint(0, 3, size))


def numbers(random: Any, size: int) -> tuple[Any, Any]:
    labels = np.round(random.randn(size), 2).astype(np.float32)
    return labels, np.round(labels + random.randn(size), 2).astype(np.float32)


def vectors(random: Any, size: int) -> tuple[Any, Any]:
    raw = np.round(random.randn(2, size, 3), 2).astype(np.float32)
    return tuple(raw / np.linalg.norm(raw, axis=-1, keepdims=True))


def scores(random: Any, size: int) -> tuple[Any, Any]:
    return random.randint(0, 6, size), np.round(random.rand(size, 6), 1).astype(np.float32)


def several(random: Any, size: int) -> tuple[Any, Any]:
    """Two or three different labels a row; −1 and 7 are no classes."""
    labels = np.stack([random.permutation(6)[:3] for _ in range(size)])
    labels[random.rand(size) < 0.3, 2] = -1
    labels[random.rand(size) < 0.2, 1] = 7
    return labels, random.rand(size, 6).round(2).astype(np.float32)


def repeated(random: Any, size: int) -> tuple[Any, Any]:
    """Labels that may be equal."""
    return random.randint(-1, 4, (size, 4)), random.rand(size, 4).round(2).astype(np.float32)


def sequences(random: Any, size: int) -> tuple[Any, Any]:
    """Two labels in each of three steps."""
    return random.randint(0, 5, (size, 3, 2)), random.rand(size, 3, 5).round(2).astype(np.float32)


def best(random: Any, size: int) -> tuple[Any, Any]:
    """The ids of the four best classes of each row."""
    labels, predictions = several(random, size)
    return labels, np.argsort(-predictions, axis=1, kind="stable")[:, :4]


DATA = {
    "binary": batches(binary),
    "positives only": batches(lambda random, size: (np.ones(size, np.int64), binary(random, size)[1])),
    "negatives only": batches(lambda random, size: (np.zeros(size, np.int64), binary(random, size)[1])),
    "equal scores": batches(lambda random, size: (binary(random, size)[0], np.full(size, 0.5, np.float32))),
    "classes": batches(classes),
    "numbers": batches(numbers),
    "vectors": batches(vectors),
    "scores": batches(scores),
    "several labels": batches(several),
    "repeated labels": batches(repeated),
    "sequences": batches(sequences),
    "best classes": batches(best),
}  # fmt: skip
AREAS = ("binary", "positives only", "negatives only", "equal scores")
COUNTS = ["true_positives", "false_positives", "true_negatives", "false_negatives"]
AT_THRESHOLDS = [f"{name}_at_thresholds" for name in (*COUNTS, "precision", "recall")]


def cases() -> list[tuple[str, str, dict[str, Any]]]:
    listed: list[tuple[str, str, dict[str, Any]]] = []
    for data in AREAS:
        listed += [(name, data, {"thresholds": THRESHOLDS}) for name in AT_THRESHOLDS]
        listed += [
            ("sensitivity_at_specificity", data, {"specificity": s}) for s in (0.3, 0.8, 1.0)
        ]
        listed += [
            ("specificity_at_sensitivity", data, {"sensitivity": s}) for s in (0.3, 0.8, 1.0)
        ]
        listed += [("sensitivity_at_specificity", data, {"specificity": 0.5, "num_thresholds": 5})]
        listed += [("auc", data, {}), ("auc", data, {"curve": "PR"})]
        listed += [("auc", data, {"summation_method": "careful_interpolation", "curve": "PR"})]
        listed += [("auc", data, {"summation_method": "careful_interpolation"})]
        listed += [("auc", data, {"num_thresholds": 7})]
    listed += [(name, "classes", {}) for name in [*COUNTS, "precision", "recall", "accuracy"]]
    listed += [
        (name, "classes", {"num_classes": 4}) for name in ("mean_iou", "mean_per_class_accuracy")
    ]
    listed += [
        (name, "classes", {"num_classes": 6}) for name in ("mean_iou", "mean_per_class_accuracy")
    ]
    listed += [(f"mean_{name}_error", "numbers", {}) for name in ("absolute", "squared")]
    listed += [("root_mean_squared_error", "numbers", {})]
    listed += [("mean", "numbers", {}), ("mean_tensor", "numbers", {})]
    listed += [("percentage_below", "numbers", {"threshold": t}) for t in (-0.5, 0.24, 2.0)]
    listed += [("mean_relative_error", "numbers", {"normalizer": "labels"})]
    listed += [("mean_cosine_distance", "vectors", {"dim": 1})]
    for data in ("scores", "several labels", "repeated labels", "sequences"):
        for k in (1, 2, 4):
            for class_id in (None, 0, 3):
                given = {"k": k} if class_id is None else {"k": k, "class_id": class_id}
                listed += [(f"{name}_at_k", data, given) for name in ("precision", "recall")]
                listed += [("sparse_precision_at_k", data, given)] if k == 2 else []
            listed += [
                ("average_precision_at_k", data, {"k": k}),
                ("sparse_average_precision_at_k", data, {"k": k}),
            ]
    listed += [(f"{name}_at_top_k", "best classes", {}) for name in ("precision", "recall")]
    listed += [
        (f"{name}_at_top_k", "best classes", {"class_id": 2}) for name in ("precision", "recall")
    ]
    listed += [("recall_at_top_k", "best classes", {"k": 4})]
    return listed


def run(metric: str, data: str, arguments: dict[str, Any], weighted: bool) -> list[Any] | None:
    """The metric after each batch; None if TensorFlow refuses the arguments."""
    rows = 5 if metric == "mean_tensor" else None  # whose values have one shape
    with tf.Graph().as_default(), v1.Session() as session:
        places = {
            name: v1.placeholder(value.dtype, [rows, *value.shape[1:]])
            for name, value in DATA[data][0].items()
        }
        given = dict(arguments)
        if given.get("normalizer") == "labels":
            given["normalizer"] = places["labels"]
        if metric.endswith("_at_top_k"):
            given |= {"labels": places["labels"], "predictions_idx": places["predictions"]}
        elif metric in ("mean", "mean_tensor", "percentage_below"):
            given["values"] = places["predictions"]
        else:
            given |= {"labels": places["labels"], "predictions": places["predictions"]}
        if weighted:
            is_matrix = metric == "mean_cosine_distance" or data == "sequences"
            given["weights"] = places["weights"][:, None] if is_matrix else places["weights"]
        values = []
        value, update = getattr(v1.metrics, metric)(**given)
        session.run([v1.local_variables_initializer(), v1.global_variables_initializer()])
        for batch in DATA[data]:
            session.run(update, {places[name]: part[:rows] for name, part in batch.items()})
            values.append(session.run(value))
        return values


def main() -> None:
    described = [
        {"metric": metric, "data": data, "weighted": weighted, "arguments": arguments,
         "values": run(metric, data, arguments, weighted)}
        for metric, data, arguments in cases()
        for weighted in (False, True)
    ]  # fmt: skip
    data = {
        name: [{part: array(value) for part, value in batch.items()} for batch in made]
        for name, made in DATA.items()
    }
    write_json(__file__, {"tensorflow": tf.__version__, "data": data, "cases": described})


if __name__ == "__main__":
    main()
