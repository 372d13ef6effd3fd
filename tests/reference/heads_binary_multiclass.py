"""Write heads_binary_multiclass.json: losses, metrics and predictions of two heads of tf.estimator.

Each of "cases" is one head that meets a few batches:

    name            what the case is about
    head            "BinaryClassHead" or "MultiClassHead"
    arguments       keyword arguments of the constructor; a loss reduction is given as TensorFlow's text
    batches         the batches in order, each with "logits" and "labels", "weights" where the head has
                    the weight column "weights", and "regularization_losses" (numbers) where given
    losses          head.loss(...) of each batch, with mode TRAIN
    metrics         the value of each metric after head.update_metrics(...) with all batches
    predictions     head.predictions(...) for the logits of the first batch, all keys

"refused" lists heads, and heads with a batch, that TensorFlow refuses with the given "error".

"auc" holds cases for the two AUC metrics alone, with predictions instead of logits, because a
prediction at one of the 200 thresholds, or next to it, says more than a logit can:
"batches" of "predictions", "labels" and perhaps "weights", and the areas "roc" and "pr".

An array is {"dtype", "shape", "values"}; the dtype "bytes" stands for byte strings, given as text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from write_json import array, write_json

Batch = dict[str, Any]

BINARY = "BinaryClassHead"
MULTI = "MultiClassHead"
REDUCTIONS = ["sum_over_batch_size", "sum", "auto"]
WORDS = {2: ["no", "yes"], 3: ["First", "Second", "Third"]}


class Cases:
    """Draws batches of small size, always the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.RandomState(seed)

    def logits(self, *shape: int) -> np.ndarray:
        return np.round(self.random.normal(scale=2.0, size=shape), 2).astype(np.float32)

    def labels(self, n_classes: int, *shape: int) -> np.ndarray:
        return self.random.randint(0, n_classes, size=shape)

    def weights(self, *shape: int) -> np.ndarray:
        return np.round(self.random.uniform(0.1, 3.0, size=shape), 2).astype(np.float32)

    def batches(self, n_classes: int, *, weighted: bool = False, count: int = 3) -> list[Batch]:
        """`count` batches of 5, 6, 7 … rows; labels (and weights) of shape [batch, 1]."""
        logits_dimension = 1 if n_classes == 2 else n_classes
        made = []
        for rows in range(5, 5 + count):
            batch = {
                "logits": self.logits(rows, logits_dimension),
                "labels": self.labels(n_classes, rows, 1),
            }
            if weighted:
                batch["weights"] = self.weights(rows, 1)
            made.append(batch)
        return made


def changed(batches: list[Batch], **changes: Any) -> list[Batch]:
    """The batches with each named array passed through a function."""
    return [
        batch | {key: change(batch[key]) for key, change in changes.items()} for batch in batches
    ]


def squeezed(value: np.ndarray) -> np.ndarray:
    return value[..., 0]


def as_words(n_classes: int) -> Any:
    return lambda labels: np.array(WORDS[n_classes], dtype=object)[labels].astype(object)


