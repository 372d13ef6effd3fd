"""`numpy_input_fn`: an input function over arrays in memory, with TensorFlow's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from torchest.inputs.in_memory import check_unused, input_function
from torchest.inputs.structure import has_rows
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchest.inputs.dataset import Dataset
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
        num_epochs: The number of passes over the rows; endless if None. A batch may have rows of two epochs, and
            only the last one may be smaller.
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
    check_unused(queue_capacity, num_threads)
    features = _features(x)
    if y is None:
        return input_function(features, batch_size, num_epochs, shuffle)
    return input_function((features, _labels(y, features)), batch_size, num_epochs, shuffle)


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
