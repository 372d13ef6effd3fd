"""torchest's side of the comparison."""

from __future__ import annotations

import itertools
import tempfile
import time
from typing import TYPE_CHECKING, Any

import torchest
from benchmarks.compare.data import NUMBERS, STRINGS, make_batches, make_rows
from benchmarks.compare.device import wait
from benchmarks.compare.worker import (
    Stopwatch,
    answer_requests,
    measure_rows,
    median_time,
    say,
    task_and_seconds,
)
from torchest import feature_column as fc

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def make_config(
    task: dict[str, Any], model_dir: str | None = None, **saving: int
) -> torchest.RunConfig:
    """How an estimator of a task runs; it saves as `saving` says, or not at all."""
    return torchest.RunConfig(
        model_dir or tempfile.mkdtemp(),
        tf_random_seed=1,
        keep_checkpoint_max=1,
        precision=task["precision"],
        **({"save_checkpoints_secs": None, "save_checkpoints_steps": None} | saving),
    )


def make_estimator(task: dict[str, Any], config: torchest.RunConfig) -> torchest.Estimator:
    """The estimator of a task."""
    numeric = [fc.numeric_column(key) for key in NUMBERS]
    hashed = [fc.categorical_column_with_hash_bucket(key, task["buckets"]) for key in STRINGS]
    embedded = [fc.embedding_column(column, 16) for column in hashed]
    if task["model"] == "linear":
        return torchest.LinearClassifier(numeric + hashed, config=config)
    if task["model"] == "dnn":
        return torchest.DNNClassifier([256, 128, 64], numeric + embedded, config=config)
    return torchest.DNNLinearCombinedClassifier(
        linear_feature_columns=hashed,
        dnn_feature_columns=numeric + embedded,
        dnn_hidden_units=[256, 128, 64],
        config=config,
    )


def input_of(task: dict[str, Any]) -> Callable[[], Any]:
    """The endless input of a task."""
    rows, source = task["rows"], task["source"]
    if source == "batches":
        batches = make_batches(rows, task["in_memory"] // rows)
        return lambda: itertools.cycle(batches)
    features, labels = make_rows(task["in_memory"])
    if source == "numpy":
        inputs = torchest.inputs.numpy_input_fn
        return inputs(features, labels, batch_size=rows, num_epochs=None, shuffle=False)
    import pandas as pd

    table = pd.DataFrame({key: _readable(column) for key, column in features.items()})
    if source == "pandas":
        inputs = torchest.inputs.pandas_input_fn
        return inputs(
            table,
            pd.Series(labels, index=table.index),
            batch_size=rows,
            num_epochs=None,
            shuffle=False,
        )
    table["label"] = labels
    path = tempfile.mkdtemp() + "/rows.parquet"
    table.to_parquet(path)
    return lambda: torchest.inputs.make_parquet_dataset(
        path, rows, label_name="label", num_epochs=None, shuffle=False
    )


def _readable(column: np.ndarray[Any, Any]) -> Any:
    return column.astype("U") if column.dtype.kind == "S" else column


class Measure(torchest.SessionRunHook):
    """Measures steps."""

    def __init__(self, task: dict[str, Any], seconds: float) -> None:
        self._stopwatch = Stopwatch(task["rows"], seconds, wait)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """A step has run."""
        if not self._stopwatch.tick():
            run_context.request_stop()


class FirstStep(torchest.SessionRunHook):
    """Ends the process after the first step."""

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """The first step has run."""
        say({"first_step": time.time()})
        run_context.request_stop()


def main() -> None:
    """Runs one task."""
    task, seconds = task_and_seconds()
    what, rows = task["what"], task["rows"]
    saving = {} if what in ("train", "first step") else {"save_checkpoints_steps": 1_000_000}
    estimator = make_estimator(task, make_config(task, **saving))
    if what == "first step":
        few = make_batches(rows, 3)
        estimator.train(lambda: iter(few), hooks=[FirstStep()])
        return
    if what == "train":
        estimator.train(input_of(task), hooks=[Measure(task, seconds)])
        return
    few = make_batches(rows, max(2, 8192 // rows))
    estimator.train(lambda: iter(few))
    if what == "evaluate":
        estimator.evaluate(input_of(task), hooks=[Measure(task, seconds)])
    elif what == "predict one":

        def predict_one() -> None:
            list(estimator.predict(lambda: iter(few[:1])))

        predict_one()
        answer_requests(lambda: median_time(predict_one, 100))
    else:
        one_by_one = what == "predict dicts"
        predictions = estimator.predict(input_of(task), yield_single_examples=one_by_one)
        measure_rows(predictions, 1 if one_by_one else rows, seconds)


if __name__ == "__main__":
    main()
