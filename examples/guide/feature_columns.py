"""What each kind of feature column makes of three passengers, and a deep model over all of them.

python examples/guide/feature_columns.py
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from linear import WORDS
from titanic import eval_input_fn, train_input_fn

import torchest
from torchest import columns

PASSENGERS = {
    "age": [4.0, 26.0, 71.0],
    "sex": ["male", "female", "male"],
    "class": ["Third", "First", "Steerage"],  # the last one is not in the vocabulary
    "embark_town": ["Southampton", "Queenstown", "Cherbourg"],
}


def make_columns() -> dict[str, columns.FeatureColumn]:
    """One column of each kind, by what it does."""
    age = columns.numeric_column("age")
    age_group = columns.bucketized_column(age, boundaries=[14, 30, 50])
    cls = columns.categorical_column_with_vocabulary_list("class", WORDS["class"])
    town = columns.categorical_column_with_hash_bucket("embark_town", hash_bucket_size=16)
    group_and_sex = columns.crossed_column([age_group, "sex"], hash_bucket_size=12)
    return {
        "the number": age,
        "its group": age_group,
        "a known word": columns.indicator_column(cls),
        "a hashed word, embedded": columns.embedding_column(town, dimension=3),
        "group and sex, crossed": columns.indicator_column(group_and_sex),
    }


def shown(column: columns.FeatureColumn) -> torch.Tensor:
    """What a layer of this column alone makes of the passengers: [3, width of the column]."""
    with torch.no_grad():
        return columns.DenseFeatures([column])(PASSENGERS)


def run(model_dir: str | None, steps: int) -> dict[str, Any]:
    """Trains a deep classifier over all columns, and evaluates it."""
    model = torchest.DNNClassifier(
        hidden_units=[32, 16],
        feature_columns=list(make_columns().values()),
        model_dir=model_dir,
        optimizer=torchest.optimizers.Adam(learning_rate=0.01),
        config=torchest.RunConfig(tf_random_seed=1),
    )
    model.train(train_input_fn, steps=steps)
    return model.evaluate(eval_input_fn)


def main() -> None:
    """Shows the columns, trains, and prints what was learned."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    parser.add_argument("--steps", type=int, default=300, help="how many steps to train for")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    for name, column in make_columns().items():
        print(f"{name}:\n{shown(column)}")
    metrics = run(arguments.model_dir, arguments.steps)
    print(f"accuracy {metrics['accuracy']:.3f}, AUC {metrics['auc']:.3f}")


if __name__ == "__main__":
    main()
