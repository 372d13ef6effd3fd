"""Exports models for `make runtimes`: each kind of estimator over each kind of column, and over all columns at once.

    PYTHONPATH=tests:tests/catalogue python tests/runtimes/cases.py DIRECTORY [--quick]

Each case is a directory `<estimator>/<column>` with `model.onnx` and `batches.json`: what to feed, and what Python
answers. With `--quick` there are only the models of all columns.
"""

from __future__ import annotations

import argparse
import json
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import torchest
from tests.catalogue import test_all_columns as catalogue
from tests.catalogue import test_export_parity as parity
from torchest import columns as fc
from torchest.columns.base import CategoricalColumn, FeatureColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALL = "all columns"
SIZES = (0, 1, 2, 7, 1000)
HEADS = {
    "linear": "binary", "deep": "multi-class", "wide and deep": "multi-label", "recurrent": "multi-head"
}  # fmt: skip


def dense(column: Any) -> FeatureColumn:
    """A column for a deep model."""
    return fc.embedding_column(column, 3) if isinstance(column, CategoricalColumn) else column


def linear(column: FeatureColumn, **given: Any) -> torchest.Estimator:
    return torchest.LinearEstimator(feature_columns=[column], **given)


def deep(column: FeatureColumn, **given: Any) -> torchest.Estimator:
    return torchest.DNNEstimator(feature_columns=[dense(column)], hidden_units=[4], **given)


def wide_and_deep(column: FeatureColumn, **given: Any) -> torchest.Estimator:
    wide = [column] if isinstance(column, CategoricalColumn) else [catalogue.hour()]
    return torchest.DNNLinearCombinedEstimator(
        linear_feature_columns=wide,
        dnn_feature_columns=[dense(column)],
        dnn_hidden_units=[4],
        **given,
    )


def recurrent(column: FeatureColumn, **given: Any) -> torchest.Estimator:
    """Over the steps of a column of sequences; another column is their context."""
    is_sequence = any(catalogue.CASES[name].make() == column for name in catalogue.OF_SEQUENCES)
    context = None if is_sequence else [dense(column)]
    steps = dense(column) if is_sequence else fc.sequence_numeric_column("steps")
    return torchest.experimental.RNNEstimator(
        sequence_feature_columns=[steps], context_feature_columns=context, units=[4], **given
    )


ESTIMATORS: dict[str, Callable[..., torchest.Estimator]] = {
    "linear": linear, "deep": deep, "wide and deep": wide_and_deep, "recurrent": recurrent
}  # fmt: skip


def kinds(estimator: str) -> list[str]:
    """The columns that an estimator takes, by their names in the catalogue."""
    if estimator == "linear":
        return [*catalogue.LINEAR]
    sequences = catalogue.OF_SEQUENCES if estimator == "recurrent" else []
    return [name for name in catalogue.CASES if name not in catalogue.OF_SEQUENCES] + sequences


def cases(quick: bool) -> Iterator[tuple[str, str, Callable[[Any, str], torchest.Estimator]]]:
    """The estimator, the column, and what makes the model of a head and a directory."""
    for name, make in parity.ESTIMATORS.items():
        yield (
            name,
            ALL,
            lambda head, path, make=make: make(head=head, model_dir=path, config=parity.QUIET),
        )
    for name, of_column in {} if quick else ESTIMATORS.items():
        for kind in kinds(name):
            column = catalogue.CASES[kind].make()
            yield (
                name,
                kind,
                lambda head, path, of_column=of_column, column=column: of_column(
                    column, head=head, model_dir=path, config=parity.QUIET
                ),
            )


KEYS = {
    *catalogue.ROWS, "height", "town_again", "number_again", "tags_again", "tags_once_more"
}  # fmt: skip


