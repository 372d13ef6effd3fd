"""tf.estimator with 1,000 numeric columns: encoding them, and training a linear model.

Encoding reads its numbers from variables, as a graph without inputs is the fastest to call.
"""

from __future__ import annotations

from typing import Any

from benchmarks.compare.data import make_number_batches
from benchmarks.compare.side_tensorflow import Batches, Measure, fc, make_config, tf
from benchmarks.compare.worker import answer_requests, median_time, task_and_seconds


def main() -> None:
    """Runs one task."""
    task, seconds = task_and_seconds()
    batches = make_number_batches(task["rows"], task["columns"], 20)
    numbers = [fc.numeric_column(key) for key in batches[0][0]]
    if task["what"] == "train":
        source = Batches(batches)
        model = tf.estimator.LinearClassifier(numbers, config=make_config())
        model.train(source.input_fn, hooks=[source, Measure(task, seconds)])
        return
    layer = tf.keras.layers.DenseFeatures(numbers)
    variables = {key: tf.Variable(column[:, None]) for key, column in batches[0][0].items()}

    @tf.function
    def encode() -> Any:
        return layer({key: variable.read_value() for key, variable in variables.items()})

    encode()
    answer_requests(lambda: 1e3 * median_time(encode, 20, seconds))


if __name__ == "__main__":
    main()
