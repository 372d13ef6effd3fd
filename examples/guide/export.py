"""A trained model becomes a directory that onnxruntime alone can answer from.

python examples/guide/export.py --export_dir exports
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

import numpy as np
from titanic import make_columns, make_model, train_input_fn

import torchest
from torchest import columns

PASSENGERS = {
    "age": [22.0, 38.0, 4.0],
    "class": ["Third", "First", "Second"],
    "embark_town": ["Southampton", "Cherbourg", "unknown"],
}


def input_fn() -> torchest.inputs.Dataset:
    """The passengers that are asked about, as one batch."""
    return torchest.inputs.Dataset.from_tensors(PASSENGERS)


def run(model_dir: str | None, steps: int, export_dir: str) -> dict[str, Any]:
    """Trains and exports; returns the answers of the estimator and of the export, [3, 2] each.

    The parsing receiver lets clients send serialized `tf.Example` records, too.
    """
    model = make_model(model_dir)
    model.train(train_input_fn, steps=steps)
    receiver_fn = torchest.export.build_parsing_serving_input_receiver_fn(
        columns.make_parse_example_spec(make_columns())
    )
    path = model.export_saved_model(export_dir, receiver_fn)
    served = torchest.export.load(path)
    return {
        "path": path,
        "estimator": np.stack([row["probabilities"] for row in model.predict(input_fn)]),
        "export": served.signatures["predict"](**PASSENGERS)["probabilities"],
    }


def main() -> None:
    """Prints where the export is, and its answers beside the estimator's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    parser.add_argument("--export_dir", help="where exports are kept; default: a temporary folder")
    parser.add_argument("--steps", type=int, default=100, help="how many steps to train for")
    arguments = parser.parse_args()
    export_dir = arguments.export_dir or tempfile.mkdtemp()
    answers = run(arguments.model_dir, arguments.steps, export_dir)
    print(answers["path"])
    for estimator, export in zip(answers["estimator"], answers["export"], strict=True):
        print(f"survives: {estimator[1]:.6f} in the estimator, {export[1]:.6f} in the export")


if __name__ == "__main__":
    main()