class Drawn:
    """Rows of `test_export_parity` without what runtimes of JavaScript cut strings off at."""

    def __init__(self, count: int, seed: int, only_finite: bool) -> None:
        self._rows = parity.Rows(count + count // 4 + 5, seed, only_finite=only_finite)
        text = self._rows.features(np.arange(self._rows.count), {"town", "town_again", "word"})
        lists = self._rows.matrices(np.arange(self._rows.count), {"tags", "tags_again", "tags_once_more"})  # fmt: skip
        columns = [*text.values(), *(each for matrix in lists.values() for each in matrix.T)]
        has_nul = np.array(["\0" in "".join(row) for row in zip(*columns, strict=True)])
        self.rows = np.flatnonzero(~has_nul)[:count]
        assert len(self.rows) == count

    def refused(self, keys: set[str]) -> np.ndarray:
        """Which rows Python refuses that reads some features."""
        return self._rows.refused[self.rows] & bool(keys & {"age", "vector", "hour"})

    def features(self, keys: set[str], which: np.ndarray) -> dict[str, Any]:
        return self._rows.features(self.rows[which], keys)

    def matrices(self, keys: set[str], which: np.ndarray) -> dict[str, Any]:
        return self._rows.matrices(self.rows[which], keys)


def write(
    target: Path, estimator: str, column: str, make: Callable[[Any, str], torchest.Estimator]
) -> None:
    """Trains and exports a model, and asks it."""
    head, labels = parity.HEADS[HEADS[estimator]]
    model = make(head(), str(target / "trained"))
    rows = parity.Rows(64, seed=1, only_finite=True)
    every = np.arange(rows.count)
    model.train(lambda: (rows.features(every, KEYS), labels(every)), steps=2)
    example = parity.Rows(2, seed=2, only_finite=True).features(np.arange(2), KEYS)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(example)
    path = Path(model.export_saved_model(target / "base", receiver_fn, formats=("onnx",)))
    described = json.loads((path / "signatures.json").read_text(encoding="utf-8"))
    used = {each["name"] for each in described["inputs"] if each["used"]}
    outputs = described["signatures"]["predict"]["outputs"]
    batches = [
        batch(model, Drawn(size, size, column != ALL), used, outputs, column == ALL)
        for size in SIZES
    ]
    (path / "model.onnx").rename(target / "model.onnx")
    for part in ("trained", "base"):
        shutil.rmtree(target / part)
    (target / "batches.json").write_text(json.dumps(batches), encoding="utf-8")


def batch(
    model: torchest.Estimator, drawn: Drawn, keys: set[str], outputs: dict[str, str], refused: bool
) -> dict[str, Any]:
    """What to feed, and what Python answers; to rows that it refuses, nothing."""
    wrong = drawn.refused(keys)
    good = np.flatnonzero(~wrong)
    every = np.arange(len(wrong)) if refused else good
    features = drawn.features(keys, good)
    (predicted,) = model.predict(lambda: iter([features]), yield_single_examples=False)
    expected = {
        "/".join(key) if isinstance(key, tuple) else key: value for key, value in predicted.items()
    }
    answers = {name: with_refused(expected[key], good, len(every)) for key, name in outputs.items()}
    given = drawn.matrices(keys, every)
    return {
        "inputs": {name: to_json(value) for name, value in given.items()},
        "outputs": {name: to_json(value) for name, value in answers.items()},
    }


def with_refused(answers: np.ndarray, good: np.ndarray, rows: int) -> np.ndarray:
    """Answers to all rows, of those to rows that Python does not refuse."""
    if len(answers) == rows:
        return answers
    nothing: Any = {"f": np.nan, "i": -1, "O": b"", "b": False}[answers.dtype.kind]
    actual = np.full((rows, *answers.shape[1:]), nothing, answers.dtype)
    actual[good] = answers
    return actual


def to_json(array: np.ndarray) -> dict[str, Any]:
    """An array as JSON has it: integers, infinities and what is not a number as text."""
    values = array.reshape(-1).tolist()
    if array.dtype == object:
        values = [each.decode() if isinstance(each, bytes) else each for each in values]
        return {"dtype": "string", "shape": array.shape, "values": values}
    if array.dtype.kind == "i":
        values = [str(each) for each in values]
    if array.dtype.kind == "f":
        values = [each if np.isfinite(each) else str(each) for each in values]
    return {"dtype": array.dtype.name, "shape": array.shape, "values": values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for estimator, column, make in cases(given.quick):
        target = given.directory / estimator / column
        if not (target / "batches.json").exists():
            print(f"exporting {estimator}: {column}", flush=True)
            shutil.rmtree(target, ignore_errors=True)
            write(target, estimator, column, make)


if __name__ == "__main__":
    main()
