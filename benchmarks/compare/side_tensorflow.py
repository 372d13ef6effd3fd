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
    Requests,
    Stopwatch,
    measure_calls,
    measure_rows,
    say,
    task_and_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable

fc = tf.feature_column
tf.get_logger().setLevel("ERROR")


def make_estimator(task: dict[str, Any]) -> Any:
    """The estimator of a task."""
    numeric = [fc.numeric_column(key) for key in NUMBERS]
    hashed = [fc.categorical_column_with_hash_bucket(key, task["buckets"]) for key in STRINGS]
    embedded = [fc.embedding_column(column, 16) for column in hashed]
    config = tf.estimator.RunConfig(
        tempfile.mkdtemp(),
        tf_random_seed=1,
        save_checkpoints_secs=None,
        save_checkpoints_steps=None if task["what"] in ("train", "first step") else 1_000_000,
        keep_checkpoint_max=1,
    )
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

    def __init__(self, task: dict[str, Any]) -> None:
        self._batches = make_batches(task["rows"], task["in_memory"] // task["rows"])

    def input_fn(self) -> Any:
        """A dataset whose elements are whole batches."""
        self._fed = {}
        pieces = []
        for column in [*STRINGS, *NUMBERS, None]:
            array = np.stack([f[column] if column else labels for f, labels in self._batches])
            dtype = tf.string if array.dtype.kind == "S" else array.dtype
            placeholder = tf.compat.v1.placeholder(dtype, array.shape)
            self._fed[placeholder] = array
            pieces.append(placeholder)
        *columns, labels = pieces
        features = dict(zip([*STRINGS, *NUMBERS], columns, strict=True))
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
        batches = Batches(task)
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


class SaveTimes(tf.estimator.CheckpointSaverListener):
    """How long checkpoints take."""

    def before_save(self, session: Any, global_step_value: int) -> None:
        """The clock starts."""
        self._start = time.perf_counter()

    def after_save(self, session: Any, global_step_value: int) -> None:
        """The clock stops."""
        self.last = time.perf_counter() - self._start


def main() -> None:
    """Runs one task."""
    task, seconds = task_and_seconds()
    estimator = make_estimator(task)
    what, rows = task["what"], task["rows"]
    few = make_batches(rows, max(2, 8192 // rows))

    def few_input() -> Any:
        return tf.data.Dataset.from_tensors(few[0]).repeat(2)

    def one_row() -> Any:
        return tf.data.Dataset.from_tensors(few[0][0])

    if what == "first step":
        estimator.train(few_input, hooks=[FirstStep()])
        return
    if what == "checkpoint":
        save_times(estimator, few_input)
        return
    if what in ("train", "evaluate"):
        if what == "evaluate":
            estimator.train(few_input)
        given, hooks = input_of(task)
        getattr(estimator, what)(given, hooks=[*hooks, Measure(task, seconds)])
        return
    estimator.train(few_input)
    if what == "predict one":
        measure_calls(lambda: list(estimator.predict(one_row)), 3, 0)
    else:
        one_by_one = what == "predict dicts"
        given, hooks = input_of(task)
        found = estimator.predict(given, hooks=hooks, yield_single_examples=one_by_one)
        measure_rows(found, 1 if one_by_one else rows, seconds)


def save_times(estimator: Any, input_fn: Any) -> None:
    """Answers requests with the time that a checkpoint takes."""
    requests, listener = Requests(), SaveTimes()
    estimator.train(input_fn, steps=1)
    while requests.wait():
        estimator.train(input_fn, steps=1, saving_listeners=[listener])
        say({"value": listener.last})
    requests.end()


if __name__ == "__main__":
    main()
