"""Write heads_regression_multi.json: what TensorFlow's other heads make of logits and labels.

RegressionHead, PoissonRegressionHead, LogisticRegressionHead, MultiLabelHead, MultiHead. "cases" holds, for
each, what heads_binary_multiclass.json holds:

    head, arguments  the class and its arguments. A text for "inverse_link_fn" or "loss_fn" names one of
                     FUNCTIONS; "heads" of a MultiHead are a list of such {"head", "arguments"}
    batches          each with "logits" and "labels", and "weights" and "regularization_losses" where given.
                     Labels {"lists": ...} are lists of class ids or names, for each row; labels
                     {"by_head": ...} (and such logits) are arrays by the name of a head
    losses           head.loss(...) of each batch, with mode TRAIN
    metrics          the value of each metric of all batches
    predictions      head.predictions(...) for the logits of the first batch; a MultiHead's keys are
                     "head name|key"

An array is {"dtype", "shape", "values"}; the dtype "bytes" stands for byte strings, given as text.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import tensorflow as tf
from heads_binary_multiclass import REDUCTIONS, Batch, Cases, changed, squeezed
from write_json import array, write_json

FUNCTIONS: dict[str, Any] = {
    "exp": tf.exp,
    "absolute error": lambda labels, logits: tf.abs(tf.cast(labels, tf.float32) - logits),
    "mean squared error": lambda labels, logits: tf.reduce_mean(
        tf.square(tf.cast(labels, tf.float32) - logits), axis=-1, keepdims=True
    ),
}
NAMES = ["red", "green", "blue"]


def case(name: str, head: str, arguments: dict[str, Any], batches: list[Batch]) -> dict[str, Any]:
    return {"name": f"{head}: {name}", "head": head, "arguments": arguments, "batches": batches}


def number_batches(draw: Cases, head: str, dimension: int = 1, *, weights: int = 0) -> list[Batch]:
    """Batches of 4, 5 and 6 rows; `weights` is how many an example has."""
    made = []
    for rows in (4, 5, 6):
        drawn = draw.random.normal(scale=2.0, size=(rows, dimension))
        labels = {
            "RegressionHead": np.round(drawn, 2),
            "PoissonRegressionHead": np.floor(np.abs(drawn) * 1.5),
            "LogisticRegressionHead": np.round(1 / (1 + np.exp(-drawn)), 2),
        }[head]
        batch = {
            "logits": draw.logits(rows, dimension) / np.float32(2),
            "labels": labels.astype(np.float32),
        }
        if weights:
            batch["weights"] = draw.weights(rows, weights)
        made.append(batch)
    return made


def regression_cases(draw: Cases, head: str) -> list[dict[str, Any]]:
    weighted = {"weight_column": "weights"}
    made = [case("defaults", head, {}, number_batches(draw, head))]
    for reduction in REDUCTIONS:
        argument = {"loss_reduction": reduction}
        made += [
            case(f"reduction {reduction}", head, argument, number_batches(draw, head)),
            case(
                f"reduction {reduction}, weights",
                head,
                argument | weighted,
                number_batches(draw, head, weights=1),
            ),
        ]
    made += [
        case(
            "labels and weights of shape [batch]",
            head,
            weighted,
            changed(number_batches(draw, head, weights=1), labels=squeezed, weights=squeezed),
        ),
        case(
            "weights with zeros",
            head,
            weighted,
            changed(
                number_batches(draw, head, weights=1),
                weights=lambda weights: np.where(weights < 1.5, np.float32(0), weights),
            ),
        ),
        case(
            "integer labels",
            head,
            {},
            changed(
                number_batches(draw, head),
                labels=lambda labels: np.clip(np.round(labels), 0, 1).astype(np.int64),
            ),
        ),
        case(
            "a name, regularization losses",
            head,
            {"name": "my_head"},
            [
                batch | {"regularization_losses": [0.25, 0.5 * (number + 1)]}
                for number, batch in enumerate(number_batches(draw, head))
            ],
        ),
    ]
    if head == "LogisticRegressionHead":
        return made
    two = {"label_dimension": 2}
    return [
        *made,
        case("two labels", head, two, number_batches(draw, head, 2)),
        case("two labels, weights", head, two | weighted, number_batches(draw, head, 2, weights=1)),
        case(
            "two labels, a weight for each",
            head,
            two | weighted,
            number_batches(draw, head, 2, weights=2),
        ),
        case(
            "two labels, weights, sum",
            head,
            two | weighted | {"loss_reduction": "sum"},
            number_batches(draw, head, 2, weights=1),
        ),
    ]


def only_some_regressions(draw: Cases) -> list[dict[str, Any]]:
    regression, poisson = "RegressionHead", "PoissonRegressionHead"
    return [
        case(
            "inverse link function",
            regression,
            {"inverse_link_fn": "exp"},
            number_batches(draw, regression),
        ),
        case(
            "loss function",
            regression,
            {"loss_fn": "absolute error", "label_dimension": 2, "weight_column": "weights"},
            number_batches(draw, regression, 2, weights=1),
        ),
        case(
            "without the full loss",
            poisson,
            {"compute_full_loss": False},
            number_batches(draw, poisson),
        ),
        case(
            "without the full loss, weights",
            poisson,
            {"compute_full_loss": False, "weight_column": "weights"},
            number_batches(draw, poisson, weights=1),
        ),
    ]


def label_batches(draw: Cases, *, weighted: bool = False, n_classes: int = 3) -> list[Batch]:
    made = []
    for rows in (4, 5, 6):
        batch = {
            "logits": draw.logits(rows, n_classes),
            "labels": draw.labels(2, rows, n_classes),
        }
        if weighted:
            batch["weights"] = draw.weights(rows, 1)
        made.append(batch)
    return made


def as_lists(names: list[Any]) -> Any:
    """Turns rows of 0 and 1 into lists of the names of the classes that are 1."""
    return lambda labels: {
        "lists": [[name for name, has in zip(names, row, strict=True) if has] for row in labels]
    }


def multi_label_cases(draw: Cases) -> list[dict[str, Any]]:
    head, three = "MultiLabelHead", {"n_classes": 3}
    weighted, thresholds = {"weight_column": "weights"}, {"thresholds": [0.25, 0.6]}
    vocabulary = {"label_vocabulary": NAMES}
    made = [
        case("defaults", head, three, label_batches(draw)),
        case("two classes", head, {"n_classes": 2}, label_batches(draw, n_classes=2)),
        case("thresholds", head, three | thresholds, label_batches(draw)),
        case(
            "thresholds, weights",
            head,
            three | thresholds | weighted,
            label_batches(draw, weighted=True),
        ),
        case(
            "metrics of classes",
            head,
            three | {"classes_for_class_based_metrics": [0, 2]},
            label_batches(draw),
        ),
        case(
            "metrics of classes, weights, a name",
            head,
            three | weighted | {"classes_for_class_based_metrics": [1], "name": "my_head"},
            label_batches(draw, weighted=True),
        ),
        case(
            "lists of class ids",
            head,
            three | thresholds,
            changed(label_batches(draw), labels=as_lists([0, 1, 2])),
        ),
        case(
            "lists of names",
            head,
            three | vocabulary | weighted,
            changed(label_batches(draw, weighted=True), labels=as_lists(NAMES)),
        ),
        case(
            "metrics of classes by name",
            head,
            three | vocabulary | {"classes_for_class_based_metrics": ["blue", "red"]},
            changed(label_batches(draw), labels=as_lists(NAMES)),
        ),
        case(
            "metrics of classes by id, a label vocabulary",
            head,
            three | vocabulary | {"classes_for_class_based_metrics": [1]},
            label_batches(draw),
        ),
        case(
            "labels of dtype float32",
            head,
            three,
            changed(label_batches(draw), labels=np.float32),
        ),
        case(
            "labels between 0 and 1",
            head,
            three,
            changed(label_batches(draw), labels=lambda labels: draw.weights(*labels.shape) / 4),
        ),
        case(
            "loss function",
            head,
            three | weighted | {"loss_fn": "mean squared error"},
            label_batches(draw, weighted=True),
        ),
        case(
            "regularization losses",
            head,
            three,
            [batch | {"regularization_losses": [0.125]} for batch in label_batches(draw)],
        ),
        case(
            "weights of shape [batch] with zeros",
            head,
            three | weighted | thresholds,
            changed(
                label_batches(draw, weighted=True),
                weights=lambda weights: np.where(weights < 1.5, np.float32(0), weights)[:, 0],
            ),
        ),
    ]
    for reduction in REDUCTIONS:
        argument = three | {"loss_reduction": reduction}
        made += [
            case(f"reduction {reduction}", head, argument, label_batches(draw)),
            case(
                f"reduction {reduction}, weights",
                head,
                argument | weighted,
                label_batches(draw, weighted=True),
            ),
        ]
    return made


def multi_batches(draw: Cases, *, weighted: bool = False, split: bool = False) -> list[Batch]:
    made = []
    for rows in (4, 5, 6):
        logits = draw.logits(rows, 6)
        batch: Batch = {
            "logits": {"by_head": {"b": logits[:, :1], "m": logits[:, 1:4], "r": logits[:, 4:]}}
            if split
            else logits,
            "labels": {
                "by_head": {
                    "b": draw.labels(2, rows, 1),
                    "m": draw.labels(3, rows),
                    "r": draw.logits(rows, 2),
                }
            },
        }
        if weighted:
            batch["weights"] = draw.weights(rows, 1)
        made.append(batch)
    return made


def multi_cases(draw: Cases) -> list[dict[str, Any]]:
    def heads(**more: Any) -> dict[str, Any]:
        kinds = {
            "BinaryClassHead": {"name": "b"},
            "MultiClassHead": {"n_classes": 3, "name": "m"},
            "RegressionHead": {"label_dimension": 2, "name": "r"},
        }
        return {
            "heads": [{"head": head, "arguments": given | more} for head, given in kinds.items()]
        }

    head, weighted, weights = (
        "MultiHead",
        {"weight_column": "weights"},
        {"head_weights": [2, 0.5, 1]},
    )
    return [
        case("defaults", head, heads(), multi_batches(draw)),
        case("head weights", head, heads() | weights, multi_batches(draw)),
        case("weights", head, heads(**weighted) | weights, multi_batches(draw, weighted=True)),
        case("logits by head", head, heads(), multi_batches(draw, split=True)),
        case(
            "sum", head, heads(loss_reduction="sum", **weighted), multi_batches(draw, weighted=True)
        ),
        case(
            "regularization losses",
            head,
            heads() | weights,
            [batch | {"regularization_losses": [0.25, 0.5]} for batch in multi_batches(draw)],
        ),
        case(
            "one head",
            head,
            {"heads": heads()["heads"][:1]},
            [
                {"logits": batch["logits"][:, :1], "labels": batch["labels"]}
                for batch in multi_batches(draw)
            ],
        ),
    ]


def make_head(described: dict[str, Any]) -> Any:
    arguments = dict(described["arguments"])
    for name in ("inverse_link_fn", "loss_fn"):
        if name in arguments:
            arguments[name] = FUNCTIONS[arguments[name]]
    if "heads" in arguments:
        arguments["heads"] = [make_head(head) for head in arguments["heads"]]
    return getattr(tf.estimator, described["head"])(**arguments)


def tensor(value: Any) -> Any:
    """An array, lists or arrays by head, as TensorFlow's heads take them."""
    if isinstance(value, dict) and "by_head" in value:
        return {name: tf.constant(part) for name, part in value["by_head"].items()}
    if isinstance(value, dict):
        # a dtype is needed where lists are empty
        kind = (
            tf.string
            if any(isinstance(x, str) for row in value["lists"] for x in row)
            else tf.int64
        )
        return tf.ragged.constant(value["lists"], dtype=kind, ragged_rank=1).to_sparse()
    return tf.constant(value)


