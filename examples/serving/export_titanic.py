"""Trains the linear model of examples/guide/titanic.py and exports it for `torchest serve`.

python examples/serving/export_titanic.py --export_dir exports
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torchest
from torchest import columns

sys.path.insert(0, str(Path(__file__).parents[1] / "guide"))
from titanic import make_model, train_input_fn


def export(model: torchest.Estimator, export_dir: str) -> str:
    """Exports the model with raw features: what a client sends are numbers and words."""
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
        {
            "age": columns.FixedLenFeature((1,), "float32"),
            "class": columns.FixedLenFeature((1,), str),
            "embark_town": columns.FixedLenFeature((1,), str),
        }
    )
    return model.export_saved_model(export_dir, receiver_fn)


def main() -> None:
    """Trains and exports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--export_dir", default="exports")
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    parser.add_argument("--steps", type=int, default=100, help="how many steps to train for")
    given = parser.parse_args()
    model = make_model(given.model_dir).train(train_input_fn, steps=given.steps)
    print(export(model, given.export_dir))


if __name__ == "__main__":
    main()
