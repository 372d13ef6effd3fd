"""A model_fn of your own: a deep classifier of iris flowers in ordinary PyTorch.

python examples/guide/custom.py

`get_or_create` makes what outlives a batch; everything else runs on every batch, in all three modes.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import torch
from iris import FEATURES, SPECIES, input_fn, make_table
from torch import nn

import torchest
from torchest import columns

if TYPE_CHECKING:
    import pandas as pd


def make_net(params: dict[str, Any]) -> nn.Sequential:
    """Columns, hidden layers with ReLU and dropout, and a logit for each kind of flower."""
    features = columns.DenseFeatures(params["feature_columns"])
    layers: list[nn.Module] = [features]
    width = features.width
    for units in params["hidden_units"]:
        layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(params["dropout"])]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, params["n_classes"]))


def model_fn(
    features: torchest.Features, labels: torch.Tensor, mode: str, params: dict[str, Any]
) -> torchest.EstimatorSpec:
    """One batch: predictions; with labels also the loss; in training also a step."""
    net = torchest.get_or_create("net", lambda: make_net(params))
    logits = net(features)
    classes = logits.argmax(1)
    if mode == torchest.ModeKeys.PREDICT:
        predictions = {"class_id": classes, "probabilities": logits.softmax(1), "logits": logits}
        return torchest.EstimatorSpec(mode, predictions=predictions)
    loss = nn.functional.cross_entropy(logits, labels)
    if mode == torchest.ModeKeys.EVAL:
        accuracy = torchest.metrics.accuracy(labels, classes)
        return torchest.EstimatorSpec(mode, loss=loss, eval_metric_ops={"accuracy": accuracy})
    adam = torchest.get_or_create("adam", lambda: torch.optim.Adam(net.parameters(), lr=0.02))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=adam)


def make_model(model_dir: str | None) -> torchest.Estimator:
    """An estimator of the model_fn, which gets `params` as they are here."""
    params = {
        "feature_columns": [columns.numeric_column(key) for key in FEATURES],
        "hidden_units": [30, 10],
        "dropout": 0.1,
        "n_classes": len(SPECIES),
    }
    config = torchest.RunConfig(tf_random_seed=1)
    return torchest.Estimator(model_fn, model_dir, params=params, config=config)


def run(table: pd.DataFrame, steps: int, model_dir: str | None) -> dict[str, Any]:
    """Trains on four fifths of the flowers; returns metrics of the others and a prediction of each."""
    cut = len(table) * 4 // 5
    model = make_model(model_dir)
    model.train(input_fn(table[:cut], training=True), steps=steps)
    others = input_fn(table[cut:], training=False)
    return {**model.evaluate(others), "predictions": list(model.predict(others))}


def main() -> None:
    """Trains, and prints the accuracy and what the model says of five flowers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="how many steps to train for")
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    arguments = parser.parse_args()
    result = run(make_table(600, seed=0), arguments.steps, arguments.model_dir)
    print(f"accuracy {result['accuracy']:.3f}, loss {result['loss']:.4f}")
    for row in result["predictions"][:5]:
        species = row["class_id"]
        print(f"{SPECIES[species]} with probability {row['probabilities'][species]:.3f}")


if __name__ == "__main__":
    main()
