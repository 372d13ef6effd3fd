"""Checks of arguments that are columns or dtypes."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from torchest.columns import raw_features
from torchest.columns.base import CategoricalColumn, DenseColumn, FeatureColumn
from torchest.utils import checks

STRING = raw_features.STRING

_INTEGERS = {
    torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32
}  # fmt: skip
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


def key(value: object, argument: str = "key") -> str:
    """The key of a feature."""
    return checks.text(argument, value, " Give the key of a feature.", empty=True)


def column_list(value: object, argument: str) -> list[FeatureColumn]:
    """A list of feature columns; a single column counts as a list of one.

    Raises:
        ValueError: It is not a list, or an item is not a column.
    """
    if isinstance(value, FeatureColumn | str | bytes):
        value = [value]
    if value is not None and not checks.is_list(value):
        raise ValueError(f"{argument} is {shown(value)}: give a list of columns.")
    columns = checks.listed(argument, value, "columns")
    for column in columns:
        if not isinstance(column, FeatureColumn):
            raise ValueError(
                f"{argument} has {shown(column)} ({type(column).__name__}): every item must be a column, such as "
                "columns.numeric_column('age')."
            )
        _check_class(column, argument)
    return columns


def _check_class(column: FeatureColumn, argument: str) -> None:
    """Raises ValueError if a user's class is not a hashable dataclass with a name, a tuple of keys and a size."""
    if column.is_of_torchest:
        return
    kind = type(column).__name__
    if not dataclasses.is_dataclass(type(column)):
        raise ValueError(
            f"{argument} has a column of class {kind}, which is not a dataclass: decorate the class with "
            "@dataclass(frozen=True, eq=False)."
        )
    name = checks.text(f"name of a column of class {kind}", _declared(column, "name"))
    keys = _declared(column, "feature_keys")
    if not isinstance(keys, tuple) or not all(isinstance(key, str) for key in keys):
        raise ValueError(
            f"feature_keys of column {name!r} ({kind}) is {checks.shown(keys)}: return a tuple of keys, such as "
            "('age',)."
        )
    try:
        hash(column)
    except TypeError as error:
        raise ValueError(
            f"Column {column.name!r} ({kind}) cannot be hashed ({error}): decorate the class with "
            "@dataclass(frozen=True, eq=False), and make fields tuples in place of lists."
        ) from error
    for kind_of_column, size in ((DenseColumn, "width"), (CategoricalColumn, "num_buckets")):
        if isinstance(column, kind_of_column):
            checks.whole_number(
                f"{size} of column {name!r} ({kind})", _declared(column, size), at_least=1
            )


def _declared(column: FeatureColumn, attribute: str) -> object:
    """A property of a user's class, which may fail for the fields of this column."""
    try:
        value: object = getattr(column, attribute)
    except Exception as error:
        raise ValueError(
            f"{attribute} of {column!r} raises {error!r}: define it for these fields, or give other fields."
        ) from error
    return value


def value_dtype(value: object, column: str) -> torch.dtype | str:
    """Checks a dtype of text or integers, and returns "string" or a dtype of torch.

    Raises:
        ValueError: It is neither.
    """
    if _is_string(value):
        return STRING
    dtype = _torch_dtype(value)
    if dtype not in _INTEGERS:
        raise ValueError(
            f"dtype of column {column!r} is {shown(value)}: give 'string' or an integer dtype such as "
            "torch.int64."
        )
    return dtype


def number_dtype(value: object, column: str) -> torch.dtype:
    """A dtype of numbers.

    Raises:
        ValueError: It is not one.
    """
    dtype = None if _is_string(value) else _torch_dtype(value)
    if dtype not in _INTEGERS | _FLOATS:
        raise ValueError(
            f"dtype of column {column!r} is {shown(value)}: give a dtype of floats or integers, such as "
            "torch.float32."
        )
    assert dtype is not None
    return dtype


def categorical(value: object, argument: str) -> CategoricalColumn:
    """Checks that an argument is a categorical column, and returns it.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, CategoricalColumn):
        raise ValueError(
            f"{argument} is {shown(value)}: give a categorical column, such as one made by "
            "categorical_column_with_vocabulary_list."
        )
    _check_class(value, argument)
    return value


def shown(value: object) -> str:
    """A value for an error: a column by its name and class, anything else by its repr."""
    if isinstance(value, FeatureColumn):
        return f"{value.name!r} ({type(value).__name__})"
    return checks.shown(value)


def _is_string(value: object) -> bool:
    if isinstance(value, str):
        return value in (STRING, "str")
    return isinstance(value, np.dtype | type) and np.dtype(value).kind in "SU"


def _torch_dtype(value: object) -> torch.dtype | None:
    if isinstance(value, torch.dtype):
        return value
    if not isinstance(value, str | type | np.dtype):  # numpy makes a dtype of None, and of values
        return None
    try:
        return torch.from_numpy(np.empty(0, np.dtype(value))).dtype
    except TypeError:
        return None
