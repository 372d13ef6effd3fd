"""Exports the models of the serving benchmark with the torchest that Python finds.

    python benchmarks/serving_export.py DIRECTORY FORMAT ...

Prints a JSON object: the directory of each model's export, by the model's name.
"""

from __future__ import annotations

import json
import sys
import tempfile

from serving_batches import BUCKETS, DIMENSION, HIDDEN, MODELS, WORDS, make_batch

import torchest
from torchest import columns


def column(name: str) -> columns.FeatureColumn:
    """The embedding of one feature."""
    if name.startswith("v"):
        source = columns.categorical_column_with_vocabulary_list(name, WORDS)
    else:
        source = columns.categorical_column_with_hash_bucket(name, BUCKETS)
    return columns.embedding_column(source, DIMENSION)


def exported(model: str, directory: str, formats: list[str]) -> str:
    """The directory of a model that takes raw strings."""
    names = MODELS[model]
    base = tempfile.mkdtemp(dir=directory)
    estimator = torchest.DNNClassifier(HIDDEN, [column(name) for name in names], model_dir=base)
    batch = make_batch(model, 8, 0)
    estimator.train(lambda: (batch, [0] * 8), steps=1)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
        {name: columns.FixedLenFeature((1,), str) for name in names}
    )
    return estimator.export_saved_model(base, receiver_fn, formats=tuple(formats))


def main(directory: str, *formats: str) -> None:
    """Exports all models."""
    print(json.dumps({model: exported(model, directory, list(formats)) for model in MODELS}))


if __name__ == "__main__":
    main(*sys.argv[1:])
