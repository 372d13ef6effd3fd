"""The dtype and shape of a raw feature, as an example batch has them.

>>> from torchest.columns.features import Features
>>> RawFeature.of(Features({"town": [["x"], ["y", "z"]]}), "town")
RawFeature(key='town', dtype='string', shape=(None,), ragged=True)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from torchest.columns.encode import values
from torchest.utils import arrays

if TYPE_CHECKING:
    from torchest.columns.features import Features
    from torchest.utils.arrays import ArrowArray, HostArray

STRING = "string"  # the dtype of text


@dataclass(frozen=True)
class RawFeature:
    """The dtype and shape of a feature.

    Attributes:
        key: Its key.
        dtype: "string", or a dtype of torch.
        shape: The shape of a row: () for one value; a size is None if it differs between batches. Lists are a matrix,
            padded with "", −1 or NaN.
        ragged: Whether rows are lists, which changes the order of the keys of a cross.
    """

    key: str
    dtype: torch.dtype | str
    shape: tuple[int | None, ...] = ()
    ragged: bool = False

    @classmethod
    def of(cls, features: Features, key: str) -> RawFeature:
        """The dtype and shape of a feature of a batch.

        Raises:
            MissingFeatureError: The batch lacks the feature.
            TypeError: It holds neither numbers nor text.
        """
        array = features.raw(key)
        ragged = not values.is_matrix(features, key)
        textual = arrays.is_textual(array)
        if isinstance(array, Tensor | np.ndarray):
            dtype = STRING if textual else _number(array[:0], key)
            shape = tuple(array.shape[1:])
            return cls(key, dtype, (None,) if ragged else shape, ragged)
        return _of_arrow(array, key, ragged, textual)

    @property
    def is_text(self) -> bool:
        """Whether it holds strings."""
        return self.dtype == STRING

    @property
    def is_floating_point(self) -> bool:
        """Whether it holds floats, which may be missing."""
        return isinstance(self.dtype, torch.dtype) and self.dtype.is_floating_point

    @property
    def dimensions(self) -> tuple[int | str, ...]:
        """The dimensions of a batch; those that differ between batches have names."""
        rest = (f"values of {self.key}" if size is None else size for size in self.shape)
        return ("batch", *rest)

    @property
    def is_single(self) -> bool:
        """Whether each row has exactly one value."""
        return self.shape in ((), (1,))


def _of_arrow(array: ArrowArray, key: str, ragged: bool, textual: bool) -> RawFeature:
    import pyarrow.types as pt

    nested = pt.is_nested(array.type)
    flat = array.flatten() if nested else array
    dtype = STRING if textual else _number(flat, key)
    if not nested:
        return RawFeature(key, dtype)
    return RawFeature(key, dtype, (None,) if ragged else (array.type.list_size,), ragged)


def _number(array: HostArray, key: str) -> torch.dtype:
    """The dtype of numbers as a tensor, as if none were missing."""
    if not isinstance(array, Tensor | np.ndarray):
        import pyarrow.types as pt

        kind = array.type.value_type if pt.is_dictionary(array.type) else array.type
        if pt.is_integer(kind):
            return torch.int64
        if pt.is_null(kind):
            return torch.float32
    return arrays.to_tensor(array, key).dtype
