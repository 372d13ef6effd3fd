"""A linear model of the Titanic's passengers, without and with crossed columns.

    python examples/guide/linear.py

A linear model has one weight for each value of a column: what it says of an age, it says of both sexes. A crossed
column has a weight for each combination of values.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from titanic import eval_input_fn, train_input_fn

import torchest
from torchest import columns

WORDS = {
    "sex": ["female", "male"],
    "class": ["First", "Second", "Third"],
    "deck": ["A", "B", "C", "D", "E", "F", "G", "unknown"],
    "embark_town": ["Southampton", "Cherbourg", "Queenstown", "unknown"],
    "alone": ["n", "y"],
}
NUMBERS = ["age", "fare", "n_siblings_spouses", "parch"]


def base_columns() -> list[columns.FeatureColumn]:
    """A column for each column of the file; numbers are scaled to about 1."""
    words = [
        columns.categorical_column_with_vocabulary_list(key, values)
        for key, values in WORDS.items()
    ]
    scale = {"age": 30.0, "fare": 50.0, "n_siblings_spouses": 1.0, "parch": 1.0}
    numbers = [
        columns.numeric_column(key, normalizer_fn=lambda value, by=scale[key]: value / by)
        for key in NUMBERS
    ]
    return [*words, *numbers]


def crossed_columns() -> list[columns.FeatureColumn]:
    """Age groups by sex, and class by sex; the combinations are hashed into buckets."""
    age_group = columns.bucketized_column(columns.numeric_column("age"), [6, 14, 25, 40, 60])
    return [
        columns.crossed_column([age_group, "sex"], hash_bucket_size=100),
        columns.crossed_column(["class", "sex"], hash_bucket_size=100),
    ]


def run(model_dir: str | None, steps: int) -> dict[str, dict[str, Any]]:
    """Trains both models in directories of their own; returns the metrics of each."""
    models = {"base": base_columns(), "crossed": base_columns() + crossed_columns()}
    metrics = {}
    for name, feature_columns in models.items():
        model = torchest.LinearClassifier(
            feature_columns,
            model_dir=model_dir and str(Path(model_dir) / name),
            config=torchest.RunConfig(tf_random_seed=1),
        )
        model.train(train_input_fn, steps=steps)
        metrics[name] = model.evaluate(eval_input_fn)
    return metrics


def main() -> None:
    """Prints what both models know of passengers that they did not see."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_dir", help="where the models are kept; default: temporary folders")
    parser.add_argument("--steps", type=int, default=500, help="how many steps to train for")
    arguments = parser.parse_args()
    for name, metrics in run(arguments.model_dir, arguments.steps).items():
        print(f"{name:>8}: accuracy {metrics['accuracy']:.3f}, AUC {metrics['auc']:.3f}")


if __name__ == "__main__":
    main()
