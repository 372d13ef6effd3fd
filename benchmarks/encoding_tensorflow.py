"""TensorFlow's side of the encoding benchmark: answers requests for timings, one JSON line each.

Run by `encoding.py` with the Python of another environment, one that has TensorFlow 2.15.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf
from batches import BUCKETS, CROSSES, DIMENSION, NUMBERS, STRINGS, make_batches
from tensorflow.python.feature_column import feature_column_v2 as internal

fc = tf.feature_column
tf.get_logger().setLevel("ERROR")


def columns() -> tuple[list[Any], list[Any]]:
    """Numeric and categorical columns."""
    numeric = [fc.numeric_column(name) for name in NUMBERS]
    hashed = [fc.categorical_column_with_hash_bucket(name, BUCKETS) for name in STRINGS]
    crossed = [fc.crossed_column(list(keys), BUCKETS) for keys in CROSSES]
    return numeric, hashed + crossed


def tasks() -> dict[str, Any]:
    """What is timed, by name: functions of a dict of tensors."""
    numeric, categorical = columns()
    embedded = [fc.embedding_column(column, DIMENSION) for column in categorical]
    dense = tf.keras.layers.DenseFeatures(numeric + embedded)
    signature = {name: tf.TensorSpec([None, 1], tf.string) for name in STRINGS}
    signature |= {name: tf.TensorSpec([None, 1], tf.float32) for name in NUMBERS}

    def linear(*tensors: Any) -> Any:
        features = dict(zip(signature, tensors, strict=True))
        return tf.compat.v1.feature_column.linear_model(features, numeric + categorical)

    def encode(features: Any) -> Any:
        cache = internal.FeatureTransformationCache(features)
        return [cache.get(column, None) for column in numeric + categorical]

    # The linear model makes its variables inside, which tf.function does not allow.
    wrapped = tf.compat.v1.wrap_function(linear, list(signature.values()))
    return {
        "encode": tf.function(encode, [signature]),
        "DenseFeatures": tf.function(dense, [signature]),
        "linear model": lambda features: wrapped(*features.values()),
    }


def main() -> None:
    """Reads requests until there are no more."""
    threads = int(sys.argv[1])  # 0: as many as TensorFlow thinks right
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    timed = tasks()
    for line in sys.stdin:
        request = json.loads(line)
        batches = [
            {name: tf.constant(column[:, None]) for name, column in batch.items()}
            for batch in make_batches(request["rows"], request["count"], request["seed"])
        ]
        rates = {}
        for name, function in timed.items():
            function(batches[0])  # traced before the clock starts
            start = time.perf_counter()
            for batch in batches:
                function(batch)
            seconds = time.perf_counter() - start
            rates[name] = request["rows"] * len(batches) / seconds
        print(json.dumps(rates), flush=True)


if __name__ == "__main__":
    main()
