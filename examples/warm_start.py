"""A model of towns goes on when more towns come: a warm start with a grown vocabulary.

python examples/warm_start.py

Last year's model knows 30 towns. This year there are 40, in the order of the alphabet, so that most rows of the
table have moved. The new model takes the layers and the rows of the towns that it knows from the old one, with the
optimizer's slots, and learns the new towns.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import torchest
from torchest import columns, inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TABLE = "dnn.embeddings.town.weight"


def make_towns(count: int, seed: int) -> list[str]:
    """Names of four syllables, each once."""
    syllables = np.array(["ba", "den", "fels", "gar", "ham", "kirch", "lin", "mar", "stadt"])
    drawn = np.random.default_rng(seed).choice(syllables, (10 * count, 4))
    return list(dict.fromkeys("".join(parts).capitalize() for parts in drawn))[:count]


def make_table(towns: Sequence[str], rows: int, seed: int) -> pd.DataFrame:
    """Orders: who lives in a town whose name has "r" as a fourth letter or later, mostly orders again."""
    generator = np.random.default_rng(seed)
    town = generator.choice(np.array(towns), rows)
    likes = np.array(["r" in name[3:] for name in town])
    return pd.DataFrame({"town": town, "again": (generator.random(rows) < 0.1) ^ likes})


def input_fn(table: pd.DataFrame, training: bool) -> Callable[[], inputs.Dataset]:
    """Batches of 64 orders with their labels."""

    def make() -> inputs.Dataset:
        labels = table["again"].astype(np.int64)
        dataset = inputs.Dataset.from_tensor_slices((dict(table[["town"]]), labels))
        return dataset.shuffle(1000).repeat().batch(64) if training else dataset.batch(64)

    return make


def write_vocabulary(path: Path, towns: Sequence[str]) -> str:
    """A file with one town a line."""
    path.write_text("".join(f"{town}\n" for town in towns), encoding="utf-8")
    return str(path)


def make_model(
    vocabulary: str, model_dir: Path, warm_start_from: Any = None
) -> torchest.DNNClassifier:
    """A deep classifier with an embedding of the towns, and one row for all unknown ones."""
    town = columns.categorical_column_with_vocabulary_file("town", vocabulary, num_oov_buckets=1)
    return torchest.DNNClassifier(
        hidden_units=[8],
        feature_columns=[columns.embedding_column(town, 4)],
        model_dir=model_dir,
        optimizer=lambda parameters: torchest.optimizers.Adagrad(parameters, lr=0.2),
        config=torchest.RunConfig(tf_random_seed=1),
        warm_start_from=warm_start_from,
    )


def run(directory: Path, steps: int) -> dict[str, float]:
    """Trains last year's model, and this year's with and without a warm start.

    Returns:
        The accuracies of this year's models, before and after they are trained for a few steps.
    """
    towns = make_towns(40, seed=1)
    old_words = write_vocabulary(directory / "towns_old.txt", towns[:30])
    new_words = write_vocabulary(directory / "towns_new.txt", sorted(towns))
    old = make_model(old_words, directory / "old")
    old.train(input_fn(make_table(towns[:30], 4000, seed=2), training=True), steps=steps)

    settings = torchest.WarmStartSettings(
        old.model_dir,
        var_name_to_vocab_info={TABLE: torchest.VocabInfo(new_words, 40, 1, old_words)},
        copy_slots=True,
    )
    train, test = make_table(towns, 2000, seed=3), make_table(towns, 2000, seed=4)
    actual: dict[str, float] = {}
    for name, warm_start_from in (("cold", None), ("warm", settings)):
        model = make_model(new_words, directory / name, warm_start_from)
        evaluated = model.evaluate(input_fn(test, training=False))
        actual[f"{name}, not trained"] = float(evaluated["accuracy"])
        model.train(input_fn(train, training=True), steps=steps // 10)
        evaluated = model.evaluate(input_fn(test, training=False))
        actual[f"{name}, {steps // 10} steps"] = float(evaluated["accuracy"])
    return actual


def main() -> None:
    """Runs it, shows what the warm start took, and prints the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="how many steps to train for")
    steps = parser.parse_args().steps
    shown = logging.StreamHandler()
    shown.addFilter(lambda record: record.getMessage().startswith("Warm"))
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[shown])
    with tempfile.TemporaryDirectory() as directory:
        for name, accuracy in run(Path(directory), steps).items():
            print(f"{name:>20}: accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
