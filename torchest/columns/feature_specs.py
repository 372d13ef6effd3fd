"""How a feature is stored in serialized examples: `FixedLenFeature` and `VarLenFeature`.

>>> FixedLenFeature((2,), torch.float32, default_value=[0.0, 1.0])
FixedLenFeature(shape=(2,), dtype=torch.float32, default_value=(0.0, 1.0))
>>> VarLenFeature("string")
VarLenFeature(dtype=<class 'str'>)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch

from torchest.utils.checks import is_list, is_number, is_whole, shown
from torchest.utils.nested import as_tuples

Dtype: TypeAlias = "torch.dtype | np.dtype[np.generic] | type | str"  # as users give one

_NAMES: dict[object, type] = {str: str, "str": str, "string": str, bytes: bytes, "bytes": bytes}


@dataclass(frozen=True)
class FixedLenFeature:
    """A feature with the same number of values in every example.

    Attributes:
        shape: The shape of one example's values; () for one value.
        dtype: `torch.float32`, `torch.int64`, `str` for text, or `bytes`.
        default_value: The value for an example without the feature: one value, or values of the shape. None: each
            example must have the feature.

    Raises:
        TypeError: The dtype is not supported, or a dimension is not an integer.
        ValueError: A dimension is below 1, or the default has another shape or kind.
    """

    shape: tuple[int, ...]
    dtype: Any
    default_value: object = None
    _source: FixedLenFeature | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _shape(self.shape))
        object.__setattr__(self, "dtype", as_dtype(self.dtype))
        if self.default_value is not None:
            object.__setattr__(self, "default_value", self._checked_default())

    @property
    def size(self) -> int:
        """The number of values in an example."""
        return math.prod(self.shape)

    @property
    def source(self) -> FixedLenFeature:
        """The spec itself, or the one to which it has added dimensions."""
        return self._source or self

    def __getitem__(self, index: object) -> FixedLenFeature:
        """The spec with dimensions of 1 added, as in `spec[:, None]`, where the first dimension is that of examples.

        Raises:
            TypeError: The index has anything but whole slices and None.
        """
        shape = _with_dimensions(index, self.shape)
        default = self.default_value
        if np.ndim(np.asarray(default, object)):
            default = np.asarray(default, object).reshape(shape).tolist()
        spec = FixedLenFeature(shape, self.dtype, default)
        object.__setattr__(spec, "_source", self.source)
        return spec

    def _checked_default(self) -> object:
        """The default as one value or nested tuples, so that specs can be compared and hashed."""
        default = np.asarray(self.default_value, dtype=object)
        if default.shape not in ((), self.shape):
            raise ValueError(
                f"default_value is {shown(self.default_value)}, of shape {default.shape}: give one value, or values of "
                f"the shape {self.shape}."
            )
        if not all(_is_of(self.dtype, value) for value in default.reshape(-1).tolist()):
            raise ValueError(
                f"default_value is {shown(self.default_value)}: give values of the dtype {dtype_name(self.dtype)}."
            )
        return as_tuples(default.tolist())


@dataclass(frozen=True)
class VarLenFeature:
    """A feature with any number of values in an example, including 0.

    Attributes:
        dtype: `torch.float32`, `torch.int64`, `str` for text, or `bytes`.

    Raises:
        TypeError: The dtype is not supported.
    """

    dtype: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", as_dtype(self.dtype))


FeatureSpec: TypeAlias = "FixedLenFeature | VarLenFeature"


def merge(specs: dict[str, FeatureSpec], more: dict[str, FeatureSpec], column: str) -> None:
    """Adds the specs of a column to others.

    Raises:
        ValueError: The column and another one read a feature in different ways.
    """
    for key, spec in more.items():
        if specs.setdefault(key, spec) != spec:
            raise ValueError(
                f"Column {column!r} reads the feature {key!r} as {spec}, but another column reads it as "
                f"{specs[key]}: write it under two keys, or let the columns agree."
            )


def dtype_name(dtype: torch.dtype | type) -> str:
    """The dtype of a spec as users write it."""
    return dtype.__name__ if isinstance(dtype, type) else str(dtype)


def as_dtype(value: object) -> torch.dtype | type:
    """A dtype as users give one: `str`, `bytes`, or a dtype of torch.

    Raises:
        TypeError: It is another one, or none.
    """
    if isinstance(value, torch.dtype):
        return value
    if isinstance(value, str | type) and value in _NAMES:
        return _NAMES[value]
    try:
        if not isinstance(
            value, str | type | np.dtype
        ):  # numpy makes a dtype of None, and of values
            raise TypeError
        dtype: torch.dtype = torch.from_numpy(np.empty(0, np.dtype(value or "none"))).dtype
    except TypeError:
        raise TypeError(
            f"dtype is {shown(value)}: give torch.float32, torch.int64, str or bytes."
        ) from None
    return dtype


def _with_dimensions(index: object, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an example of [examples, *shape] after an index that only adds dimensions."""
    parts = list(index) if isinstance(index, tuple) else [index]
    whole = slice(None)
    kept = sum(part == whole for part in parts if isinstance(part, slice))
    if Ellipsis in parts:
        place = parts.index(Ellipsis)
        parts[place : place + 1] = [whole] * (1 + len(shape) - kept)
    else:
        parts += [whole] * (1 + len(shape) - kept)
    are_whole = all(part is None or (isinstance(part, slice) and part == whole) for part in parts)
    if not are_whole or parts[0] is None or parts.count(whole) != 1 + len(shape):
        raise TypeError(
            f"[{shown(index)}] of a spec may only add dimensions after the first one, as in spec[:, None]; select "
            "values in model_fn."
        )
    sizes = iter(shape)
    return tuple(1 if part is None else next(sizes) for part in parts[1:])


def _is_of(dtype: torch.dtype | type, value: object) -> bool:
    if isinstance(dtype, type):
        return isinstance(value, str | bytes)
    if dtype.is_floating_point:
        return is_number(value) and math.isfinite(value)
    return is_whole(value)


def _shape(value: object) -> tuple[int, ...]:
    dimensions = tuple(value) if is_list(value) else (value,)
    if not all(map(is_whole, dimensions)):
        raise TypeError(
            f"shape is {shown(value)}: give integers; for any number of values use VarLenFeature."
        )
    if any(dimension < 1 for dimension in dimensions):
        raise ValueError(f"shape is {shown(value)}: give dimensions of at least 1.")
    return tuple(map(int, dimensions))