def described(value: Any) -> Any:
    if isinstance(value, dict) and "by_head" in value:
        return {"by_head": {name: array(part) for name, part in value["by_head"].items()}}
    return value if isinstance(value, (dict, list)) else array(value)


def arguments_of(batch: Batch) -> dict[str, Any]:
    """The arguments of head.loss and head.update_metrics for a batch."""
    arguments = {
        "features": {"weights": tf.constant(batch.get("weights", [[0.0]]))},
        "logits": tensor(batch["logits"]),
        "labels": tensor(batch["labels"]),
    }
    if "regularization_losses" in batch:
        losses = batch["regularization_losses"]
        arguments["regularization_losses"] = [tf.constant(loss, tf.float32) for loss in losses]
    return arguments


def metrics_of(head: Any, batches: list[dict[str, Any]]) -> dict[str, Any]:
    """The metrics of all batches."""
    if isinstance(head, tf.estimator.MultiHead):
        return metrics_of_an_estimator(head, batches)
    metrics = head.metrics(batches[0].get("regularization_losses"))
    for batch in batches:
        metrics = head.update_metrics(metrics, **batch)
    return {key: metric.result().numpy() for key, metric in metrics.items()}


def metrics_of_an_estimator(head: Any, batches: list[dict[str, Any]]) -> dict[str, Any]:
    """The same from an Estimator, since MultiHead.update_metrics forgets earlier batches outside a graph."""
    keys = ("features", "logits", "labels")
    numbers = [
        tf.nest.map_structure(lambda value: value.numpy(), {key: batch[key] for key in keys})
        for batch in batches
    ]
    regularization_losses = [float(x) for x in batches[0].get("regularization_losses", [])]
    signature = tf.nest.map_structure(
        lambda value: tf.TensorSpec((None, *value.shape[1:]), value.dtype), numbers[0]
    )

    def input_fn() -> Any:
        return tf.data.Dataset.from_generator(lambda: iter(numbers), output_signature=signature)

    def model_fn(features: Any, mode: str) -> Any:
        losses = [tf.constant(loss) for loss in regularization_losses]
        return head.create_estimator_spec(
            features["features"],
            mode,
            features["logits"],
            features["labels"],
            train_op_fn=lambda loss: loss,
            regularization_losses=losses or None,
        )

    with tempfile.TemporaryDirectory() as model_dir:
        actual = tf.estimator.Estimator(model_fn, model_dir).evaluate(input_fn)
    del actual["global_step"], actual["loss"]
    return actual


def run(case: dict[str, Any]) -> dict[str, Any]:
    """The case with what TensorFlow's head answers."""
    head = make_head(case)
    batches = [arguments_of(batch) for batch in case["batches"]]
    losses = [head.loss(**batch, mode=tf.estimator.ModeKeys.TRAIN).numpy() for batch in batches]
    predictions = head.predictions(batches[0]["logits"])
    return case | {
        "batches": [
            {key: described(value) for key, value in batch.items()} for batch in case["batches"]
        ],
        "losses": losses,
        "metrics": metrics_of(head, batches),
        "predictions": {
            "|".join(key) if isinstance(key, tuple) else key: array(value)
            for key, value in predictions.items()
        },
    }


def main() -> None:
    draw = Cases(seed=2016)
    cases = [
        *regression_cases(draw, "RegressionHead"),
        *regression_cases(draw, "PoissonRegressionHead"),
        *regression_cases(draw, "LogisticRegressionHead"),
        *only_some_regressions(draw),
        *multi_label_cases(draw),
        *multi_cases(draw),
    ]
    write_json(__file__, {"cases": [run(case) for case in cases]})


if __name__ == "__main__":
    main()
