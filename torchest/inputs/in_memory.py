"""Input functions over rows in memory: what `numpy_input_fn` and `pandas_input_fn` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.inputs.dataset import Dataset
from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Callable


def check_unused(queue_capacity: object, num_threads: object) -> None:
    """Checks arguments of TensorFlow's that have no effect.

    Raises:
        ValueError: One is wrong.
    """
    for name, value in (("queue_capacity", queue_capacity), ("num_threads", num_threads)):
        if value is not None:
            checks.whole_number(name, value, at_least=1)


def input_function(
    structure: Any, batch_size: int, num_epochs: int | None, shuffle: object
) -> Callable[[], Dataset]:
    """A function that gives a dataset of batches of the rows, a new one in each call.

    The columns are brought into their normal form here, once.

    Args:
        structure: Features, or a tuple of features and labels.
        batch_size: The number of rows in a batch. Batches go over the ends of epochs.
        num_epochs: How often all rows are given; endless with None.
        shuffle: Whether in random order, another one in each epoch.

    Raises:
        TypeError: A leaf is not a column.
        ValueError: shuffle is not a bool, num_epochs is negative, or the columns have different lengths.
    """
    if not checks.is_bool(shuffle):
        raise ValueError(
            f"shuffle={checks.shown(shuffle)} must be True, as is right for training, or False, for evaluation "
            "and prediction."
        )
    if num_epochs is not None:
        checks.whole_number("num_epochs", num_epochs, " None is endless.", at_least=0)
    checks.whole_number("batch_size", batch_size, at_least=1)
    rows = Dataset.from_tensor_slices(structure)
    number = rows.cardinality()
    assert isinstance(number, int)

    def input_fn() -> Dataset:
        # The seed that the estimator sets holds for datasets that are made under it.
        data = rows.shuffle(number) if shuffle and number else rows
        return data.repeat(num_epochs).batch(batch_size)

    return input_fn
