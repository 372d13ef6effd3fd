"""Write tf_checkpoints.json and tf_checkpoints.zip: checkpoints of TensorFlow, what is in them and what follows.

The zip file has the files of each checkpoint, in a folder of its own. The JSON file holds, with the rows of
canned_traces.py,

    trained     premade estimators that were trained for some steps, then evaluated on all rows, then trained on:
                "name", "estimator", "arguments", "label" and "batch_size" as in canned_traces.py; "generation", 1 for
                tf.compat.v1.estimator and 2 for tf.estimator; "checkpoint", its path in the zip file; "metrics" of the
                evaluation; "losses" of the next 20 steps, whose batches begin with the first row again
    read        checkpoints of other kinds: "name", "checkpoint", and "values", the arrays by TensorFlow's name
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from canned_traces import (
    AGE,
    AGES,
    CITY,
    DATA,
    DAY,
    EXPONENTIAL,
    JOB,
    SCORES,
    TAG,
    WEIGHTED_TAGS,
    LossRecorder,
    adagrad,
    adam,
    call,
    crossed,
    embedding,
    ftrl,
    hashed,
    indicator,
    made,
    rmsprop,
    sgd,
)
from write_json import array, write_json

Case = dict[str, Any]

BEFORE, AFTER = 7, 20  # steps before and after the checkpoint
BATCH_SIZE = 10  # which divides the number of rows
DATE = (
    2020,
    1,
    1,
    0,
    0,
    0,
)  # of all files in the zip file, so that it does not change without need
DTYPES = [
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "complex64",
    "complex128",
]

OPTIMIZERS = {
    2: {
        "Ftrl": ftrl(learning_rate=0.1, l1_regularization_strength=0.01),
        "Adagrad": adagrad(learning_rate=0.1),
        "Adam": adam(learning_rate=0.02),
        "momentum": sgd(learning_rate=0.02, momentum=0.9),
        "RMSProp": rmsprop(learning_rate=0.01, momentum=0.5),
    },
    1: {
        "Ftrl": call("FtrlOptimizer", learning_rate=0.1, l1_regularization_strength=0.01),
        "Adagrad": call("AdagradOptimizer", learning_rate=0.1),
        "Adam": call("AdamOptimizer", learning_rate=0.02),
        "momentum": call("MomentumOptimizer", learning_rate=0.005, momentum=0.9),
        "RMSProp": call("RMSPropOptimizer", learning_rate=0.01, momentum=0.5),
    },
}
RARE_OPTIMIZERS = [
    ("Adam with decay", 2, adam(learning_rate=0.02, decay=0.05)),
    ("Adamax", 2, call("Adamax", learning_rate=0.02)),
    ("Adadelta", 2, call("Adadelta", learning_rate=0.5)),
    ("Adadelta", 1, call("AdadeltaOptimizer", learning_rate=0.5)),
    ("gradient descent", 1, call("GradientDescentOptimizer", learning_rate=0.002)),
    ("proximal Adagrad", 1, call("ProximalAdagradOptimizer", learning_rate=0.1)),
]
LINEAR = [AGE, AGES, CITY, JOB, crossed(["city", "day"], 7)]
DEEP = [AGE, indicator(DAY), embedding(JOB), embedding(CITY, 3)]
KINDS = {
    "Linear": {"feature_columns": LINEAR},
    "DNN": {"feature_columns": DEEP, "hidden_units": [4, 3]},
    "DNNLinearCombined": {
        "linear_feature_columns": LINEAR,
        "dnn_feature_columns": DEEP,
        "dnn_hidden_units": [4],
    },
    "Baseline": {},
}
LABELS = {"Classifier": "two", "Regressor": "score"}


def with_optimizer(kind: str, optimizer: Any, other: Any = None) -> dict[str, Any]:
    """The arguments of an estimator that name its optimizers."""
    if kind != "DNNLinearCombined":
        return {"optimizer": optimizer}
    return {"linear_optimizer": optimizer, "dnn_optimizer": other or optimizer}


def case(name: str, generation: int, estimator: str, label: str = "two", **arguments: Any) -> Case:
    return {
        "name": name,
        "generation": generation,
        "estimator": estimator,
        "arguments": arguments,
        "label": label,
        "batch_size": BATCH_SIZE,
    }


def grid() -> list[Case]:
    """Every premade estimator with every optimizer, in both generations."""
    return [
        case(
            f"{kind}{what} of TensorFlow {generation} with {name}",
            generation,
            kind + what,
            label,
            **arguments,
            **with_optimizer(kind, optimizer),
        )
        for generation, optimizers in OPTIMIZERS.items()
        for kind, arguments in KINDS.items()
        for what, label in LABELS.items()
        for name, optimizer in optimizers.items()
    ]


def others() -> list[Case]:
    """Further columns, options and names."""
    cases = []
    for generation, optimizers in OPTIMIZERS.items():
        of = f"of TensorFlow {generation}"
        cases += [
            case(
                f"three classes, batch normalisation {of}",
                generation,
                "DNNClassifier",
                "three",
                n_classes=3,
                batch_norm=True,
                optimizer=optimizers["Adam"],
                **KINDS["DNN"],
            ),
            case(
                f"weighted columns and two labels {of}",
                generation,
                "LinearRegressor",
                "scores",
                label_dimension=2,
                feature_columns=[WEIGHTED_TAGS, SCORES, embedding(TAG)],
                optimizer=optimizers["Ftrl"],
            ),
            case(
                f"two optimizers {of}",
                generation,
                "DNNLinearCombinedClassifier",
                **KINDS["DNNLinearCombined"],
                **with_optimizer("DNNLinearCombined", optimizers["Ftrl"], optimizers["Adagrad"]),
            ),
        ]
    sharing = {"categorical_columns": [hashed("city", 5), hashed("job", 5)], "dimension": 2}
    deep = {"hidden_units": [4]}
    return [
        *cases,
        case(
            "a partitioned linear model of TensorFlow 1",
            1,
            "LinearClassifier",
            feature_columns=[AGE, hashed("job", 13)],
            optimizer=OPTIMIZERS[1]["Ftrl"],
            partitioner=call("fixed_size_partitioner", num_shards=12),
        ),
        case(
            "partitioned embeddings of TensorFlow 1",
            1,
            "DNNLinearCombinedClassifier",
            **KINDS["DNNLinearCombined"],
            **with_optimizer("DNNLinearCombined", OPTIMIZERS[1]["Ftrl"], OPTIMIZERS[1]["Adagrad"]),
            input_layer_partitioner=call("fixed_size_partitioner", num_shards=3),
        ),
        case(
            "a shared table of TensorFlow 1",
            1,
            "DNNClassifier",
            feature_columns=[AGE, call("shared_embedding_columns", **sharing)],
            optimizer=OPTIMIZERS[1]["Adagrad"],
            **deep,
        ),
        case(
            "a shared table of TensorFlow 2, which is not trained",
            2,
            "DNNClassifier",
            feature_columns=[AGE, call("shared_embeddings", trainable=False, **sharing)],
            optimizer=OPTIMIZERS[2]["Adagrad"],
            **deep,
        ),
        case(
            "a learning rate that decays in TensorFlow 2",
            2,
            "LinearRegressor",
            "score",
            feature_columns=LINEAR,
            optimizer=sgd(learning_rate=EXPONENTIAL),
        ),
        case(
            "two optimizers without slots of TensorFlow 2",
            2,
            "DNNLinearCombinedRegressor",
            "score",
            **KINDS["DNNLinearCombined"],
            **with_optimizer("DNNLinearCombined", sgd(learning_rate=0.01), sgd(learning_rate=0.02)),
        ),
        case(
            "AMSGrad of TensorFlow 2",
            2,
            "DNNRegressor",
            "score",
            **KINDS["DNN"],
            optimizer=adam(learning_rate=0.02, amsgrad=True),
        ),
        case(
            "centered RMSProp of TensorFlow 2",
            2,
            "LinearClassifier",
            feature_columns=LINEAR,
            optimizer=rmsprop(learning_rate=0.01, centered=True),
        ),
        case(
            "centered RMSProp of TensorFlow 1",
            1,
            "LinearClassifier",
            feature_columns=LINEAR,
            optimizer=call("RMSPropOptimizer", learning_rate=0.01, centered=True),
        ),
        case(
            "columns whose names are not names of variables, of TensorFlow 2",
            2,
            "LinearClassifier",
            feature_columns=[crossed([AGES, "job"], 6), call("numeric_column", key="a b/c")],
            optimizer=OPTIMIZERS[2]["Ftrl"],
        ),
        *[
            case(
                f"{name} of TensorFlow {generation}",
                generation,
                "LinearRegressor",
                "score",
                feature_columns=LINEAR,
                optimizer=optimizer,
            )
            for name, generation, optimizer in RARE_OPTIMIZERS
        ],
    ]


# ---- the run of a case


def run(case: Case, archive: zipfile.ZipFile) -> Case:
    """The case with all that TensorFlow answers."""
    features = DATA["features"] | {"a b/c": DATA["features"]["age"]}
    labels = DATA["labels"][case["label"]]

    def input_fn(*, repeated: bool = False) -> Any:
        rows = tf.data.Dataset.from_tensor_slices((features, labels))
        return (rows.repeat() if repeated else rows).batch(case["batch_size"], drop_remainder=True)

    one_thread = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
    )
    model_dir = tempfile.mkdtemp()
    config = tf.estimator.RunConfig(
        model_dir=model_dir, tf_random_seed=3, session_config=one_thread
    )

    def estimator() -> (
        Any
    ):  # a new one for each training, as Keras's optimizers cannot be used twice
        module = tf.estimator if case["generation"] == 2 else tf.compat.v1.estimator
        with tf.Graph().as_default():  # which columns that share a table need
            arguments = flat(made(case["arguments"]))
        return getattr(module, case["estimator"])(config=config, **arguments)

    first = estimator().train(lambda: input_fn(repeated=True), steps=BEFORE)
    checkpoint = keep(first.latest_checkpoint(), case["name"], archive)
    metrics = first.evaluate(input_fn)
    recorder = LossRecorder()
    estimator().train(lambda: input_fn(repeated=True), steps=AFTER, hooks=[recorder])
    shutil.rmtree(model_dir)
    return case | {"checkpoint": checkpoint, "metrics": metrics, "losses": recorder.losses}


def flat(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with one list of columns, where a call made several columns at once."""
    return {
        key: list(
            itertools.chain.from_iterable(
                each if isinstance(each, list) else [each] for each in value
            )
        )
        if key.endswith("columns")
        else value
        for key, value in arguments.items()
    }


