"""DeepFM, a model_fn of one's own over feature columns, beside a linear model of the same columns.

    python examples/deep_fm.py                     # a table that the example makes itself
    python examples/deep_fm.py --data adult.data   # the Adult table of the UCI repository

DeepFM (Guo et al., 2017) adds up three views of the same fields: a linear one; a factorisation machine, which
gives every pair of fields the inner product of their embeddings; and a deep net over these embeddings.
In the table that is made here, education and occupation decide the income only together, and words by
themselves say nothing: a linear model cannot learn it, and a factorisation machine can.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import nn

import torchest
from torchest import columns, inputs, metrics

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = [
    "workclass", "education", "marital_status", "occupation", "relationship", "race", "gender",
    "native_country",
]  # fmt: skip
BOUNDARIES = {
    "age": [18, 25, 30, 35, 40, 45, 50, 55, 60, 65],
    "education_num": [4, 7, 9, 10, 11, 13, 14],
    "capital_gain": [1, 3000, 5000, 7500, 15000],
    "capital_loss": [1, 1500, 1800, 2000],
    "hours_per_week": [20, 30, 39, 41, 50, 60],
}
NAMES = [  # the columns of the Adult table
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation",
    "relationship", "race", "gender", "capital_gain", "capital_loss", "hours_per_week",
    "native_country", "income_bracket",
]  # fmt: skip
LABEL = "income_bracket"


def make_table(rows: int, seed: int) -> pd.DataFrame:
    """A table in which it matters whether education and occupation fit."""
    generator = np.random.default_rng(seed)
    kinds = {name: generator.integers(0, 8, rows) for name in WORDS}
    table = pd.DataFrame({name: [f"kind {kind}" for kind in of] for name, of in kinds.items()})
    for name, boundaries in BOUNDARIES.items():
        table[name] = generator.integers(0, 2 * boundaries[-1], rows)
    circle = 2 * np.pi * np.arange(8) / 8  # opposite kinds do not fit at all
    fit = np.cos(circle[kinds["education"]] - circle[kinds["occupation"]])
    score = 2 * fit + generator.normal(0, 0.5, rows)
    return table.assign(**{LABEL: np.where(score > 0, ">50K", "<=50K")})


def read_table(path: str) -> pd.DataFrame:
    """The Adult table; some copies have a line of names first."""
    with open(path, encoding="utf-8") as file:
        has_names = file.readline().startswith("age")
    table = pd.read_csv(path, names=NAMES, skiprows=int(has_names), skipinitialspace=True)
    return table.dropna(subset=[LABEL])[[*WORDS, *BOUNDARIES, LABEL]]


def fields() -> list[Any]:
    """What the model sees: words by their hashes, numbers by the bucket that they are in."""
    words = [columns.categorical_column_with_hash_bucket(name, 1000) for name in WORDS]
    numbers = [
        columns.bucketized_column(columns.numeric_column(name), boundaries)
        for name, boundaries in BOUNDARIES.items()
    ]
    return [*words, *numbers]


class DeepFM(nn.Module):
    """Features to logits [batch, 1].

    Args:
        fields: Categorical or bucketized columns.
        dimension: Of the embedding of each field, which the machine and the net share.
        hidden_units: Of the net.
        dropout: The share of the net's hidden units that are left out in training.
    """

    def __init__(self, fields: list[Any], dimension: int, hidden_units: int, dropout: float):
        super().__init__()
        self.shape = (-1, len(fields), dimension)
        self.linear = columns.LinearFeatures(fields)
        self.embeddings = columns.DenseFeatures(
            [columns.embedding_column(field, dimension) for field in fields]
        )
        self.net = nn.Sequential(
            nn.Linear(len(fields) * dimension, hidden_units),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_units, hidden_units),
            nn.ReLU(),
            nn.Linear(hidden_units, 1),
        )

    def forward(self, features: Any) -> torch.Tensor:
        """The sum of the three views."""
        joined = self.embeddings(features)
        vectors = joined.reshape(self.shape)  # [batch, fields, dimension]
        # the sum of the products of all pairs: half of (the square of the sum - the sum of the squares)
        pairs = vectors.sum(1).square() - vectors.square().sum(1)
        return self.linear(features) + 0.5 * pairs.sum(1, keepdim=True) + self.net(joined)


def model_fn(
    features: Any, labels: Any, mode: str, params: dict[str, Any]
) -> torchest.EstimatorSpec:
    """Runs on every batch: what `get_or_create` makes is there on the next one, and in every checkpoint."""
    net = torchest.get_or_create("net", lambda: DeepFM(fields(), **params["net"]))
    logits = net(features).squeeze(1)
    probability = torch.sigmoid(logits)
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions={"probability": probability})
    loss = nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
    if mode == torchest.ModeKeys.EVAL:
        actual = {
            "accuracy": metrics.accuracy(labels, logits > 0),
            "auc": metrics.auc(labels, probability),
        }
        return torchest.EstimatorSpec(mode, loss=loss, eval_metric_ops=actual)
    optimizer = torchest.get_or_create(
        "optimizer", lambda: torchest.optimizers.Adagrad(net.parameters(), lr=params["lr"])
    )
    return torchest.EstimatorSpec(mode, loss=loss, train_op=optimizer)


def input_fn(table: pd.DataFrame, training: bool) -> Callable[[], inputs.Dataset]:
    """Batches of people with their labels."""
    labels = table[LABEL].str.startswith(">50K").astype("int64")

    def make() -> inputs.Dataset:
        features = dict(table.drop(columns=LABEL))
        dataset = inputs.Dataset.from_tensor_slices((features, labels))
        if training:
            return dataset.shuffle(len(table), seed=1).repeat().batch(128)
        return dataset.batch(1024)

    return make


def run(table: pd.DataFrame, steps: int, model_dir: str | None) -> dict[str, dict[str, float]]:
    """Trains both models on nine tenths of the people, and evaluates them on the others."""
    table = table.sample(frac=1, random_state=0)
    cut = len(table) * 9 // 10
    config = torchest.RunConfig(tf_random_seed=1)
    params = {"lr": 0.1, "net": {"dimension": 8, "hidden_units": 64, "dropout": 0.2}}
    models = {
        "linear": torchest.LinearClassifier(fields(), config=config),
        "DeepFM": torchest.Estimator(model_fn, model_dir, config, params),
    }
    actual = {}
    for name, model in models.items():
        model.train(input_fn(table[:cut], training=True), max_steps=steps)
        actual[name] = model.evaluate(input_fn(table[cut:], training=False))
    return actual


def main() -> None:
    """Reads or makes the table, trains, and prints the metrics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="the Adult table; default: a table made by the example")
    parser.add_argument("--steps", type=int, default=1500, help="how many steps to train for")
    parser.add_argument("--model_dir", help="where DeepFM is kept; default: a temporary folder")
    arguments = parser.parse_args()
    table = read_table(arguments.data) if arguments.data else make_table(10_000, seed=0)
    for name, actual in run(table, arguments.steps, arguments.model_dir).items():
        values = ", ".join(
            f"{metric} {actual[metric]:.4f}" for metric in ("accuracy", "auc", "loss")
        )
        print(f"{name:>8}: {values}")


if __name__ == "__main__":
    main()
