"""Three kinds of iris flowers, told apart by a deep classifier.

python examples/guide/iris.py                       # a table that the example makes itself
python examples/guide/iris.py --data iris.csv       # SepalLength,SepalWidth,PetalLength,PetalWidth,Species
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import torchest
from torchest import columns, inputs

if TYPE_CHECKING:
    from collections.abc import Callable

FEATURES = ["SepalLength", "SepalWidth", "PetalLength", "PetalWidth"]
SPECIES = ["Setosa", "Versicolor", "Virginica"]


def make_table(rows: int, seed: int) -> pd.DataFrame:
    """Flowers around three centres, about as far apart as the real ones."""
    generator = np.random.default_rng(seed)
    centres = np.array([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
    species = generator.integers(3, size=rows)
    table = pd.DataFrame(generator.normal(centres[species], 0.3), columns=FEATURES)
    return table.assign(Species=species)


def read_table(path: str) -> pd.DataFrame:
    """The real flowers; species are given by number or by name."""
    table = pd.read_csv(path)
    if table["Species"].dtype.kind not in "iu":
        table["Species"] = table["Species"].str.capitalize().map(SPECIES.index)
    return table


def input_fn(table: pd.DataFrame, training: bool) -> Callable[[], inputs.Dataset]:
    """Batches of 256 flowers with their labels."""

    def make() -> inputs.Dataset:
        dataset = inputs.Dataset.from_tensor_slices((dict(table[FEATURES]), table["Species"]))
        return dataset.shuffle(1000).repeat().batch(256) if training else dataset.batch(256)

    return make


def run(table: pd.DataFrame, steps: int, model_dir: str | None) -> dict[str, float]:
    """Trains on four fifths of the flowers and evaluates on the others."""
    table = table.sample(frac=1, random_state=0)
    cut = len(table) * 4 // 5
    model = torchest.DNNClassifier(
        hidden_units=[30, 10],
        feature_columns=[columns.numeric_column(key) for key in FEATURES],
        n_classes=3,
        model_dir=model_dir,
        optimizer=lambda parameters: torchest.optimizers.Adagrad(parameters, lr=0.05),
    )
    model.train(input_fn(table[:cut], training=True), steps=steps)
    return model.evaluate(input_fn(table[cut:], training=False))


def main() -> None:
    """Reads or makes the flowers, trains, and prints the accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a CSV file; default: a table made by the example")
    parser.add_argument("--steps", type=int, default=500, help="how many steps to train for")
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    arguments = parser.parse_args()
    table = read_table(arguments.data) if arguments.data else make_table(600, seed=0)
    result = run(table, arguments.steps, arguments.model_dir)
    print(f"accuracy {result['accuracy']:.3f}, loss {result['loss']:.4f}")


if __name__ == "__main__":
    main()
