"""Who survived the Titanic: a linear classifier over a CSV file.

    python examples/guide/titanic.py --model_dir models/titanic

Run it again with the same model_dir, and training goes on from where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
import logging
from pathlib import Path

import torchest
from torchest import columns, inputs

DATA = Path(__file__).parents[1] / "data"


def train_input_fn() -> inputs.Dataset:
    """Batches of 32 passengers with their labels, shuffled, for ever."""
    return (
        inputs.make_csv_dataset(
            str(DATA / "titanic_train.csv"), batch_size=32, label_name="survived"
        )
        .cache()
        .repeat()
        .shuffle(500)
        .prefetch(2)
    )


def eval_input_fn() -> inputs.Dataset:
    """The passengers that training does not see, once."""
    return inputs.make_csv_dataset(
        str(DATA / "titanic_eval.csv"),
        batch_size=32,
        label_name="survived",
        num_epochs=1,
        shuffle=False,
    )


def make_columns() -> list[columns.FeatureColumn]:
    """Town, class and age."""
    age = columns.numeric_column("age")
    cls = columns.categorical_column_with_vocabulary_list("class", ["First", "Second", "Third"])
    embark = columns.categorical_column_with_hash_bucket("embark_town", 32)
    return [embark, cls, age]


def make_model(model_dir: str | None) -> torchest.LinearClassifier:
    """A linear classifier over these columns."""
    return torchest.LinearClassifier(
        feature_columns=make_columns(), model_dir=model_dir, n_classes=2
    )


def main() -> None:
    """Trains, evaluates, and predicts for five passengers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    parser.add_argument("--steps", type=int, default=100, help="how many steps to train for")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s:%(name)s: %(message)s")

    model = make_model(arguments.model_dir)
    model.train(train_input_fn, steps=arguments.steps)
    for name, value in model.evaluate(eval_input_fn).items():
        print(f"{name:>22} {value:.4g}")
    print("\nThe first five passengers of the evaluation data:")
    for prediction in itertools.islice(model.predict(eval_input_fn), 5):
        survives = prediction["probabilities"][1]
        print(f"survives with probability {survives:.3f}: class {prediction['class_ids'][0]}")


if __name__ == "__main__":
    main()
