"""Retrieval with two towers: what a user will like is near the user, among all items.

    python examples/two_tower.py

One tower makes a vector from what is known of a user, the other from what is known of an item. In training the
other items of the batch are those that the user did not choose (softmax over the batch). Afterwards `predict`
gives the vectors of all items once, and of each user when asked; the nearest items are those to offer.

In the data that is made here each user likes items of some place on a circle of tastes, which the ids know, and
the country of a user and the genre of an item know roughly. It prints recall@k: the share of choices, not
trained on, that are among the k nearest items of their user.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import torchest
from torchest import columns, inputs, metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Table = Mapping[str, np.ndarray]

USERS, ITEMS, GROUPS = 300, 400, 8


def make_choices(rows: int, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Choices, each of a user and an item; and all items."""
    generator = np.random.default_rng(seed)
    taste = generator.uniform(0, 1, USERS)
    place = generator.uniform(0, 1, ITEMS)
    user = generator.integers(0, USERS, rows)
    wanted = taste[user] + generator.normal(0, 0.02, rows)
    distance = np.abs((wanted[:, None] - place + 0.5) % 1 - 0.5)  # around the circle
    items = {
        "item": np.arange(ITEMS),
        "genre": np.char.add("genre ", (GROUPS * place).astype(int).astype(str)),
    }
    item = distance.argmin(1)
    country = np.char.add("country ", (GROUPS * taste).astype(int).astype(str))[user]
    choices = {"user": user, "country": country, "item": item, "genre": items["genre"][item]}
    return choices, items


def tower(id_key: str, size: int, word_key: str, dimension: int) -> nn.Module:
    """A net from an id and a word to a vector."""
    identity = columns.categorical_column_with_identity(id_key, size)
    word = columns.categorical_column_with_vocabulary_list(
        word_key, [f"{word_key} {number}" for number in range(GROUPS)]
    )
    features = columns.DenseFeatures(
        [columns.embedding_column(identity, 16), columns.embedding_column(word, 4)]
    )
    return nn.Sequential(features, nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, dimension))


def model_fn(features: Any, mode: str, params: dict[str, Any]) -> torchest.EstimatorSpec:
    """Runs on every batch: choices in TRAIN and EVAL, users or items in PREDICT."""
    size = params["dimension"]
    users = torchest.get_or_create("users", lambda: tower("user", USERS, "country", size))
    items = torchest.get_or_create("items", lambda: tower("item", ITEMS, "genre", size))
    if mode == torchest.ModeKeys.PREDICT:
        net = users if "user" in features else items
        return torchest.EstimatorSpec(mode, predictions={"vector": unit(net(features))})
    likings = unit(users(features)) @ unit(items(features)).T / params["temperature"]
    own = torch.arange(len(likings), device=likings.device)
    # an item that several users of the batch chose is nobody's wrong one
    item = torch.as_tensor(features["item"])
    same = (item[:, None] == item) & (own[:, None] != own)
    likings = likings.masked_fill(same, -torch.inf)
    loss = nn.functional.cross_entropy(likings, own)
    if mode == torchest.ModeKeys.EVAL:
        actual = {"accuracy in the batch": metrics.accuracy(own, likings.argmax(1))}
        return torchest.EstimatorSpec(mode, loss=loss, eval_metric_ops=actual)
    optimizers = [
        torchest.get_or_create(f"{name}_optimizer", lambda net=net: adagrad(net, params["lr"]))
        for name, net in {"users": users, "items": items}.items()
    ]
    return torchest.EstimatorSpec(mode, loss=loss, train_op=optimizers)


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors of length 1."""
    return nn.functional.normalize(vectors, dim=1)


def adagrad(net: nn.Module, lr: float) -> torch.optim.Optimizer:
    """An optimizer that updates the rows of the tables that a batch looked up, and no others."""
    return torchest.optimizers.Adagrad(net.parameters(), lr=lr)


def input_fn(table: Table, training: bool = False) -> Callable[[], inputs.Dataset]:
    """Batches of a table."""

    def make() -> inputs.Dataset:
        dataset = inputs.Dataset.from_tensor_slices(dict(table))
        rows = len(next(iter(table.values())))
        return dataset.shuffle(rows, seed=1).repeat().batch(128) if training else dataset.batch(256)

    return make


def vectors(model: torchest.Estimator, table: Table) -> np.ndarray:
    """What the towers give for the rows of a table."""
    batches = model.predict(input_fn(table), yield_single_examples=False)
    return np.concatenate([batch["vector"] for batch in batches])


def recall(model: torchest.Estimator, choices: Table, items: Table, k: int) -> float:
    """The share of choices that are among the k items nearest to their user."""
    asked = {name: choices[name] for name in ("user", "country")}
    likings = vectors(model, asked) @ vectors(model, items).T
    nearest = np.argpartition(-likings, k, axis=1)[:, :k]
    return float((nearest == choices["item"][:, None]).any(1).mean())


def run(steps: int, model_dir: str | None, k: int = 10) -> dict[str, float]:
    """Trains on nine tenths of the choices, and finds those of the others."""
    choices, items = make_choices(20_000, seed=0)
    cut = 18_000
    known = {name: values[:cut] for name, values in choices.items()}
    unknown = {name: values[cut:] for name, values in choices.items()}
    params = {"dimension": 16, "temperature": 0.1, "lr": 0.1}
    config = torchest.RunConfig(tf_random_seed=1)
    model = torchest.Estimator(model_fn, model_dir, config, params)
    model.train(input_fn(known, training=True), max_steps=steps)
    return {
        **model.evaluate(input_fn(unknown)),
        f"recall@{k}": recall(model, unknown, items, k),
        f"recall@{k}, random": k / ITEMS,
    }


def main() -> None:
    """Makes choices, trains, and prints the metrics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500, help="how many steps to train for")
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    parser.add_argument("-k", type=int, default=10, help="how many items are offered")
    arguments = parser.parse_args()
    for name, value in run(arguments.steps, arguments.model_dir, arguments.k).items():
        print(f"{name:>22} {value:.4g}")


if __name__ == "__main__":
    main()
