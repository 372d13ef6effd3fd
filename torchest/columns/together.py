"""Encodings of many columns in a few operations, where their features are alike."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchest.arrays import is_arrow
from torchest.columns import checks
from torchest.columns.categorical import HashedCategoricalColumn
from torchest.columns.numeric import NumericColumn
from torchest.columns.strings import PLAIN, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.columns.base import CategoricalColumn, DenseColumn
    from torchest.columns.features import Features
    from torchest.columns.fingerprint import Int64s


def hashed_alone(columns: Sequence[CategoricalColumn]) -> list[int]:
    """The places of the hashed columns of strings that no other of the columns hashes too."""
    used = Counter(key for column in columns for key in column.feature_keys)
    return [
        place
        for place, column in enumerate(columns)
        if isinstance(column, HashedCategoricalColumn)
        and column.dtype == checks.STRING
        and used[column.key] == 1
    ]


def hashed_together(
    columns: Sequence[HashedCategoricalColumn], features: Features
) -> list[tuple[list[int], Int64s]]:
    """The ids of hashed columns of one string in each row, −1 for an empty or missing one.

    Args:
        columns: Those of `hashed_alone`.
        features: The batch.

    Returns:
        Numbers of columns, ascending, with their ids int64 [batch, how many]; without the columns whose features
        are in an array of a kind of its own.

    Raises:
        MissingFeatureError: A feature is not there.
        ValueError: A feature has another number of rows than the others.
    """
    alike: dict[object, list[tuple[int, Any]]] = {}
    for number, column in enumerate(columns):
        array = features.raw_of(column, column.key)
        kind = _kind(array)
        if kind is not None:
            alike.setdefault(kind, []).append((number, array))
    return [
        (
            [number for number, _ in group],
            _ids([columns[number] for number, _ in group], [array for _, array in group]),
        )
        for group in alike.values()
        if len(group) > 1
    ]


def _kind(array: Any) -> object:
    """What arrays of one string in each row have in common that can be put together; None for others."""
    if isinstance(array, np.ndarray):
        return "S" if array.ndim == 1 and array.dtype.kind == "S" else None
    return str(array.type) if is_arrow(array) and str(array.type) in PLAIN else None


def _ids(columns: Sequence[HashedCategoricalColumn], arrays: list[Any]) -> Int64s:
    from torchest.kernels import farmhash

    if isinstance(arrays[0], np.ndarray):
        text = Text.of(np.concatenate(arrays))
    else:
        import pyarrow as pa

        text = Text.of(pa.concat_arrays(arrays))
    ids = np.empty((len(arrays[0]), len(columns)), np.int64)
    counts = np.array([column.hash_bucket_size for column in columns])
    farmhash.buckets(text.data, text.starts, text.lengths, counts, ids)
    return ids


def numbers_together(
    columns: Sequence[DenseColumn], features: Features
) -> npt.NDArray[np.float32] | None:
    """The numbers of numeric columns of one number in each row.

    Args:
        columns: Dense columns of any kind.
        features: The batch.

    Returns:
        float32 [batch, number of columns]; None if a column is of another kind or changes its numbers, or
        a number is missing.

    Raises:
        MissingFeatureError: A feature is not there.
        ValueError: A feature has another number of rows than the others.
    """
    arrays = []
    for column in columns:
        if not isinstance(column, NumericColumn) or column.normalizer_fn or column.shape != (1,):
            return None
        array = features.raw_of(column, column.key)
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "biuf":
            return None
        arrays.append(array)
    with np.errstate(over="ignore"):  # what is too large for float32 is infinite
        numbers = np.stack(arrays, 1, dtype=np.float32, casting="unsafe")
    return None if np.isnan(numbers).any() else numbers
