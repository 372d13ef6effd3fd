"""`pandas_input_fn`: an input function over a DataFrame, with TensorFlow's arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.inputs.in_memory import check_unused, input_function
from torchest.inputs.structure import is_frame
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from torchest.inputs.dataset import Dataset


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
        num_epochs: The number of passes over the rows; endless if None. A batch may have rows of two epochs, and
            only the last one may be smaller.
        shuffle: Whether the rows are in random order, a different one in each epoch. Required.
        queue_capacity: Has no effect: all rows are shuffled.
        num_threads: Has no effect: rows in memory need no thread.
        target_column: A name for a Series of labels, which no column of x may have; used only for this check.

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
    check_unused(queue_capacity, num_threads)
    if y is None:
        return input_function(x, batch_size, num_epochs, shuffle)
    _check_labels(x, y, target_column)
    return input_function((x, y), batch_size, num_epochs, shuffle)


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
