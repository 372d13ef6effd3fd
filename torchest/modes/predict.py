"""Runs predictions, and splits batches into examples."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from torchest.engine.loop import run_steps
from torchest.engine.train_step import values_of
from torchest.errors import suggest
from torchest.keys import ModeKeys
from torchest.utils.arrays import in_numpy_dtype
from torchest.utils.checks import listed, shown
from torchest.utils.nested import map_nested
from torchest.utils.predicted_text import is_text, text_to_numpy

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from torchest.engine.run import Run
    from torchest.inputs.batch import Batch
    from torchest.inputs.structure import Structure
    from torchest.utils.arrays import NumpyArray


def run_prediction(run: Run, keys: Sequence[object]) -> Generator[Structure, None, None]:
    """Predicts with a model that has been made and restored.

    Args:
        run: The model, its input and the user's hooks.
        keys: The predictions to yield; all if empty.

    Yields:
        For each batch its predictions as NumPy arrays, a dict if the model returns one.
    """
    session = run.session()

    def step(batch: Batch) -> Structure:
        spec = run.model.outputs(batch.features, None, ModeKeys.PREDICT)
        session.values = values_of(spec)
        run.strategy.end_step()
        return to_numpy(_selected(spec.predictions, keys))

    hooks = [*run.hooks, *run.model_hooks.prediction]
    return run_steps(run.feed.batches(), step, session, hooks)


def examples(batch: Structure) -> Iterator[Structure]:
    """The predictions of one batch, example by example.

    Raises:
        ValueError: The predictions differ in their number of examples.
    """
    if not isinstance(batch, dict):
        if np.ndim(batch) == 0:
            raise ValueError(_scalar("predictions", batch))
        yield from batch
        return
    for key, value in batch.items():
        if np.ndim(value) == 0:
            raise ValueError(_scalar(f"predictions[{key!r}]", value))
    lengths = {key: len(value) for key, value in batch.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{key!r}: {length}" for key, length in lengths.items())
        raise ValueError(
            f"Predictions must all have one row per example; they have these numbers of rows: {listed}. "
            "predict(..., yield_single_examples=False) returns them unchanged."
        )
    rows = zip(*batch.values(), strict=True)
    yield from map(dict, map(zip, itertools.repeat(tuple(batch)), rows))


def _scalar(name: str, value: object) -> str:
    """The error message for a prediction without rows."""
    return (
        f"{name}={shown(np.asarray(value).item())} is a single value, but must have one row per example: leave out the "
        "mean or sum over the batch. predict(..., yield_single_examples=False) gives it as it is."
    )


def checked_keys(keys: object) -> list[object]:
    """`predict_keys` as a list; empty for all.

    Raises:
        ValueError: It is not a list of keys.
    """
    wanted = (
        [keys] if isinstance(keys, str) else listed("predict_keys", keys, "keys of predictions")
    )
    for key in wanted:
        if not isinstance(key, str | tuple):  # of a MultiHead: (head, key)
            raise ValueError(
                f"predict_keys={shown(keys)} must be keys of predictions; {shown(key)} is not."
            )
    return wanted


def _selected(predictions: object, wanted: Sequence[object]) -> object:
    if not wanted:
        return predictions
    if not isinstance(predictions, Mapping):
        raise ValueError(
            f"predict_keys={shown(wanted)} needs predictions that are a dict, but model_fn returned a "
            f"{type(predictions).__name__}. Leave predict_keys out."
        )
    for key in wanted:
        if key not in predictions:
            raise ValueError(
                f"predict_keys has {shown(key)}, which is not a prediction.{suggest(str(key), map(str, predictions))}"
            )
    return {key: value for key, value in predictions.items() if key in wanted}


def to_numpy(predictions: object) -> Structure:
    """Predictions as numpy, in the same dicts; strings are object arrays of bytes."""
    return map_nested(_to_numpy, predictions, (Mapping,))


def _to_numpy(prediction: object) -> NumpyArray:
    if isinstance(prediction, Tensor):
        numbers = in_numpy_dtype(prediction)
        return numbers.numpy(force=not numbers.is_cpu or numbers.requires_grad)
    if is_text(prediction):
        return text_to_numpy(prediction)
    array = prediction.numpy() if hasattr(prediction, "numpy") else np.asarray(prediction)
    return text_to_numpy(array) if is_text(array) else array