def keep(prefix: str, name: str, archive: zipfile.ZipFile) -> str:
    """Adds a checkpoint to the zip file, and returns its path there."""
    folder = name.replace(" ", "_").replace(",", "")
    for path in sorted(Path(prefix).parent.glob(f"{Path(prefix).name}.*")):
        if path.suffix != ".meta":
            add(archive, f"{folder}/{path.name}", path.read_bytes())
    return f"{folder}/{Path(prefix).name}"


def add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, DATE), data, zipfile.ZIP_DEFLATED)


# ---- checkpoints of other kinds


def of_all_dtypes(prefix: str) -> None:
    """A checkpoint with a variable of each dtype, and of several shapes."""
    random = np.random.RandomState(1)
    numbers = {
        dtype: tf.cast(random.randint(0, 100, (2, 3)) * (1 if "u" in dtype else -1), dtype)
        for dtype in DTYPES
    }
    words = ["", "Zürich", "x" * 200, "tab\tand\0zero"]
    more = {
        "strings/of/rank/2": tf.constant(words, shape=(2, 2)),
        "a string": tf.constant("alone"),
        "a number": tf.constant(2.5),
        "nothing": tf.zeros((0, 4)),
        "no strings": tf.zeros((0,), tf.string),
        "Größe": tf.constant([1, 2, 3]),
    }
    save(prefix, {**numbers, **more})


