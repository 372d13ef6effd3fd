"""Write rnn.json: tf.estimator's recurrent estimators, step by step.

"rows" holds ragged features as lists of lists by key, a number for each row by key, and labels; a label that is
a list of lists has one value for each step. Each case is trained on all rows in one batch, `steps` times:

    name         what the case is about
    estimator    its class in tf.estimator.experimental
    arguments    those of its constructor, but for its columns
    context      whether it has the column of numbers, "age", as context
    label        a key of "labels"
    initial      weights before the first step, by TensorFlow's name, as nested lists
    losses       of each step, on the weights before the step
    variables    all variables after the last step, without the hyper-parameters of optimizers
    metrics      of an evaluation on all rows
    predictions  of all rows, as arrays by key
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from canned_traces import LossRecorder, variables_of
from write_json import array, write_json

Case = dict[str, Any]
STEPS = 8
ROWS = {
    "ragged": {
        "watched": [[1, 2, 5], [3], [0, 4], [2, 2, 2, 1], [], [5, 0, 3]],
        "price": [[0.5, -1.0, 2.0], [0.25], [1.0, 0.125], [0.0, 0.25, 0.5, -0.75], [], [1, 2, 3]],
        "importance": [[1.0, 0.5, 2.0], [0.25], [1.0, 3.0], [0.5, 0.5, 1.0, 1.5], [], [2.0, 1.0, 1.0]],
    },
    "numbers": {
        "age": [0.125, 0.75, -0.25, 0.5, 1.0, -1.5],
        "weight": [1.0, 0.5, 2.0, 1.0, 0.25, 3.0],
        "heavy": [100, 500, 900, 2000, 50, 1000],
    },
    "labels": {
        "two": [1, 0, 1, 0, 1, 0],
        "three": [2, 0, 1, 0, 1, 2],
        "score": [0.5, -1.0, 0.25, 2.0, 0.0, 1.5],
        "two_steps": [[1, 0, 1], [0], [1, 1], [0, 0, 1, 1], [], [1, 0, 0]],
        "three_steps": [[2, 0, 1], [0], [1, 2], [0, 2, 1, 1], [], [2, 0, 0]],
    },
}  # fmt: skip
SGD = {"function": "SGD", "arguments": {"learning_rate": 0.5}}


def case(
    name: str,
    label: str = "two",
    *,
    estimator: str = "RNNClassifier",
    context: bool = False,
    **arguments: Any,
) -> Case:
    return {
        "name": name,
        "estimator": estimator,
        "arguments": arguments,
        "context": context,
        "label": label,
        "steps": STEPS,
    }


CASES = [
    case("defaults", units=[4]),
    case("simple cells", units=[4], cell_type="simple_rnn", optimizer=SGD),
    case("long short-term memory", units=[4], cell_type="lstm", optimizer=SGD),
    case("gated recurrent units", units=[4], cell_type="gru", optimizer=SGD),
    case("two layers of simple cells", units=[4, 3], cell_type="simple_rnn", optimizer=SGD),
    case("two layers of lstm", units=[4, 3], cell_type="lstm", optimizer=SGD),
    case("three layers of gru", units=[4, 3, 2], cell_type="gru", optimizer=SGD),
    case("with context", units=[4], cell_type="gru", context=True, optimizer=SGD),
    case("three classes", "three", units=[4], cell_type="lstm", n_classes=3, optimizer=SGD),
    case("weights", units=[4], cell_type="gru", weight_column="weight", optimizer=SGD),
    case("sum of losses", units=[4], cell_type="gru", loss_reduction="sum", optimizer=SGD),
    case(
        "gradients that are clipped",
        units=[4],
        cell_type="simple_rnn",
        weight_column="heavy",
        loss_reduction="sum",
    ),
    case(
        "clipped by name of another optimizer",
        units=[4],
        cell_type="gru",
        weight_column="heavy",
        loss_reduction="sum",
        optimizer="SGD",
    ),
    case(
        "every step", "two_steps", units=[4], cell_type="gru", return_sequences=True, optimizer=SGD
    ),
    case(
        "every step, three classes",
        "three_steps",
        units=[4, 3],
        cell_type="lstm",
        return_sequences=True,
        n_classes=3,
        optimizer=SGD,
    ),
    case(
        "every step with weights",
        "two_steps",
        units=[4],
        cell_type="lstm",
        return_sequences=True,
        weight_column="importance",
        optimizer=SGD,
    ),
    case(
        "every step under another key",
        "two_steps",
        units=[4],
        cell_type="gru",
        return_sequences=True,
        sequence_mask="valid",
        context=True,
        optimizer=SGD,
    ),
    case(
        "regression",
        "score",
        estimator="RNNEstimator",
        units=[4],
        cell_type="lstm",
        context=True,
        optimizer=SGD,
        head={"function": "RegressionHead", "arguments": {}},
    ),
]


def sparse(rows: list[list[Any]], dtype: Any) -> tf.SparseTensor:
    places = [[row, step] for row, steps in enumerate(rows) for step in range(len(steps))]
    values = np.array([value for steps in rows for value in steps], dtype)
    return tf.SparseTensor(places, values, [len(rows), max(map(len, rows))])


def input_fn(case: Case) -> Any:
    ragged, label = ROWS["ragged"], ROWS["labels"][case["label"]]
    features = {key: tf.constant(values) for key, values in ROWS["numbers"].items()}
    features["watched"] = sparse(ragged["watched"], np.int64)
    features["price"] = sparse(ragged["price"], np.float32)
    features["importance"] = sparse(ragged["importance"], np.float32)
    labels = sparse(label, np.int64) if isinstance(label[0], list) else tf.constant(label)
    return tf.data.Dataset.from_tensors((features, labels))


def made(value: Any) -> Any:
    if isinstance(value, dict):
        places = (tf.keras.optimizers.legacy, tf.estimator)
        actual = next(
            getattr(p, value["function"]) for p in places if hasattr(p, value["function"])
        )
        return actual(**value["arguments"])
    return value


def run(case: Case) -> Case:
    columns = tf.feature_column
    watched = columns.sequence_categorical_column_with_identity("watched", 6)
    sequence = [columns.embedding_column(watched, 3), columns.sequence_numeric_column("price")]
    context = [columns.numeric_column("age")] if case["context"] else None
    model_dir = tempfile.mkdtemp()
    estimator = getattr(tf.estimator.experimental, case["estimator"])(
        sequence_feature_columns=sequence,
        context_feature_columns=context,
        config=tf.estimator.RunConfig(model_dir=model_dir, tf_random_seed=3),
        **{name: made(value) for name, value in case["arguments"].items()},
    )
    recorder = LossRecorder()
    estimator.train(lambda: input_fn(case).repeat(), steps=case["steps"], hooks=[recorder])
    first = variables_of(str(Path(model_dir) / "model.ckpt-0"))
    last = variables_of(estimator.latest_checkpoint())
    metrics = estimator.evaluate(lambda: input_fn(case))
    rows = list(estimator.predict(lambda: input_fn(case)))
    shutil.rmtree(model_dir)
    initial = {name: value for name, value in first.items() if not name.startswith("training")}
    return case | {
        "initial": initial,
        "losses": recorder.losses,
        "variables": last,
        "metrics": metrics,
        "predictions": {key: array([row[key] for row in rows]) for key in rows[0]},
    }


if __name__ == "__main__":
    tf.compat.v1.logging.set_verbosity("ERROR")
    write_json(__file__, {"rows": ROWS, "cases": [run(each) for each in CASES]})
