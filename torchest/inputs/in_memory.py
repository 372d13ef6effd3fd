"""`numpy_input_fn` and `pandas_input_fn`: input functions over rows in memory, with TensorFlow's arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.inputs.dataset import Dataset
from torchest.inputs.structure import has_rows, is_frame
from torchest.utils import checks
from torchest.utils.checks import shown

if TYPE_CHECKING:
    import pandas as pd

    from torchest.inputs.structure import Structure


def numpy_input_fn(  # noqa: PLR0913 - TensorFlow's arguments
    x: Structure,
    y: Structure = None,
    batch_size: int = 128,
    num_epochs: int | None = 1,
    shuffle: bool | None = None,
    queue_capacity: int | None = 1000,
    num_threads: int | None = 1,
) -> Callable[[], Dataset]:
    """An input function over arrays.

    Args:
        x: The features: a dict of arrays with one row for each example, or one array.
        y: The labels: an array, or a dict of arrays with other keys than x; None if there are none.
        batch_size: The number of rows in a batch.
        num_epochs: The number of passes over the rows; None for endless passes. A batch may have rows of two epochs,
            and only the last batch may be smaller.
        shuffle: Whether the rows are in random order, a different one in each epoch. Required.
        queue_capacity: Has no effect: all rows are shuffled.
        num_threads: Has no effect: rows in memory need no thread.

    Returns:
        A function without arguments that returns a `Dataset` of (features, labels), or of features if y is None:
        features are a dict, with keys in alphabetical order, or an array, like x; labels are like y.

    Raises:
        TypeError: x is neither a dict nor an array.
        ValueError: shuffle is not given, x or y is an empty dict, a key is in both, or the arrays have
            different numbers of rows.

    >>> train = numpy_input_fn({"x": np.arange(4)}, np.array([0, 1, 0, 1]), 2, shuffle=False)
    >>> for features, labels in train():
    ...     print(features["x"], labels)
    [0 1] [0 1]
    [2 3] [0 1]
    """
    _check_unused(queue_capacity, num_threads)
    features = _features(x)
    if y is None:
        return _input_function(features, batch_size, num_epochs, shuffle)
    return _input_function((features, _labels(y, features)), batch_size, num_epochs, shuffle)


def _features(x: Structure) -> Structure:
    if isinstance(x, np.ndarray) and x.ndim:
        return x
    if not isinstance(x, Mapping):
        raise TypeError(f"x={shown(x)} must be a dict of arrays by key, or one array.")
    if not x:
        raise ValueError("x={} must have at least one array.")
    return _sorted(x)


def _labels(y: Structure, features: Structure) -> Structure:
    if not isinstance(y, Mapping):
        if not has_rows(y):
            raise TypeError(f"y={shown(y)} must be an array, a dict of arrays by key, or None.")
        return y
    if not y:
        raise ValueError("y={} must have at least one array; None means that there are no labels.")
    both = sorted(set(y) & set(features), key=str) if isinstance(features, Mapping) else []
    if both:
        raise ValueError(f"The key {both[0]!r} is in both x and y: rename it in one of them.")
    return _sorted(y)


def _sorted(columns: Mapping[str, Structure]) -> dict[str, Structure]:
    return {key: columns[key] for key in sorted(columns, key=str)}


def pandas_input_fn(  # noqa: PLR0913 - TensorFlow's arguments
    x: pd.DataFrame,
    y: pd.Series[Any] | pd.DataFrame | None = None,
    batch_size: int = 128,
    num_epochs: int | None = 1,
    shuffle: bool | None = None,
    queue_capacity: int | None = 1000,
    num_threads: int | None = 1,
    target_column: str = "target",
) -> Callable[[], Dataset]:
    """An input function over a DataFrame.

    `torchest.utils.arrays` describes how text, categories and missing values are read.

    Args:
        x: The features, one column each.
        y: The labels, with the index of x: a Series or a DataFrame. A DataFrame of one column is an array of labels,
            one of several columns a dict. None if there are no labels.
        batch_size: The number of rows in a batch.
        num_epochs: The number of passes over the rows; None for endless passes. A batch may have rows of two epochs,
            and only the last batch may be smaller.
        shuffle: Whether the rows are in random order, a different one in each epoch. Required.
        queue_capacity: Has no effect: all rows are shuffled.
        num_threads: Has no effect: rows in memory need no thread.
        target_column: A name for a Series of labels; checked not to be a column of x, and otherwise unused.

    Returns:
        A function without arguments that returns a `Dataset` of (features, labels), or of features if y is None:
        features are a dict from column name to array, labels an array, or a dict if y has several columns.

    Raises:
        TypeError: x is not a DataFrame, y neither Series nor DataFrame, or target_column not a string.
        ValueError: shuffle is not given, the indexes differ, or x has a column called `target_column`.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"town": ["Rome", "Oslo", None]})
    >>> predict = pandas_input_fn(frame, batch_size=2, shuffle=False)
    >>> [features["town"].to_pylist() for features in predict()]
    [['Rome', 'Oslo'], [None]]
    """
    if not is_frame(x):
        raise TypeError(f"x={shown(x)} must be a pandas DataFrame.")
    if not isinstance(target_column, str):
        raise TypeError(f"target_column={shown(target_column)} must be a string.")
    _check_unused(queue_capacity, num_threads)
    if y is None:
        return _input_function(x, batch_size, num_epochs, shuffle)
    _check_labels(x, y, target_column)
    return _input_function((x, y), batch_size, num_epochs, shuffle)


def _check_labels(x: pd.DataFrame, y: pd.Series[Any] | pd.DataFrame, target_column: str) -> None:
    if not hasattr(y, "index") or not hasattr(y, "iloc"):
        raise TypeError(
            f"y={shown(y)} must be a pandas Series or DataFrame with the index of x, such as "
            "pd.Series(y, index=x.index)."
        )
    if not is_frame(y) and target_column in x:
        raise ValueError(
            f"x has a column called {target_column!r}, but target_column gives this name to the labels: leave it out "
            "of x, or give another target_column."
        )
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} rows but y has {len(y)}: both must have the same index.")
    if not x.index.equals(y.index):
        row = int(np.argmax(np.asarray(x.index != y.index)))
        ours, theirs = (index[row : row + 1].tolist()[0] for index in (x.index, y.index))
        raise ValueError(
            f"The indexes of x and y differ, first in row {row} with {ours!r} and {theirs!r}: give "
            "both the same index, for example with y.index = x.index if the rows correspond."
        )


def _check_unused(queue_capacity: object, num_threads: object) -> None:
    """Checks TensorFlow's arguments that have no effect."""
    for name, value in (("queue_capacity", queue_capacity), ("num_threads", num_threads)):
        if value is not None:
            checks.whole_number(name, value, at_least=1)


def _input_function(
    structure: Structure, batch_size: int, num_epochs: int | None, shuffle: object
) -> Callable[[], Dataset]:
    """A function that returns a new dataset of batches of the rows in each call, with columns converted once."""
    if not checks.is_bool(shuffle):
        raise ValueError(
            f"shuffle={shown(shuffle)} must be True, for training, or False, for evaluation and prediction."
        )
    if num_epochs is not None:
        checks.whole_number("num_epochs", num_epochs, " None is endless.", at_least=0)
    checks.whole_number("batch_size", batch_size, at_least=1)
    rows = Dataset.from_tensor_slices(structure)
    number = rows.cardinality()
    assert isinstance(number, int)

    def input_fn() -> Dataset:
        # The estimator sets a seed for the datasets that are made during its call.
        data = rows.shuffle(number) if shuffle and number else rows
        return data.repeat(num_epochs).batch(batch_size)

    return input_fn