def save(prefix: str, tensors: dict[str, Any]) -> None:
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=list(tensors.values()),
    )


def of_slices(prefix: str) -> None:
    """A checkpoint with variables in slices: along either axis, along both, and of long dimensions."""
    matrix = np.arange(24, dtype=np.float32).reshape(6, 4)
    long = np.arange(300, dtype=np.int64)
    pieces = [
        ("rows", "6 4 0,2:-", matrix[:2]),
        ("rows", "6 4 2,4:-", matrix[2:]),
        ("columns", "6 4 -:0,1", matrix[:, :1]),
        ("columns", "6 4 -:1,3", matrix[:, 1:]),
        ("both", "6 4 0,3:0,2", matrix[:3, :2]),
        ("both", "6 4 0,3:2,2", matrix[:3, 2:]),
        ("both", "6 4 3,3:0,4", matrix[3:]),
        *[
            ("long", f"300 {start},{length}", long[start : start + length])
            for start, length in ((0, 63), (63, 1), (64, 200), (264, 36))
        ],
        ("whole", "6 4 0,6:0,4", matrix),
    ]
    names, places, tensors = zip(*pieces, strict=True)
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=places, tensors=tensors)


def of_two_files(prefix: str) -> None:
    """A checkpoint whose variables lie in two files."""
    parts = [f"{prefix}_part_{number}" for number in range(2)]
    save(parts[0], {"first": tf.constant([1.0, 2.0])})
    save(parts[1], {"second": tf.constant([[3], [4]]), "third": tf.constant(5.0)})
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=parts, destination_prefix=prefix, delete_old_dirs=False
    )


