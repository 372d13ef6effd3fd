"""Encodings of many columns in a few operations, where their features are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchest.arrays import is_arrow
from torchest.columns import checks
from torchest.columns.categorical import HashedCategoricalColumn
from torchest.columns.fingerprint import Int64s, bucket_of
from torchest.columns.numeric import NumericColumn
from torchest.columns.strings import PLAIN, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.columns.base import CategoricalColumn, DenseColumn, FeatureColumn
    from torchest.columns.features import Features


def hashed_together(
    columns: Sequence[CategoricalColumn], features: Features
) -> dict[FeatureColumn, Int64s]:
    """The ids of hashed columns of one string in each row, −1 for an empty or missing one.

    Args:
        columns: Categorical columns of any kind.
        features: The batch.

    Returns:
        Ids int64 [batch] by column; without the columns that are of another kind, whose strings other
        columns hash too, or whose features are in an array of a kind of its own.

    Raises:
        MissingFeatureError: A feature is not there.
        ValueError: A feature has another number of rows than the others.
    """
    hashed = [
        column
        for column in columns
        if isinstance(column, HashedCategoricalColumn) and column.dtype == checks.STRING
    ]
    used = [key for column in columns for key in column.feature_keys]
    alike: dict[object, list[tuple[HashedCategoricalColumn, Any]]] = {}
    for column in hashed:
        if used.count(column.key) == 1:
            features.check_there(column)
            array = features.raw(column.key)
            kind = _kind(array)
            if kind is not None:
                alike.setdefault(kind, []).append((column, array))
    found: dict[FeatureColumn, Int64s] = {}
    for group in alike.values():
        if len(group) > 1:
            found.update(_ids([column for column, _ in group], [array for _, array in group]))
    return found


def _kind(array: Any) -> object:
    """What arrays of one string in each row have in common that can be put together; None for others."""
    if isinstance(array, np.ndarray):
        return "S" if array.ndim == 1 and array.dtype.kind == "S" else None
    return str(array.type) if is_arrow(array) and str(array.type) in PLAIN else None


def _ids(
    columns: Sequence[HashedCategoricalColumn], arrays: list[Any]
) -> dict[FeatureColumn, Int64s]:
    if isinstance(arrays[0], np.ndarray):
        text = Text.of(np.concatenate(arrays))
    else:
        import pyarrow as pa

        text = Text.of(pa.concat_arrays(arrays))
    shape = (len(columns), -1) if len(text) else (len(columns), 0)
    fingerprints = text.fingerprints().reshape(shape)
    empty = (text.lengths == 0).reshape(shape)
    ids = np.empty(fingerprints.shape, np.int64)
    for buckets in {column.hash_bucket_size for column in columns}:
        places = [i for i, column in enumerate(columns) if column.hash_bucket_size == buckets]
        if len(places) == len(columns):
            ids = bucket_of(fingerprints, buckets)
        else:
            ids[places] = bucket_of(fingerprints[places], buckets)
    if empty.any():
        ids[empty] = -1
    return dict(zip(columns, ids, strict=True))


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
        features.check_there(column)
        array = features.raw(column.key)
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "biuf":
            return None
        arrays.append(array)
    numbers = np.empty((features.batch_size, len(arrays)), np.float32)
    with np.errstate(over="ignore"):  # what is too large for float32 is infinite
        for place, array in enumerate(arrays):
            numbers[:, place] = array
    return None if np.isnan(numbers).any() else numbers
