"""TensorFlow's side of the comparison: tf.estimator 2.15, run by the Python of an environment of its own.

Batches are tensors before the clock starts, and are taken ahead of the step by tf.data.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import TYPE_CHECKING, Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

from benchmarks.compare.data import NUMBERS, STRINGS, make_batches, make_rows
from benchmarks.compare.worker import (
    Stopwatch,
    answer_requests,
    measure_rows,
    median_time,
    say,
    task_and_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable

fc = tf.feature_column
tf.get_logger().setLevel("ERROR")


def make_config(model_dir: str | None = None, **saving: int) -> Any:
    """How an estimator runs; it saves as `saving` says, or not at all."""
    return tf.estimator.RunConfig(
        model_dir or tempfile.mkdtemp(),
        tf_random_seed=1,
        keep_checkpoint_max=1,
        **({"save_checkpoints_secs": None, "save_checkpoints_steps": None} | saving),
    )


def make_estimator(task: dict[str, Any], config: Any) -> Any:
    """The estimator of a task."""
    numeric = [fc.numeric_column(key) for key in NUMBERS]
    hashed = [fc.categorical_column_with_hash_bucket(key, task["buckets"]) for key in STRINGS]
    embedded = [fc.embedding_column(column, 16) for column in hashed]
    if task["model"] == "linear":
        return tf.estimator.LinearClassifier(numeric + hashed, config=config)
    if task["model"] == "dnn":
        return tf.estimator.DNNClassifier([256, 128, 64], numeric + embedded, config=config)
    return tf.estimator.DNNLinearCombinedClassifier(
        linear_feature_columns=hashed,
        dnn_feature_columns=numeric + embedded,
        dnn_hidden_units=[256, 128, 64],
        config=config,
    )


class Batches(tf.estimator.SessionRunHook):
    """An endless input of batches that are tensors already, made when the session starts."""

    def __init__(self, batches: list[tuple[dict[str, Any], Any]]) -> None:
        self._batches = batches

    def input_fn(self) -> Any:
        """A dataset whose elements are whole batches."""
        self._fed = {}
        pieces = []
        keys = list(self._batches[0][0])
        for column in [*keys, None]:
            array = np.stack([f[column] if column else labels for f, labels in self._batches])
            dtype = tf.string if array.dtype.kind == "S" else array.dtype
            placeholder = tf.compat.v1.placeholder(dtype, array.shape)
            self._fed[placeholder] = array
            pieces.append(placeholder)
        *columns, labels = pieces
        features = dict(zip(keys, columns, strict=True))
        dataset = tf.data.Dataset.from_tensor_slices((features, labels)).repeat().prefetch(4)
        iterator = tf.compat.v1.data.make_initializable_iterator(dataset)
        self._initializer = iterator.initializer
        return iterator.get_next()

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Fills the dataset."""
        session.run(self._initializer, self._fed)


def input_of(task: dict[str, Any]) -> tuple[Callable[[], Any], list[Any]]:
    """The endless input of a task, and the hooks that it needs."""
    rows = task["rows"]
    if task["source"] == "batches":
        batches = Batches(make_batches(rows, task["in_memory"] // rows))
        return batches.input_fn, [batches]
    features, labels = make_rows(task["in_memory"])
    inputs = tf.compat.v1.estimator.inputs
    if task["source"] == "numpy":
        given = inputs.numpy_input_fn(
            features, labels, batch_size=rows, num_epochs=None, shuffle=False
        )
        return given, []
    import pandas as pd

    table = pd.DataFrame(
        {
            key: pd.Series(column.astype("U").tolist(), dtype=object) if key in STRINGS else column
            for key, column in features.items()
        }
    )
    given = inputs.pandas_input_fn(
        table, pd.Series(labels, table.index), batch_size=rows, num_epochs=None, shuffle=False
    )
    return given, []


class Measure(tf.estimator.SessionRunHook):
    """Measures steps."""

    def __init__(self, task: dict[str, Any], seconds: float) -> None:
        self._stopwatch = Stopwatch(task["rows"], seconds)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """A step has run."""
        if not self._stopwatch.tick():
            run_context.request_stop()


class FirstStep(tf.estimator.SessionRunHook):
    """Ends the process after the first step."""

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """The first step has run."""
        say({"first_step": time.time()})
        run_context.request_stop()


def main() -> None:
    """Runs one task."""
    task, seconds = task_and_seconds()
    what, rows = task["what"], task["rows"]
    saving = {} if what in ("train", "first step") else {"save_checkpoints_steps": 1_000_000}
    estimator = make_estimator(task, make_config(**saving))
    few = make_batches(rows, max(2, 8192 // rows))

    def few_input() -> Any:
        return tf.data.Dataset.from_tensors(few[0]).repeat(2)

    def one_row() -> Any:
        return tf.data.Dataset.from_tensors(few[0][0])

    if what == "first step":
        estimator.train(few_input, hooks=[FirstStep()])
        return
    if what in ("train", "evaluate"):
        if what == "evaluate":
            estimator.train(few_input)
        given, hooks = input_of(task)
        getattr(estimator, what)(given, hooks=[*hooks, Measure(task, seconds)])
        return
    estimator.train(few_input)
    if what == "predict one":

        def predict_one() -> None:
            list(estimator.predict(one_row))

        predict_one()
        answer_requests(lambda: median_time(predict_one, 3))
    else:
        one_by_one = what == "predict dicts"
        given, hooks = input_of(task)
        predictions = estimator.predict(given, hooks=hooks, yield_single_examples=one_by_one)
        measure_rows(predictions, 1 if one_by_one else rows, seconds)


if __name__ == "__main__":
    main()
