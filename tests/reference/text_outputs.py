"""Writes text_outputs.json: what tf.estimator predicts, and its SavedModel answers, where text is among the outputs.

A model_fn gives back the key of each example, a pair and a list of strings; its signatures have names of classes.
"""

from __future__ import annotations

import tempfile

import numpy as np
import tensorflow as tf
from write_json import write_json

X = [1.5, -2.0]
KEYS = ["a", "日本"]
PAIRS = [["a", "b"], ["c", ""]]
TAGS = [["x"], ["y", "z"]]


def model_fn(features, labels, mode):
    x = tf.reshape(features["x"], [-1, 1])
    logits = tf.concat([x, -x], 1)
    tags = features["tags"]
    tags = tf.sparse.to_dense(tags) if isinstance(tags, tf.SparseTensor) else tags
    predictions = {
        "key": features["key"],
        "pair": features["pair"],
        "tags": tags,
        "best": tf.gather(["no", "yes"], tf.argmax(logits, 1)),
        "logits": logits,
    }
    all_names = tf.gather(["no", "yes"], tf.tile([[0, 1]], [tf.shape(x)[0], 1]))
    outputs = {
        "serving_default": tf.estimator.export.PredictOutput(predictions),
        "named": tf.estimator.export.ClassificationOutput(logits, all_names),
        "pairs": tf.estimator.export.ClassificationOutput(classes=features["pair"]),
    }
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions, export_outputs=outputs)
    step = tf.compat.v1.train.get_global_step()
    return tf.estimator.EstimatorSpec(
        mode, loss=tf.reduce_mean(logits), train_op=tf.compat.v1.assign_add(step, 1)
    )


def input_fn():
    width = max(map(len, TAGS))
    tags = [row + [""] * (width - len(row)) for row in TAGS]
    features = {"x": np.float32(X), "key": KEYS, "pair": PAIRS, "tags": tags}
    return tf.data.Dataset.from_tensor_slices((features, [0, 1])).batch(2)


def record(row: int) -> bytes:
    def text(words):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[w.encode() for w in words]))

    number = tf.train.Feature(float_list=tf.train.FloatList(value=[X[row]]))
    named = {
        "x": number,
        "key": text([KEYS[row]]),
        "pair": text(PAIRS[row]),
        "tags": text(TAGS[row]),
    }
    return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()


def main() -> None:
    model = tf.estimator.Estimator(model_fn, tempfile.mkdtemp())
    model.train(input_fn, steps=1)
    rows = list(model.predict(input_fn))
    spec = {
        "x": tf.io.FixedLenFeature([], tf.float32),
        "key": tf.io.FixedLenFeature([], tf.string),
        "pair": tf.io.FixedLenFeature([2], tf.string),
        "tags": tf.io.VarLenFeature(tf.string),
    }
    receiver_fn = tf.estimator.export.build_parsing_serving_input_receiver_fn(spec)
    loaded = tf.saved_model.load(model.export_saved_model(tempfile.mkdtemp(), receiver_fn))
    answers = {
        name: {
            key: value.numpy()
            for key, value in signature(tf.constant([record(0), record(1)])).items()
        }
        for name, signature in loaded.signatures.items()
    }
    inputs = {"x": X, "key": KEYS, "pair": PAIRS, "tags": TAGS}
    write_json(__file__, {"inputs": inputs, "predictions": rows, "signatures": answers})


if __name__ == "__main__":
    main()