def common_cases(draw: Cases, head: str, n_classes: int) -> list[dict[str, Any]]:
    """What both heads are asked."""
    first = {} if head == BINARY else {"n_classes": n_classes}
    weighted = first | {"weight_column": "weights"}
    cases = [
        {"name": "defaults", "arguments": first, "batches": draw.batches(n_classes)},
        {
            "name": "weights",
            "arguments": weighted,
            "batches": draw.batches(n_classes, weighted=True),
        },
    ]
    for reduction in REDUCTIONS:
        argument = {"loss_reduction": reduction}
        cases += [
            {
                "name": f"loss reduction {reduction}",
                "arguments": first | argument,
                "batches": draw.batches(n_classes),
            },
            {
                "name": f"loss reduction {reduction}, weights",
                "arguments": weighted | argument,
                "batches": draw.batches(n_classes, weighted=True),
            },
        ]
    cases += [
        {
            "name": "labels of shape [batch]",
            "arguments": first,
            "batches": changed(draw.batches(n_classes), labels=squeezed),
        },
        {
            "name": "labels and weights of shape [batch]",
            "arguments": weighted,
            "batches": changed(
                draw.batches(n_classes, weighted=True), labels=squeezed, weights=squeezed
            ),
        },
        {
            "name": "labels of dtype int32",
            "arguments": first,
            "batches": changed(draw.batches(n_classes), labels=np.int32),
        },
        {
            "name": "integer weights",
            "arguments": weighted,
            "batches": changed(draw.batches(n_classes, weighted=True), weights=np.int64),
        },
        {
            "name": "weights with zeros",
            "arguments": weighted,
            "batches": changed(
                draw.batches(n_classes, weighted=True),
                weights=lambda weights: np.where(weights < 1.5, np.float32(0), weights),
            ),
        },
        {
            "name": "all weights zero",
            "arguments": weighted,
            "batches": changed(draw.batches(n_classes, weighted=True), weights=np.zeros_like),
        },
        {
            "name": "a whole batch of weight zero among others",
            "arguments": weighted,
            "batches": changed(
                draw.batches(n_classes, weighted=True, count=1), weights=np.zeros_like
            )
            + draw.batches(n_classes, weighted=True),
        },
        {
            "name": "regularization losses",
            "arguments": first,
            "batches": [
                batch | {"regularization_losses": [0.25, 0.5 * (number + 1)]}
                for number, batch in enumerate(draw.batches(n_classes))
            ],
        },
        {
            "name": "a name",
            "arguments": weighted | {"name": "my_head"},
            "batches": [
                batch | {"regularization_losses": [0.125]}
                for batch in draw.batches(n_classes, weighted=True)
            ],
        },
        {
            "name": "label vocabulary",
            "arguments": first | {"label_vocabulary": WORDS[n_classes]},
            "batches": changed(draw.batches(n_classes), labels=as_words(n_classes)),
        },
        {
            "name": "label vocabulary, labels of shape [batch], weights",
            "arguments": weighted | {"label_vocabulary": WORDS[n_classes]},
            "batches": changed(
                changed(draw.batches(n_classes, weighted=True), labels=as_words(n_classes)),
                labels=squeezed,
            ),
        },
        {
            "name": "saturated logits",
            "arguments": first,
            "batches": changed(
                draw.batches(n_classes), logits=lambda logits: np.sign(logits) * np.float32(100)
            ),
        },
        {
            "name": "tied logits",
            "arguments": first,
            "batches": changed(draw.batches(n_classes), logits=np.zeros_like),
        },
        {
            "name": "one row",
            "arguments": first,
            "batches": [
                {key: value[:1] for key, value in batch.items()}
                for batch in draw.batches(n_classes, count=1)
            ],
        },
        {
            "name": "logits of three dimensions",
            "arguments": weighted,
            "batches": [
                {
                    "logits": draw.logits(3, 2, 1 if n_classes == 2 else n_classes),
                    "labels": draw.labels(n_classes, 3, 2, 1),
                    "weights": draw.weights(3, 2, 1),
                }
                for _ in range(2)
            ],
        },
    ]
    return [{"name": case["name"], "head": head} | case for case in cases]


def binary_cases(draw: Cases) -> list[dict[str, Any]]:
    thresholds = {"thresholds": [0.3, 0.9]}
    weighted = {"weight_column": "weights"}
    cases = [
        {"name": "thresholds", "arguments": thresholds, "batches": draw.batches(2)},
        {
            "name": "thresholds, weights",
            "arguments": thresholds | weighted,
            "batches": draw.batches(2, weighted=True),
        },
        {
            "name": "a prediction at a threshold",
            "arguments": {"thresholds": [0.5]},
            "batches": changed(
                draw.batches(2), logits=lambda logits: np.where(logits < 1, np.float32(0), logits)
            ),
        },
        {
            "name": "three thresholds, a name, a label vocabulary",
            "arguments": {
                "thresholds": (0.25, 0.5, 0.75),
                "name": "my_head",
                "label_vocabulary": WORDS[2],
            },
            "batches": changed(draw.batches(2), labels=as_words(2)),
        },
        {
            "name": "all labels positive",
            "arguments": thresholds,
            "batches": changed(draw.batches(2), labels=np.ones_like),
        },
        {
            "name": "all labels negative",
            "arguments": thresholds,
            "batches": changed(draw.batches(2), labels=np.zeros_like),
        },
        {
            "name": "labels of dtype float32",
            "arguments": {},
            "batches": changed(draw.batches(2), labels=np.float32),
        },
        {
            "name": "labels between 0 and 1",
            "arguments": {},
            "batches": changed(
                draw.batches(2), labels=lambda labels: draw.weights(*labels.shape) / 4
            ),
        },
        {
            "name": "few distinct logits",
            "arguments": {},
            "batches": changed(draw.batches(2), logits=np.round),
        },
        {
            "name": "many rows",
            "arguments": weighted | {"thresholds": [0.1, 0.6]},
            "batches": [
                {
                    "logits": draw.logits(rows, 1),
                    "labels": draw.labels(2, rows, 1),
                    "weights": draw.weights(rows, 1),
                }
                for rows in (60, 80, 20)
            ],
        },
    ]
    return [{"name": case["name"], "head": BINARY} | case for case in cases]


