"""Write titanic_linear.json: tf.estimator.LinearClassifier on the Titanic passengers, step by step.

Each of "cases" is one estimator, trained from scratch, with fixed batches and nothing shuffled:

    name            what the case is about
    columns         the feature columns: "function" of tf.feature_column and its "arguments"
    arguments       further keyword arguments of the estimator; an optimizer that is not a text is
                    {"name", "arguments"}
    features        dtype of each feature; the feature "weight" is the column parch + 1
    label           "column" of the file; with "vocabulary" the label is the position of the value in
                    it (int32), without it the value itself (int32 or text)
    train           "file" in examples/data, "batch_size", "steps": batch k holds the rows
                    (k · batch_size + i) mod (rows of the file), so every batch is full
    losses          of each step, on the weights before the step
    variables       all variables after the last step, by TensorFlow's name, as nested lists
    evaluations     of the trained model: "file", "batch_size", "steps" and the "metrics"; with "steps"
                    null once over the file, whose last batch is short
    predictions     for the first "rows" rows of a "file": "values" of each key, one row per passenger

An array in "predictions" is {"dtype", "shape", "values"}; the dtype "bytes" stands for byte strings,
given as text.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from write_json import array, write_json

DATA = Path(__file__).resolve().parents[2] / "examples" / "data"
TRAIN_FILE, EVAL_FILE = "titanic_train.csv", "titanic_eval.csv"
BATCH_SIZE = 32
PREDICTED_ROWS = 20


def column(function: str, *arguments: Any) -> dict[str, Any]:
    return {"function": function, "arguments": list(arguments)}


AGE = column("numeric_column", "age")
FARE = column("numeric_column", "fare")
SEX = column("categorical_column_with_vocabulary_list", "sex", ["male", "female"])
CLASS = column("categorical_column_with_vocabulary_list", "class", ["First", "Second", "Third"])
TOWN = column("categorical_column_with_hash_bucket", "embark_town", 32)

CASES: list[dict[str, Any]] = [
    {
        "name": "survived",
        "columns": [TOWN, CLASS, AGE],
        "arguments": {"n_classes": 2},
        "features": {"embark_town": "string", "class": "string", "age": "float32"},
        "label": {"column": "survived"},
        "steps": 100,
    },
    {
        "name": "three classes",
        "columns": [SEX, AGE, FARE, TOWN],
        "arguments": {"n_classes": 3},
        "features": {"sex": "string", "age": "float32", "fare": "float32", "embark_town": "string"},
        "label": {"column": "class", "vocabulary": ["First", "Second", "Third"]},
        "steps": 30,
    },
    {
        "name": "weights and an Ftrl with all regularizations",
        "columns": [TOWN, CLASS, AGE],
        "arguments": {
            "weight_column": "weight",
            "optimizer": {
                "name": "Ftrl",
                "arguments": {
                    "learning_rate": 0.05,
                    "l1_regularization_strength": 0.01,
                    "l2_regularization_strength": 0.02,
                    "l2_shrinkage_regularization_strength": 0.01,
                    "beta": 0.1,
                },
            },
        },
        "features": {
            "embark_town": "string",
            "class": "string",
            "age": "float32",
            "weight": "float32",
        },
        "label": {"column": "survived"},
        "steps": 30,
    },
    {
        "name": "label vocabulary",
        "columns": [SEX, FARE],
        "arguments": {"label_vocabulary": ["n", "y"]},
        "features": {"sex": "string", "fare": "float32"},
        "label": {"column": "alone"},
        "steps": 30,
    },
    {
        "name": "three classes, label vocabulary, loss reduction sum",
        "columns": [SEX, AGE],
        "arguments": {
            "n_classes": 3,
            "label_vocabulary": ["Third", "First", "Second"],
            "loss_reduction": "sum",
        },
        "features": {"sex": "string", "age": "float32"},
        "label": {"column": "class"},
        "steps": 30,
    },
]


class LossRecorder(tf.estimator.SessionRunHook):
    """Keeps the loss of every step."""

    def __init__(self, loss: Any, losses: list[np.float32]) -> None:
        self.loss = loss
        self.losses = losses

    def before_run(self, run_context: Any) -> Any:
        return tf.estimator.SessionRunArgs(self.loss)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.losses.append(run_values.results)


def read(case: dict[str, Any], file: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features and labels of a whole file."""
    frame = pd.read_csv(DATA / file)
    frame["weight"] = frame["parch"] + 1
    features = {
        name: frame[name].to_numpy(object if dtype == "string" else dtype)
        for name, dtype in case["features"].items()
    }
    labels = frame[case["label"]["column"]]
    if vocabulary := case["label"].get("vocabulary"):
        labels = labels.map({value: index for index, value in enumerate(vocabulary)})
    is_text = pd.api.types.is_string_dtype(labels)
    return features, labels.to_numpy(object if is_text else np.int32)


