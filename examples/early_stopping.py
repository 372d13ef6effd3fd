"""Early stopping: training ends when the evaluations get no better.

    python examples/early_stopping.py --model_dir models/early

A network that is too large for the passengers of the Titanic learns them by heart, so that its loss on others
rises. Every 20 steps it is evaluated; when its loss has not fallen for 100 steps, training ends. Run it again with
the same model_dir, and it ends before its first step: what was best is known from the evaluations on the disk.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torchest
from torchest import columns, experimental, inputs

DATA = Path(__file__).parent / "data"


def train_input_fn() -> inputs.Dataset:
    """Batches of 32 passengers with their labels, shuffled, for ever."""
    return (
        inputs.make_csv_dataset(
            str(DATA / "titanic_train.csv"), batch_size=32, label_name="survived"
        )
        .cache()
        .repeat()
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


def make_model(model_dir: str | None) -> torchest.DNNClassifier:
    """A network over town, class and age that is larger than it should be."""
    town = columns.categorical_column_with_hash_bucket("embark_town", 32)
    cls = columns.categorical_column_with_vocabulary_list("class", ["First", "Second", "Third"])
    given = [
        columns.embedding_column(town, 8),
        columns.indicator_column(cls),
        columns.numeric_column("age", normalizer_fn=lambda age: age / 50),
    ]
    config = torchest.RunConfig(save_checkpoints_steps=20, tf_random_seed=1)
    return torchest.DNNClassifier([256, 256], given, model_dir, optimizer="Adam", config=config)


def run(model_dir: str | None, max_steps: int) -> dict[str, float] | None:
    """Trains until the loss falls no more, or up to `max_steps`.

    Returns:
        The metrics of the last evaluation; None if there was nothing left to do.
    """
    model = make_model(model_dir)
    stop = experimental.stop_if_no_decrease_hook(
        model, "loss", max_steps_without_decrease=100, run_every_secs=None, run_every_steps=20
    )
    metrics, _ = torchest.train_and_evaluate(
        model,
        torchest.TrainSpec(train_input_fn, max_steps=max_steps, hooks=[stop]),
        torchest.EvalSpec(eval_input_fn, steps=None, throttle_secs=0),
    )
    return metrics


def main() -> None:
    """Trains, and prints the last metrics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    parser.add_argument("--max_steps", type=int, default=5000, help="train for no more than this")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s:%(name)s: %(message)s")
    for name, value in (run(arguments.model_dir, arguments.max_steps) or {}).items():
        print(f"{name:>22} {value:.4g}")


if __name__ == "__main__":
    main()
