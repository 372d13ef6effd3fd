"""Write saved_models.json: what TensorFlow's SavedModels answer, parsed from serialized examples.

"features" are the columns' features by key, one value or list for each row, and "examples" the same rows
serialized, as hexadecimal text. Each case has

    name, estimator, arguments   as in canned_traces.py; of some, the head
    variables    by TensorFlow's name
    parsing      the signatures of an export with a parsing receiver: by name its method, and its inputs and
                 outputs by name with dtype and shape, in which -1 is any size
    raw          those of an export with a raw receiver
    answers      what each signature of the parsing export answers for all examples
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import tensorflow as tf
from canned_traces import call, made
from tensorflow.python.saved_model import loader_impl
from write_json import array, write_json

TOWNS = ["Basel", "Cork", "Delft"]
ROWS = 6
FEATURES: dict[str, list[Any]] = {
    "age": [22.0, 38.0, -1.5, 0.0, 1.5, 3.5],
    "town": [["Basel"], ["Cork"], ["Zürich"], [], ["Delft", "Basel"], ["日本"]],
    "group": [["x"], ["y"], ["x", "z"], ["w"], [], ["y"]],
}
LABELS: dict[str, Any] = {
    "two": [1, 0, 1, 1, 0, 0],
    "words": [[b"yes"], [b"no"], [b"yes"], [b"yes"], [b"no"], [b"no"]],
    "three": [0, 1, 2, 0, 1, 2],
    "number": [0.5, 1.5, 2.5, 0.0, 1.0, 3.0],
    "pair": [[0.5, 1.0], [1.5, 2.0], [2.5, 0.0], [0.0, 1.0], [1.0, 2.0], [3.0, 1.0]],
    "rate": [0.5, 1.0, 0.0, 0.25, 1.0, 0.75],
    "several": [[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0]],
}

AGE = call("numeric_column", key="age")
TOWN = call(
    "categorical_column_with_vocabulary_list", key="town", vocabulary_list=TOWNS, num_oov_buckets=1
)
GROUP = call("categorical_column_with_hash_bucket", key="group", hash_bucket_size=5)
CROSS = call("crossed_column", keys=["town", "group"], hash_bucket_size=7)
WIDE = [AGE, TOWN, GROUP, CROSS]
DEEP = [
    AGE,
    call("embedding_column", categorical_column=TOWN, dimension=2),
    call("indicator_column", categorical_column=GROUP),
]
NETWORK = {"feature_columns": DEEP, "hidden_units": [4, 3]}


def headed(head: str, **arguments: Any) -> dict[str, Any]:
    return {**NETWORK, "head": call(head, **arguments)}


CASES: list[tuple[str, str, dict[str, Any], Any]] = [
    ("linear classifier", "LinearClassifier", {"feature_columns": WIDE}, "two"),
    (
        "linear classifier of words",
        "LinearClassifier",
        {"feature_columns": WIDE, "label_vocabulary": ["no", "yes"]},
        "words",
    ),
    ("linear regressor", "LinearRegressor", {"feature_columns": WIDE, "label_dimension": 2}, "pair"),
    ("deep classifier of three classes", "DNNClassifier", {**NETWORK, "n_classes": 3}, "three"),
    ("deep regressor", "DNNRegressor", NETWORK, "number"),
    ("several labels", "DNNEstimator", headed("MultiLabelHead", n_classes=3), "several"),
    ("poisson regression", "DNNEstimator", headed("PoissonRegressionHead"), "number"),
    ("logistic regression", "DNNEstimator", headed("LogisticRegressionHead"), "rate"),
    (
        "several heads",
        "DNNEstimator",
        headed(
            "MultiHead",
            heads=[
                call("BinaryClassHead", name="click"),
                call("MultiClassHead", n_classes=3, name="kind"),
                call("RegressionHead", name="price", label_dimension=2),
            ],
        ),
        {"click": "two", "kind": "three", "price": "pair"},
    ),
]  # fmt: skip


def serialized() -> list[bytes]:
    records = []
    for row in range(ROWS):
        example = tf.train.Example()
        feature = example.features.feature
        feature["age"].float_list.value.append(FEATURES["age"][row])
        for key in ("town", "group"):
            feature[key].bytes_list.value.extend(word.encode() for word in FEATURES[key][row])
        records.append(example.SerializeToString(deterministic=True))
    return records


def labels_of(label: Any) -> Any:
    if isinstance(label, dict):
        return {head: np.array(LABELS[key]) for head, key in label.items()}
    return np.array(LABELS[label])


def spec_of(arguments: dict[str, Any]) -> Any:
    return tf.feature_column.make_parse_example_spec(made(arguments["feature_columns"]))


def train(estimator: Any, arguments: dict[str, Any], label: Any) -> None:
    spec = spec_of(arguments)

    def input_fn() -> Any:
        data = tf.data.Dataset.from_tensors((serialized(), labels_of(label)))
        return data.map(
            lambda records, labels: (tf.io.parse_example(records, spec), labels)
        ).repeat(3)

    estimator.train(input_fn)


def raw_receiver(spec: dict[str, Any]) -> Any:
    features = {
        "age": tf.constant([[0.0]]),
        "town": tf.constant([["", ""]]),
        "group": tf.constant([["", ""]]),
    }
    return tf.estimator.export.build_raw_serving_input_receiver_fn(
        {key: features[key] for key in spec}
    )


def described(infos: Any) -> dict[str, Any]:
    return {
        name: {
            "dtype": tf.dtypes.as_dtype(info.dtype).name,
            "shape": [size.size for size in info.tensor_shape.dim],
        }
        for name, info in sorted(infos.items())
    }


def signatures_of(path: str) -> dict[str, Any]:
    parsed = loader_impl.parse_saved_model(path)
    return {
        name: {
            "method": signature.method_name.removeprefix("tensorflow/serving/"),
            "inputs": described(signature.inputs),
            "outputs": described(signature.outputs),
        }
        for name, signature in sorted(parsed.meta_graphs[0].signature_def.items())
    }


def run(name: str, kind: str, arguments: dict[str, Any], label: Any) -> dict[str, Any]:
    tf.random.set_seed(5)
    config = tf.estimator.RunConfig(tf_random_seed=5, model_dir=tempfile.mkdtemp())
    estimator = getattr(tf.estimator, kind)(
        config=config, **{key: made(value) for key, value in arguments.items()}
    )
    train(estimator, arguments, label)
    spec = spec_of(arguments)
    parsing = estimator.export_saved_model(
        tempfile.mkdtemp(), tf.estimator.export.build_parsing_serving_input_receiver_fn(spec)
    ).decode()
    with tf.Graph().as_default():
        receiver = raw_receiver(spec)
    raw = estimator.export_saved_model(tempfile.mkdtemp(), receiver).decode()
    loaded = tf.saved_model.load(parsing)
    answers = {
        signature: {
            key: array(value.numpy())
            for key, value in sorted(ask(tf.constant(serialized())).items())
        }
        for signature, ask in sorted(loaded.signatures.items())
    }
    variables = {
        variable: estimator.get_variable_value(variable)
        for variable in estimator.get_variable_names()
        if not variable.startswith("training") and variable != "global_step"
    }
    return {
        "name": name,
        "estimator": kind,
        "arguments": arguments,
        "label": label,
        "variables": variables,
        "parsing": signatures_of(parsing),
        "raw": signatures_of(raw),
        "answers": answers,
    }


def main() -> None:
    tf.get_logger().setLevel("ERROR")
    write_json(
        __file__,
        {
            "tensorflow": tf.__version__,
            "features": FEATURES,
            "labels": LABELS,
            "examples": [record.hex() for record in serialized()],
            "cases": [run(*case) for case in CASES],
        },
    )


if __name__ == "__main__":
    main()
