"""The guide's programs as users write them for tf.estimator."""

from __future__ import annotations

import os
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

from benchmarks.compare.data import FLOWER_NUMBERS, TITANIC, make_flowers
from benchmarks.compare.worker import answer_requests, steps_a_second, task_and_seconds

fc = tf.feature_column
tf.get_logger().setLevel("ERROR")


def titanic(steps: int) -> None:
    """A linear classifier of three columns of a CSV file."""

    def input_fn() -> Any:
        dataset = tf.data.experimental.make_csv_dataset(
            TITANIC, batch_size=32, label_name="survived"
        )
        return dataset.cache().repeat().shuffle(500).prefetch(tf.data.AUTOTUNE)

    age = fc.numeric_column("age")
    cls = fc.categorical_column_with_vocabulary_list("class", ["First", "Second", "Third"])
    embark = fc.categorical_column_with_hash_bucket("embark_town", 32)
    model = tf.estimator.LinearClassifier(feature_columns=[embark, cls, age], n_classes=2)
    model.train(input_fn, steps=steps)


def iris(steps: int) -> None:
    """A deep classifier of four numbers."""
    flowers = make_flowers()

    def input_fn() -> Any:
        return tf.data.Dataset.from_tensor_slices(flowers).shuffle(1000).repeat().batch(256)

    numbers = [fc.numeric_column(key) for key in FLOWER_NUMBERS]
    model = tf.estimator.DNNClassifier([30, 10], numbers, n_classes=3)
    model.train(input_fn, steps=steps)


def toy(steps: int) -> None:
    """A model_fn with one dense layer."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:  # noqa: ARG001
        outputs = tf.keras.layers.Dense(5)(features["x"])
        loss = tf.reduce_mean(tf.abs(outputs - features["y"]))
        optimizer = tf.compat.v1.train.AdamOptimizer(0.1)
        step = tf.compat.v1.train.get_global_step()
        return tf.estimator.EstimatorSpec(
            mode, loss=loss, train_op=optimizer.minimize(loss, global_step=step)
        )

    def input_fn() -> Any:
        x = tf.range(10.0)[:, None]
        rows = {"x": x, "y": 5 * x + tf.range(5.0)}
        return tf.data.Dataset.from_tensor_slices(rows).repeat().batch(2)

    tf.estimator.Estimator(model_fn).train(input_fn, steps=steps)


PROGRAMS = {"titanic": titanic, "iris": iris, "toy": toy}


def main() -> None:
    """Runs one task."""
    task, _ = task_and_seconds()
    program = PROGRAMS[task["model"]]
    answer_requests(lambda: steps_a_second(program, task["steps"]))


if __name__ == "__main__":
    main()
