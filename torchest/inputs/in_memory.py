"""Input functions over rows in memory, for `numpy_input_fn` and `pandas_input_fn`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.inputs.dataset import Dataset
from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchest.inputs.structure import Structure


def check_unused(queue_capacity: object, num_threads: object) -> None:
    """Checks TensorFlow's arguments that have no effect.

    Raises:
        ValueError: One is wrong.
    """
    for name, value in (("queue_capacity", queue_capacity), ("num_threads", num_threads)):
        if value is not None:
            checks.whole_number(name, value, at_least=1)


def input_function(
    structure: Structure, batch_size: int, num_epochs: int | None, shuffle: object
) -> Callable[[], Dataset]:
    """A function that returns a new dataset of batches of the rows in each call.

    The columns are converted to their normal form here, once.

    Args:
        structure: Features, or a tuple of features and labels.
        batch_size: The number of rows in a batch, which may have rows of two epochs.
        num_epochs: The number of passes over the rows; endless if None.
        shuffle: Whether the rows are in random order, a different one in each epoch.

    Raises:
        TypeError: A leaf is not a column.
        ValueError: shuffle is not a bool, num_epochs is negative, or the columns have different lengths.
    """
    if not checks.is_bool(shuffle):
        raise ValueError(
            f"shuffle={checks.shown(shuffle)} must be True, for training, or False, for evaluation and prediction."
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
