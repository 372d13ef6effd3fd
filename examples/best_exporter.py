"""Keeps the best model of a training that is stopped and started again: BestExporter over three restarts.

    python examples/best_exporter.py --model_dir models/best

Each restart is what a process of its own would do: a new estimator, which goes on where the last one stopped. The
best loss so far is kept beside the exports, so a restart that begins with a worse one exports nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torchest
from torchest import columns, inputs

DATA = Path(__file__).parent / "data"
AGE = columns.numeric_column("age")
FARE = columns.numeric_column("fare")
SEX = columns.categorical_column_with_vocabulary_list("sex", ["female", "male"])
CLASS = columns.categorical_column_with_vocabulary_list("class", ["First", "Second", "Third"])
COLUMNS = [AGE, FARE, columns.indicator_column(SEX), columns.indicator_column(CLASS)]


def passengers(name: str, epochs: int | None) -> inputs.Dataset:
    """Batches of passengers with their labels."""
    return inputs.make_csv_dataset(
        str(DATA / f"titanic_{name}.csv"),
        batch_size=64,
        label_name="survived",
        num_epochs=epochs,
        shuffle=epochs is None,
        shuffle_seed=1,
    )


def start(model_dir: str, max_steps: int) -> list[tuple[int, float, bool]]:
    """Trains up to a step, as after a restart.

    Returns:
        Of each evaluation the step, the loss, and whether the model was exported.
    """
    config = torchest.RunConfig(model_dir=model_dir, save_checkpoints_steps=20, tf_random_seed=1)
    model = torchest.DNNClassifier([32, 16], COLUMNS, config=config, optimizer="Adam", dropout=0.2)
    spec = columns.make_parse_example_spec(COLUMNS)
    receiver_fn = torchest.export.build_parsing_serving_input_receiver_fn(spec)
    told: list[tuple[int, float, bool]] = []

    class Telling(torchest.BestExporter):
        """A BestExporter that notes what it did."""

        def export(self, **given: Any) -> str | None:
            """Exports, perhaps."""
            path = super().export(**given)
            result = given["eval_result"]
            told.append((int(result["global_step"]), float(result["loss"]), path is not None))
            return path

    torchest.train_and_evaluate(
        model,
        torchest.TrainSpec(lambda: passengers("train", None), max_steps=max_steps),
        torchest.EvalSpec(
            lambda: passengers("eval", 1),
            steps=None,
            exporters=Telling("best", receiver_fn, exports_to_keep=2),
            throttle_secs=0,
        ),
    )
    return told


def main() -> None:
    """Trains in four parts, and shows what was exported."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    parser.add_argument("--steps", type=int, default=60, help="how many steps each part has")
    given = parser.parse_args()
    model_dir = given.model_dir or tempfile.mkdtemp()
    for part in range(4):
        print("start" if part == 0 else f"restart {part}")
        for step, loss, exported in start(model_dir, (part + 1) * given.steps):
            print(f"  step {step:4}: loss {loss:.4f} {'exported' if exported else ''}")
    exports = Path(model_dir, "export", "best")
    best = json.loads((exports / "best.json").read_text(encoding="utf-8"))
    print(f"best: {exports / best['export']}, loss {best['eval_result']['loss']:.4f}")


if __name__ == "__main__":
    main()
