"""TensorFlow's side of the serving benchmark: answers requests for timings, one JSON line each.

Run by `serving.py` with the Python of another environment, one that has TensorFlow 2.15.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf
from serving_batches import BUCKETS, DIMENSION, HIDDEN, MODELS, WORDS, make_batch, seconds_of

fc = tf.feature_column
tf.get_logger().setLevel("ERROR")


def column(name: str) -> Any:
    """The embedding of one feature."""
    if name.startswith("v"):
        source = fc.categorical_column_with_vocabulary_list(name, WORDS)
    else:
        source = fc.categorical_column_with_hash_bucket(name, BUCKETS)
    return fc.embedding_column(source, DIMENSION)


def saved_model(model: str) -> Any:
    """A function of a batch: the signature "predict" of a SavedModel that takes raw strings."""
    names = MODELS[model]
    estimator = tf.estimator.DNNClassifier(HIDDEN, [column(name) for name in names])
    batch = make_batch(model, 8, 0)
    estimator.train(lambda: tf.data.Dataset.from_tensors((batch, [[0]] * 8)), steps=1)
    with tf.Graph().as_default():
        examples = {name: tf.constant([[""]]) for name in names}
        receiver_fn = tf.estimator.export.build_raw_serving_input_receiver_fn(examples)
    path = estimator.export_saved_model(tempfile.mkdtemp(), receiver_fn).decode()
    loaded = tf.saved_model.load(path)
    predict = loaded.signatures["predict"]

    def answer(given: dict[str, Any]) -> Any:
        actual = predict(**{name: tf.constant(array) for name, array in given.items()})
        return actual["probabilities"].numpy(), loaded

    return answer


def main() -> None:
    """Reads requests until there are no more."""
    threads = int(sys.argv[1])  # 0: as many as TensorFlow thinks right
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    models = {model: saved_model(model) for model in MODELS}
    for line in sys.stdin:
        request = json.loads(line)
        model, rows = request["model"], request["rows"]
        batches = [make_batch(model, rows, seed) for seed in request["seeds"]]
        print(json.dumps(seconds_of(models[model], batches)), flush=True)


if __name__ == "__main__":
    main()
