"""Write tf1_defaults.json: what the canned estimators of TensorFlow 1, tf.compat.v1.estimator, learn by their defaults.

Each of "cases" is one estimator that is trained from its starting weights, batch k on the rows
(k · batch_size + i) mod (number of rows), and evaluated once over all rows in batches of the same size:

    estimator       its class
    columns         the keys of its numeric columns, of the linear model and the deep one where there are both
    hidden_units    of the deep model
    optimizer       the name of an optimizer, if it is not the default
    label           a key of "labels"
    initial         the variables of the deep model before the first step, by TensorFlow's name
    losses          of each step, on the weights before the step
    metrics         of the evaluation
"""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf
from canned_traces import LossRecorder, is_drawn, variables_of
from write_json import write_json

ROWS, BATCH_SIZE, STEPS = 48, 16, 20
KEYS = [f"x{number}" for number in range(30)]


def make_rows() -> dict[str, dict[str, np.ndarray]]:
    random = np.random.RandomState(5)
    features = {key: np.round(random.normal(size=ROWS), 2).astype(np.float32) for key in KEYS}
    score = features["x0"] - 0.5 * features["x1"] + 0.3 * features["x2"]
    return {
        "features": features,
        "labels": {"two": (score > 0.2).astype(np.int64), "score": np.round(score, 2)},
    }


DATA = make_rows()
CASES: list[dict[str, Any]] = [
    {"estimator": "LinearClassifier", "columns": [KEYS], "label": "two"},
    {"estimator": "LinearClassifier", "columns": [KEYS[:3]], "label": "two"},
    {"estimator": "LinearRegressor", "columns": [KEYS], "label": "score"},
    {"estimator": "DNNClassifier", "columns": [KEYS[:4]], "hidden_units": [5, 3], "label": "two"},
    {
        "estimator": "DNNClassifier",
        "columns": [KEYS[:4]],
        "hidden_units": [5, 3],
        "label": "two",
        "optimizer": "SGD",
    },
    {"estimator": "DNNRegressor", "columns": [KEYS[:4]], "hidden_units": [4], "label": "score"},
    {
        "estimator": "DNNLinearCombinedClassifier",
        "columns": [KEYS, KEYS[:4]],
        "hidden_units": [5],
        "label": "two",
    },
    {
        "estimator": "DNNLinearCombinedRegressor",
        "columns": [KEYS[:2], KEYS[:4]],
        "hidden_units": [5],
        "label": "score",
    },
    {"estimator": "BaselineClassifier", "columns": [], "label": "two"},
    {"estimator": "BaselineRegressor", "columns": [], "label": "score"},
]


def arguments_of(case: dict[str, Any]) -> dict[str, Any]:
    columns = [[tf.feature_column.numeric_column(key) for key in keys] for keys in case["columns"]]
    if len(columns) == 2:
        return {
            "linear_feature_columns": columns[0],
            "dnn_feature_columns": columns[1],
            "dnn_hidden_units": case["hidden_units"],
        }
    own = {key: case[key] for key in ("hidden_units", "optimizer") if key in case}
    return own | ({"feature_columns": columns[0]} if columns else {})


def run(case: dict[str, Any]) -> dict[str, Any]:
    """The case with all that TensorFlow answers."""
    keys = sorted({key for keys in case["columns"] for key in keys}) or KEYS[:1]
    features = {key: DATA["features"][key] for key in keys}

    def input_fn(*, repeated: bool = False) -> Any:
        rows = tf.data.Dataset.from_tensor_slices((features, DATA["labels"][case["label"]]))
        return (rows.repeat() if repeated else rows).batch(BATCH_SIZE, drop_remainder=True)

    model_dir = tempfile.mkdtemp()
    config = tf.estimator.RunConfig(model_dir=model_dir, tf_random_seed=3)
    kind = getattr(tf.compat.v1.estimator, case["estimator"])
    estimator = kind(config=config, **arguments_of(case))
    recorder = LossRecorder()
    estimator.train(lambda: input_fn(repeated=True), steps=STEPS, hooks=[recorder])
    drawn = variables_of(f"{model_dir}/model.ckpt-0")
    initial = {name: value for name, value in drawn.items() if is_drawn(name)}
    metrics = estimator.evaluate(input_fn)
    shutil.rmtree(model_dir)
    kept = {name: metrics[name] for name in ("loss", "average_loss")}
    return case | {"initial": initial, "losses": recorder.losses, "metrics": kept}


if __name__ == "__main__":
    content = {"rows": DATA, "batch_size": BATCH_SIZE, "cases": [run(case) for case in CASES]}
    write_json(__file__, content)
