"""What canned_linear.py, canned_deep.py and canned_v1.py share: rows, columns as data, and the run of a case.

A JSON file of theirs holds "rows", one table by "features" and "labels", and "cases". Each case is one
estimator that is trained from its starting weights, with fixed batches and nothing shuffled:

    name            what the case is about
    estimator       its class in tf.estimator
    generation      1 where it is the class in tf.compat.v1.estimator: optimizers are then those of tf.compat.v1.train,
                    and "variables" has no slots
    arguments       its keyword arguments. What has to be called first, a column, a head, an optimizer,
                    a schedule, is {"function": name, "arguments": keyword arguments}, and may hold
                    others; a function as such is {"function": name} alone
    features        the keys of the features that it is given; without it, all
    label           a key of "labels", or keys by the name of the head in a multi-head
    batch_size      batch k of the training holds the rows (k · batch_size + i) mod (number of rows);
                    evaluation goes once over all rows, so that its last batch is short unless the
                    size divides them. A size that does is known to TensorFlow's graph, another is not
    steps           of the training
    starts_trained  true where training draws random masks and cannot be repeated: then "initial" is
                    what that training led to, and there are no "losses"
    initial         the variables before the first step that are not what they always are, by
                    TensorFlow's name, as nested lists
    losses          of each step, on the weights before the step
    variables       all variables after the last step, without the hyper-parameters of optimizers
    metrics         of the evaluation
    predictions     of the first five rows, as arrays by their key

An array is {"dtype", "shape", "values"}; the dtype "bytes" stands for byte strings, given as text.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from write_json import array, write_json

Case = dict[str, Any]

ROWS = 50
PREDICTED_ROWS = 5
BATCH_SIZE = 8
STEPS = 20
PLACES = (
    tf.feature_column,
    tf.keras.optimizers.legacy,
    tf.keras.optimizers.schedules,
    tf.compat.v1.train,
    tf.estimator,
    tf.compat.v1.feature_column,
    tf.compat.v1.train,
    tf.compat.v1,
)
ESTIMATORS = {1: tf.compat.v1.estimator, 2: tf.estimator}
SLOT_OF_TF1 = re.compile(
    r"/(Adadelta|Adagrad|Adam|Ftrl|Momentum|ProximalAdagrad|RMSProp)(_\d+)?$|beta\d_power"
)
CITIES = ["Basel", "Cork", "Delft", "Essen", "Faro"]
JOBS = ["baker", "cook", "judge", "pilot", "tailor", "vet", "weaver"]
TAGS = ["blue", "calm", "dry", "green", "light", "mild"]


# ---- the rows


def make_rows() -> dict[str, dict[str, np.ndarray]]:
    """A table of people: features by key, labels by key, of which each depends on the features."""
    random = np.random.RandomState(7)

    def numbers(*shape: int) -> np.ndarray:
        return np.round(random.normal(size=(ROWS, *shape)), 2).astype(np.float32)

    def pick(words: list[str]) -> np.ndarray:
        return np.array(words, object)[random.randint(0, len(words), ROWS)]

    def positive() -> np.ndarray:
        return np.round(random.uniform(0.2, 2.0, (ROWS, 1)), 2).astype(np.float32)

    features = {
        "age": numbers(),
        "height": numbers(1),
        "scores": numbers(3),
        "city": pick([*CITIES, "Genoa"]),
        "job": pick(JOBS),
        "day": random.randint(0, 7, ROWS),
        "account": random.randint(0, 1000, (ROWS, 1)),
        "tags": padded(random, TAGS, 3, ""),
        "codes": padded(random, [0, 1, 2, 3, 4, 5], 2, -1),
        "weight": positive(),
        "count": random.randint(1, 4, ROWS),
    }
    tag_weights = np.round(random.uniform(0.2, 2.0, (ROWS, 3)), 2).astype(np.float32)
    features["tag_weights"] = np.where(features["tags"] == "", np.float32(0), tag_weights)
    every_third = np.arange(tag_weights.size).reshape(tag_weights.shape) % 3 == 1
    features["signed_tag_weights"] = features["tag_weights"] * np.where(
        every_third, np.float32(-1), np.float32(1)
    )
    features["weight_or_zero"] = np.where(
        random.uniform(size=(ROWS, 1)) < 0.2, np.float32(0), features["weight"]
    )
    return {"features": features, "labels": make_labels(random, features)}


def padded(
    random: np.random.RandomState, values: list[Any], width: int, padding: Any
) -> np.ndarray:
    """Rows of 0 to `width` values, filled up with `padding`."""
    drawn = np.array(values, object)[random.randint(0, len(values), (ROWS, width))]
    lengths = random.randint(0, width + 1, (ROWS, 1))
    filled = np.where(np.arange(width) < lengths, drawn, padding)
    return filled if isinstance(padding, str) else filled.astype(np.int64)


def make_labels(
    random: np.random.RandomState, features: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    mean = 0.7 * features["age"] - 0.5 * features["scores"][:, 0] + 0.4 * (features["day"] > 3)
    score = np.round(mean + 0.5 * random.normal(size=ROWS), 2).astype(np.float32)
    second = np.round(0.5 * features["height"][:, 0] - score, 2).astype(np.float32)
    two = (score > 0.2).astype(np.int64)
    three = np.digitize(score, [-0.4, 0.6])
    several = np.stack([score > 0, second > 0, score + second > 0.3], axis=1)
    return {
        "two": two,
        "two_words": np.array(["no", "yes"], object)[two][:, None],
        "three": three[:, None],
        "three_words": np.array(["low", "middle", "high"], object)[three],
        "score": score,
        "scores": np.stack([score, second], axis=1),
        "events": np.maximum(np.round(np.exp(score)), 0).astype(np.float32)[:, None],
        "share": np.round(1 / (1 + np.exp(-2 * score)), 2).astype(np.float32)[:, None],
        "several": several.astype(np.int64),
    }


DATA = make_rows()


# ---- what a case is written with


def call(function: str, **arguments: Any) -> dict[str, Any]:
    return {"function": function, "arguments": arguments}


def function(name: str) -> dict[str, Any]:
    return {"function": name}


def words(key: str, vocabulary: list[Any], **arguments: Any) -> dict[str, Any]:
    return call(
        "categorical_column_with_vocabulary_list", key=key, vocabulary_list=vocabulary, **arguments
    )


def hashed(key: str, size: int, **arguments: Any) -> dict[str, Any]:
    return call("categorical_column_with_hash_bucket", key=key, hash_bucket_size=size, **arguments)


def identity(key: str, num_buckets: int, **arguments: Any) -> dict[str, Any]:
    return call("categorical_column_with_identity", key=key, num_buckets=num_buckets, **arguments)


def crossed(keys: list[Any], size: int, **arguments: Any) -> dict[str, Any]:
    return call("crossed_column", keys=keys, hash_bucket_size=size, **arguments)


def indicator(source: dict[str, Any]) -> dict[str, Any]:
    return call("indicator_column", categorical_column=source)


def embedding(source: dict[str, Any], dimension: int = 2, **arguments: Any) -> dict[str, Any]:
    return call("embedding_column", categorical_column=source, dimension=dimension, **arguments)


AGE = call("numeric_column", key="age")
HEIGHT = call("numeric_column", key="height")
SCORES = call("numeric_column", key="scores", shape=[3])
CITY = words("city", CITIES)
JOB = hashed("job", 9)
DAY = identity("day", 7)
TAG = words("tags", TAGS)
CODES = identity("codes", 6)
AGES = call("bucketized_column", source_column=AGE, boundaries=[-1.0, 0.0, 0.75])
WEIGHTED_TAGS = call(
    "weighted_categorical_column", categorical_column=TAG, weight_feature_key="tag_weights"
)
SIGNED_TAGS = call(
    "weighted_categorical_column", categorical_column=TAG, weight_feature_key="signed_tag_weights"
)


def ftrl(**arguments: Any) -> dict[str, Any]:
    return call("Ftrl", **arguments)


def adagrad(**arguments: Any) -> dict[str, Any]:
    return call("Adagrad", **arguments)


def adam(**arguments: Any) -> dict[str, Any]:
    return call("Adam", **arguments)


def rmsprop(**arguments: Any) -> dict[str, Any]:
    return call("RMSprop", **arguments)


def sgd(**arguments: Any) -> dict[str, Any]:
    return call("SGD", **arguments)


EXPONENTIAL = call(
    "ExponentialDecay", initial_learning_rate=0.3, decay_steps=5, decay_rate=0.7, staircase=False
)
STAIRCASE = call(
    "ExponentialDecay", initial_learning_rate=0.2, decay_steps=4, decay_rate=0.5, staircase=True
)
PIECEWISE = call("PiecewiseConstantDecay", boundaries=[6, 12], values=[0.3, 0.1, 0.02])


def case(
    name: str,
    estimator: str,
    label: Any = "two",
    *,
    steps: int = STEPS,
    batch_size: int = BATCH_SIZE,
    features: list[str] | None = None,
    starts_trained: bool = False,
    **arguments: Any,
) -> Case:
    """A case; `arguments` are those of the estimator."""
    made: Case = {"name": name, "estimator": estimator, "arguments": arguments}
    if features is not None:
        made["features"] = features
    made |= {"label": label, "batch_size": batch_size, "steps": steps}
    return made | ({"starts_trained": True} if starts_trained else {})


# ---- the run of a case


def made(described: Any) -> Any:
    """The object that data describe."""
    if isinstance(described, list):
        return [made(item) for item in described]
    if not isinstance(described, dict):
        return described
    if "function" not in described:
        return {key: made(item) for key, item in described.items()}
    name = described["function"]
    if "arguments" not in described:
        return getattr(tf.nn, name)
    if name.endswith("Optimizer"):  # of TensorFlow 1, which is made in the graph of the model
        return lambda: getattr(tf.compat.v1.train, name)(**made(described["arguments"]))
    arguments = {key: made(item) for key, item in described["arguments"].items()}
    if name.endswith("_decay"):
        arguments["global_step"] = tf.compat.v1.train.get_global_step()
    if name == "piecewise_constant":
        arguments["x"] = tf.compat.v1.train.get_global_step()
    if "dtype" in arguments:
        arguments["dtype"] = tf.as_dtype(arguments["dtype"])
    return next(getattr(place, name) for place in PLACES if hasattr(place, name))(**arguments)


class LossRecorder(tf.estimator.SessionRunHook):
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.losses: list[np.float32] = []

    def begin(self) -> None:
        self.loss = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.LOSSES)[-1]

    def before_run(self, run_context: Any) -> Any:
        return tf.estimator.SessionRunArgs(self.loss)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.losses.append(run_values.results)


def variables_of(checkpoint: str) -> dict[str, np.ndarray]:
    """The variables of a checkpoint, but for the hyper-parameters of optimizers."""
    reader = tf.train.load_checkpoint(checkpoint)
    names = sorted(reader.get_variable_to_shape_map())
    values = {name: reader.get_tensor(name) for name in names if not SLOT_OF_TF1.search(name)}
    return {
        name: value
        for name, value in values.items()
        if value.ndim or name == "global_step" or name.endswith("/iter")
    }


def is_drawn(name: str) -> bool:
    """Whether a variable of the starting checkpoint is random."""
    return not name.startswith("training") and name.endswith(("/kernel", "/embedding_weights"))


def run(case: Case) -> Case:
    """The case with all that TensorFlow answers."""
    keys = case.get("features", list(DATA["features"]))
    features = {key: DATA["features"][key] for key in keys}
    label, size = case["label"], case["batch_size"]
    labels = (
        {head: DATA["labels"][key] for head, key in label.items()}
        if isinstance(label, dict)
        else DATA["labels"][label]
    )

    def input_fn(*, repeated: bool = False) -> Any:
        dataset = tf.data.Dataset.from_tensor_slices((features, labels))
        return (dataset.repeat() if repeated else dataset).batch(
            size, drop_remainder=ROWS % size == 0
        )

    one_thread = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
    )
    model_dir = tempfile.mkdtemp()
    config = tf.estimator.RunConfig(
        model_dir=model_dir, tf_random_seed=3, session_config=one_thread
    )
    kind = getattr(ESTIMATORS[case.get("generation", 2)], case["estimator"])
    estimator = kind(config=config, **made(case["arguments"]))
    recorder = LossRecorder()
    estimator.train(lambda: input_fn(repeated=True), steps=case["steps"], hooks=[recorder])
    final = variables_of(estimator.latest_checkpoint())
    if case.get("starts_trained"):
        trace = {"initial": final}
    else:
        drawn = variables_of(str(Path(model_dir) / "model.ckpt-0"))
        initial = {name: value for name, value in drawn.items() if is_drawn(name)}
        trace = {"initial": initial, "losses": recorder.losses, "variables": final}
    metrics = estimator.evaluate(input_fn)
    predicted = estimator.predict(input_fn)
    rows = [row for row, _ in zip(predicted, range(PREDICTED_ROWS), strict=False)]
    shutil.rmtree(model_dir)
    predictions = {name_of(key): array([row[key] for row in rows]) for key in rows[0]}
    return case | trace | {"metrics": metrics, "predictions": predictions}


def name_of(key: Any) -> str:
    """The key of a prediction; a multi-head's are pairs."""
    return key if isinstance(key, str) else "/".join(key)


def write(script: str, cases: list[Case]) -> None:
    """Runs the cases and writes them with the rows."""
    names = [case["name"] for case in cases]
    assert len(names) == len(set(names)), "two cases of one name"
    described = {
        part: {key: array(value) for key, value in arrays.items()} for part, arrays in DATA.items()
    }
    write_json(script, {"rows": described, "cases": [run(case) for case in cases]})