def of_many_variables(prefix: str) -> None:
    """A checkpoint whose index has several blocks."""
    save(
        prefix,
        {f"layers/{number}/bias": tf.constant(number % 100, tf.int8) for number in range(9000)},
    )


class Net(tf.Module):
    """A module with variables, some of them in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [
            tf.Variable(tf.reshape(tf.range(6.0), (2, 3)), name="kernel"),
            tf.Variable([1.0], name="bias"),
        ]
        self.scale = tf.Variable(3.0, name="scale")


def of_objects(prefix: str) -> None:
    """An object-based checkpoint with the slots of an optimizer."""
    net = Net()
    optimizer = tf.keras.optimizers.legacy.Adam(0.1)
    variables = [*net.layers, net.scale]
    optimizer.apply_gradients([(tf.ones_like(variable), variable) for variable in variables])
    tf.train.Checkpoint(net=net, optimizer=optimizer, step=tf.Variable(7, dtype=tf.int64)).write(
        prefix
    )


def of_saved_model(prefix: str) -> None:
    """The variables of a SavedModel."""
    tf.saved_model.save(Net(), str(Path(prefix).parent.parent))


def read(name: str, make: Any, archive: zipfile.ZipFile) -> dict[str, Any]:
    """A checkpoint and its values."""
    folder = Path(tempfile.mkdtemp())
    prefix = folder / ("variables/variables" if make is of_saved_model else "model.ckpt")
    prefix.parent.mkdir(exist_ok=True)
    make(str(prefix))
    reader = tf.train.load_checkpoint(str(prefix))
    names = sorted(reader.get_variable_to_shape_map())
    kept = [key for key in names if key != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    values = {key: described(reader.get_tensor(key)) for key in kept[:50]}
    if make is of_saved_model:
        add(archive, f"{name.replace(' ', '_')}/saved_model.pb", b"")
        checkpoint = keep(str(prefix), f"{name}/variables", archive)
    else:
        checkpoint = keep(str(prefix), name, archive)
    shutil.rmtree(folder)
    return {"name": name, "checkpoint": checkpoint, "variables": len(names), "values": values}


def described(value: Any) -> dict[str, Any]:
    """A value as JSON has it; complex numbers as pairs."""
    value = np.asarray(value)
    if value.dtype.kind == "c":
        pairs = np.stack([value.real, value.imag], -1)
        return {**array(pairs), "dtype": value.dtype.name}
    return array(value.astype(np.float32) if value.dtype.name == "bfloat16" else value)


READ = {
    "all dtypes": of_all_dtypes,
    "slices": of_slices,
    "two files": of_two_files,
    "many variables": of_many_variables,
    "objects": of_objects,
    "saved model": of_saved_model,
}


def main() -> None:
    path = Path(__file__).with_suffix(".zip")
    with contextlib.closing(zipfile.ZipFile(path, "w")) as archive:
        other = [read(name, make, archive) for name, make in READ.items()]
        trained = [run(case, archive) for case in grid() + others()]
    print(f"{path.name}: {path.stat().st_size:,} bytes")
    write_json(__file__, {"trained": trained, "read": other})


if __name__ == "__main__":
    main()