def multi_class_cases(draw: Cases) -> list[dict[str, Any]]:
    cases = [
        {"name": "five classes", "arguments": {"n_classes": 5}, "batches": draw.batches(5)},
        {
            "name": "a class without labels",
            "arguments": {"n_classes": 3},
            "batches": changed(draw.batches(3), labels=lambda labels: np.minimum(labels, 1)),
        },
        {
            "name": "two highest logits tied",
            "arguments": {"n_classes": 3},
            "batches": changed(draw.batches(3), logits=lambda logits: np.minimum(logits, 0)),
        },
    ]
    return [{"name": case["name"], "head": MULTI} | case for case in cases]


def refused_cases() -> list[dict[str, Any]]:
    one = np.zeros((2, 1), np.float32)
    three = np.zeros((2, 3), np.float32)
    cases: list[tuple[str, str, dict[str, Any], Batch | None]] = [
        ("loss reduction none", BINARY, {"loss_reduction": "none"}, None),
        ("loss reduction none", MULTI, {"n_classes": 3, "loss_reduction": "none"}, None),
        ("a threshold of 0", BINARY, {"thresholds": [0.0, 0.5]}, None),
        ("a threshold of 1", BINARY, {"thresholds": [0.5, 1.0]}, None),
        ("a label vocabulary that is a text", BINARY, {"label_vocabulary": "ny"}, None),
        ("two classes", MULTI, {"n_classes": 2}, None),
        (
            "a label vocabulary of another length",
            MULTI,
            {"n_classes": 3, "label_vocabulary": ["a"]},
            None,
        ),
        ("a label above 1", BINARY, {}, {"logits": one, "labels": np.array([[0], [2]])}),
        ("a label below 0", BINARY, {}, {"logits": one, "labels": np.array([[0], [-1]])}),
        ("two logits", BINARY, {}, {"logits": three[:, :2], "labels": np.array([[0], [1]])}),
        (
            "a label too high",
            MULTI,
            {"n_classes": 3},
            {"logits": three, "labels": np.array([[0], [3]])},
        ),
        (
            "a label below 0",
            MULTI,
            {"n_classes": 3},
            {"logits": three, "labels": np.array([[0], [-1]])},
        ),
        ("labels of dtype float32", MULTI, {"n_classes": 3}, {"logits": three, "labels": one}),
        (
            "four logits",
            MULTI,
            {"n_classes": 3},
            {"logits": np.zeros((2, 4)), "labels": np.array([[0], [1]])},
        ),
        (
            "a label that is not in the vocabulary",
            BINARY,
            {"label_vocabulary": WORDS[2]},
            {"logits": one, "labels": np.array([["no"], ["maybe"]], object)},
        ),
    ]
    return [
        {"name": name, "head": head, "arguments": arguments} | ({"batch": batch} if batch else {})
        for name, head, arguments, batch in cases
    ]