def make_estimator(case: dict[str, Any], losses: list[np.float32]) -> Any:
    """A LinearClassifier, wrapped so that it notes the loss of every training step."""
    arguments = dict(case["arguments"])
    optimizer = arguments.get("optimizer")
    if isinstance(optimizer, dict):
        make_optimizer = getattr(tf.keras.optimizers.legacy, optimizer["name"])
        arguments["optimizer"] = make_optimizer(**optimizer["arguments"])
    columns = [
        getattr(tf.feature_column, column["function"])(*column["arguments"])
        for column in case["columns"]
    ]
    one_thread = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
    )
    config = tf.estimator.RunConfig(
        model_dir=tempfile.mkdtemp(), tf_random_seed=1, session_config=one_thread
    )
    classifier = tf.estimator.LinearClassifier(columns, config=config, **arguments)

    def model_fn(features: Any, labels: Any, mode: str, config: Any) -> Any:
        spec = classifier.model_fn(features, labels, mode, config)
        if mode != tf.estimator.ModeKeys.TRAIN:
            return spec
        hooks = [*spec.training_hooks, LossRecorder(spec.loss, losses)]
        return spec._replace(training_hooks=hooks)

    return tf.estimator.Estimator(model_fn, config=config)


def run(case: dict[str, Any]) -> dict[str, Any]:
    """The case with all that TensorFlow answers."""

    def input_fn(file: str, *, repeated: bool) -> Any:
        dataset = tf.data.Dataset.from_tensor_slices(read(case, file))
        return (dataset.repeat() if repeated else dataset).batch(BATCH_SIZE)

    def evaluate(file: str, steps: int | None) -> dict[str, Any]:
        metrics = estimator.evaluate(lambda: input_fn(file, repeated=False), steps=steps)
        return {"file": file, "batch_size": BATCH_SIZE, "steps": steps, "metrics": metrics}

    losses: list[np.float32] = []
    estimator = make_estimator(case, losses)
    estimator.train(lambda: input_fn(TRAIN_FILE, repeated=True), steps=case["steps"])
    predicted = estimator.predict(lambda: input_fn(EVAL_FILE, repeated=False))
    rows = [row for row, _ in zip(predicted, range(PREDICTED_ROWS), strict=False)]
    return {key: value for key, value in case.items() if key != "steps"} | {
        "train": {"file": TRAIN_FILE, "batch_size": BATCH_SIZE, "steps": case["steps"]},
        "losses": losses,
        "variables": {
            name: estimator.get_variable_value(name) for name in estimator.get_variable_names()
        },
        "evaluations": [evaluate(TRAIN_FILE, 10), evaluate(EVAL_FILE, None)],
        "predictions": {
            "file": EVAL_FILE,
            "rows": PREDICTED_ROWS,
            "values": {key: array([row[key] for row in rows]) for key in rows[0]},
        },
    }


def main() -> None:
    write_json(__file__, {"cases": [run(case) for case in CASES]})


if __name__ == "__main__":
    main()