def auc_cases(draw: Cases) -> list[dict[str, Any]]:
    at = (np.arange(200) / 199).astype(np.float32)
    above = np.nextafter(at, np.float32(2))[:-1]
    below = np.nextafter(at, np.float32(-1))[1:]
    ends = np.array([0, 1e-10, 1e-7, 2e-7, 1 - 1e-7, 1], np.float32)
    random = draw.random.uniform(size=120).astype(np.float32)

    def batches(predictions: np.ndarray, *, weighted: bool = False) -> list[Batch]:
        made = []
        for part in np.array_split(predictions, 3):
            batch = {"predictions": part, "labels": draw.labels(2, *part.shape)}
            made.append(batch | ({"weights": draw.weights(*part.shape)} if weighted else {}))
        return made

    return [
        {"name": "at the thresholds", "batches": batches(at)},
        {"name": "at the thresholds, weights", "batches": batches(at, weighted=True)},
        {"name": "just above the thresholds", "batches": batches(above)},
        {"name": "just below the thresholds", "batches": batches(below)},
        {"name": "ends of the range", "batches": batches(np.tile(ends, 4))},
        {"name": "random", "batches": batches(random)},
        {"name": "random, weights", "batches": batches(random, weighted=True)},
        {
            "name": "random, weights with zeros",
            "batches": changed(
                batches(random, weighted=True),
                weights=lambda weights: np.where(weights < 1.5, np.float32(0), weights),
            ),
        },
        {"name": "two distinct predictions", "batches": batches(np.round(random))},
        {"name": "equal predictions", "batches": batches(np.full(20, 0.7, np.float32))},
        {"name": "all positive", "batches": changed(batches(random), labels=np.ones_like)},
        {"name": "all negative", "batches": changed(batches(random), labels=np.zeros_like)},
        {
            "name": "perfect",
            "batches": [{"predictions": at, "labels": (at > 0.6).astype(np.int64)}],
        },
        {
            "name": "perfectly wrong",
            "batches": [{"predictions": at, "labels": (at < 0.6).astype(np.int64)}],
        },
    ]


def make_head(case: dict[str, Any]) -> Any:
    return getattr(tf.estimator, case["head"])(**case["arguments"])


def tensors(batch: Batch) -> dict[str, Any]:
    """The arguments of head.loss and head.update_metrics for a batch."""
    features = {key: tf.constant(batch[key]) for key in ("weights",) if key in batch}
    arguments = {
        "features": features,
        "logits": tf.constant(batch["logits"]),
        "labels": tf.constant(batch["labels"]),
    }
    if "regularization_losses" in batch:
        losses = batch["regularization_losses"]
        arguments["regularization_losses"] = [tf.constant(loss, tf.float32) for loss in losses]
    return arguments


def run(case: dict[str, Any]) -> dict[str, Any]:
    """The case with what TensorFlow's head answers."""
    head = make_head(case)
    batches = [tensors(batch) for batch in case["batches"]]
    metrics = head.metrics(batches[0].get("regularization_losses"))
    losses = []
    for batch in batches:
        losses.append(head.loss(**batch, mode=tf.estimator.ModeKeys.TRAIN).numpy())
        metrics = head.update_metrics(metrics, **batch)
    predictions = head.predictions(batches[0]["logits"])
    return case | {
        "batches": [arrays(batch) for batch in case["batches"]],
        "losses": losses,
        "metrics": {key: metric.result().numpy() for key, metric in metrics.items()},
        "predictions": {key: array(value) for key, value in predictions.items()},
    }


def run_refused(case: dict[str, Any]) -> dict[str, Any]:
    """The case with the kind of error that TensorFlow answers with."""
    batch = case.get("batch")
    try:
        head = make_head(case)
        if batch is not None:
            head.loss(**tensors(batch))
    except (ValueError, TypeError, tf.errors.OpError) as error:
        result = case | {"error": type(error).__name__}
        return result | ({"batch": arrays(batch)} if batch else {})
    raise AssertionError(f"TensorFlow accepts this: {case}")


def run_auc(case: dict[str, Any]) -> dict[str, Any]:
    """The case with the areas under both curves."""
    roc, pr = tf.keras.metrics.AUC(), tf.keras.metrics.AUC(curve="PR")
    for batch in case["batches"]:
        for metric in (roc, pr):
            metric.update_state(
                tf.constant(batch["labels"], tf.float32), batch["predictions"], batch.get("weights")
            )
    batches = [arrays(batch) for batch in case["batches"]]
    return {
        "name": case["name"],
        "batches": batches,
        "roc": roc.result().numpy(),
        "pr": pr.result().numpy(),
    }


def arrays(batch: Batch) -> Batch:
    return {key: value if isinstance(value, list) else array(value) for key, value in batch.items()}


def main() -> None:
    draw = Cases(seed=2015)
    cases = [
        *common_cases(draw, BINARY, 2),
        *binary_cases(draw),
        *common_cases(draw, MULTI, 3),
        *multi_class_cases(draw),
    ]
    write_json(
        __file__,
        {
            "cases": [run(case) for case in cases],
            "refused": [run_refused(case) for case in refused_cases()],
            "auc": [run_auc(case) for case in auc_cases(draw)],
        },
    )


if __name__ == "__main__":
    main()
