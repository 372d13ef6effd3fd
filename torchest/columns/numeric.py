"""The dense column of numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from torchest.columns import checks
from torchest.columns.base import DenseColumn, KeyedColumn, keys_of_numbers
from torchest.columns.encode import values
from torchest.columns.feature_specs import FixedLenFeature
from torchest.utils import arrays
from torchest.utils.checks import is_list, is_whole
from torchest.utils.nested import as_tuples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from torchest.columns.encode.cells import Cells, Int64s
    from torchest.columns.feature_specs import Dtype, FeatureSpec
    from torchest.columns.features import Features
    from torchest.columns.onnx_graph import OnnxGraph, OnnxValue
    from torchest.utils.arrays import NumpyArray


# In numpy and torch, array[False] has no rows and one dimension more.
_INDEXED = (
    " If it was indexed with a comparison of an Arrow array: == gives one bool for all rows, and "
    "pyarrow.compute.equal(column, value) one for each row."
)


@dataclass(frozen=True, eq=False)
class NumericColumn(KeyedColumn, DenseColumn):
    """Numbers; made by `numeric_column`."""

    key: str
    shape: tuple[int, ...]
    default_value: object
    dtype: torch.dtype
    normalizer_fn: Callable[[Tensor], Tensor] | None

    @cached_property
    def width(self) -> int:
        """The number of values in a row."""
        return math.prod(self.shape)

    def encode(self, features: Features) -> Tensor:
        """The numbers of a batch, float32 [batch, width].

        Raises:
            TypeError: The feature does not hold numbers.
            ValueError: It has another width, or a number is missing and there is no default.
        """
        numbers = values.numbers(features, self.key, self.subject)
        self._check_shape(numbers)
        return self.of_rows(numbers.reshape(len(numbers), self.width))

    def parse_specs(self) -> dict[str, FeatureSpec]:
        """A feature of the column's shape, dtype and default."""
        return {self.key: FixedLenFeature(self.shape, self.dtype, self.default_value)}

    def value_keys(self, features: Features) -> Cells[Int64s]:
        """The hash of each raw number in a batch; MISSING for a missing number."""
        return numbers_by_row(self, features).map(keys_of_numbers)

    def of_rows(self, rows: Tensor) -> Tensor:
        """Fills in the default and applies normalizer_fn: [rows, width] to float32 [rows, width]."""
        if self.normalizer_fn is None:
            return self._filled(rows.to(torch.float32))
        # A copy, since the user's function may change it in place.
        filled = self._filled(rows.to(self.seen_dtype, copy=True))
        return self.normalized(filled)

    @property
    def seen_dtype(self) -> torch.dtype:
        """The dtype that normalizer_fn gets: float64 for columns of float64 and of integers, otherwise float32."""
        if self.dtype in (torch.float16, torch.bfloat16, torch.float32):
            return torch.float32
        return torch.float64

    def _check_shape(self, numbers: Tensor) -> None:
        rest = tuple(numbers.shape[1:])
        if rest in (self.shape, (self.width,)) or (self.width == 1 and rest in ((), (1,))):
            return
        wanted = " or ".join(
            str(["batch", *shape]).replace("'", "")
            for shape in dict.fromkeys([() if self.width == 1 else self.shape, (self.width,)])
        )
        raise ValueError(
            f"Column {self.key!r} expects its feature in the shape {wanted}, but got "
            f"{list(numbers.shape)}: make the column with numeric_column({self.key!r}, "
            f"shape={rest or 1}), or reshape the feature.{'' if len(numbers) else _INDEXED}"
        )

    def _filled(self, numbers: Tensor) -> Tensor:
        """Replaces missing numbers [batch, width] by the default."""
        if not numbers.sum().isnan():  # much quicker than to look at each number
            return numbers
        missing = numbers.isnan()
        if not missing.any():  # infinities of both signs
            return numbers
        if self.default_value is None:
            rows = missing.any(1).nonzero().flatten()
            raise ValueError(
                f"Column {self.key!r} has no number (NaN or null) in {len(rows)} of {len(numbers)} rows of "
                f"a batch, first in row {int(rows[0])}: fill them in, or give "
                f"numeric_column({self.key!r}, default_value=...)."
            )
        default = torch.tensor(self.default_value, dtype=numbers.dtype, device=numbers.device)
        return torch.where(missing, default.reshape(-1), numbers)

    def onnx_numbers(self, graph: OnnxGraph) -> OnnxValue:
        """The default filled in and normalizer_fn applied; without a default, a missing number is refused."""
        rows = graph.op("Reshape", graph.feature(self.key), graph.constant([0, self.width]))
        seen = torch.float32 if self.normalizer_fn is None else self.seen_dtype
        numbers = graph.cast(rows, seen)
        if graph.raw[self.key].is_floating_point:
            missing = graph.op("IsNaN", numbers)
            if self.default_value is None:
                graph.refuse(missing)
            else:
                default = np.asarray(self.default_value, np.float64).reshape(1, -1)
                numbers = graph.op("Where", missing, graph.constant(default, seen), numbers)
        return numbers if self.normalizer_fn is None else graph.normalized(self, numbers)

    def normalized(self, rows: Tensor) -> Tensor:
        """The result of normalizer_fn for [rows, width], float32 [rows, width]."""
        assert self.normalizer_fn is not None
        shaped = rows.reshape(rows.shape[0], *(self.shape or (1,)))
        normalized = self.normalizer_fn(shaped)
        if not isinstance(normalized, Tensor):
            raise TypeError(
                f"normalizer_fn of column {self.key!r} returned a {type(normalized).__name__}: it gets a "
                "tensor and must return one of the same shape."
            )
        if normalized.shape != shaped.shape:
            raise ValueError(
                f"normalizer_fn of column {self.key!r} made {list(normalized.shape)} of "
                f"{list(shaped.shape)}: it must keep the shape."
            )
        return normalized.to(torch.float32).reshape(shaped.shape[0], self.width)


def numbers_by_row(column: KeyedColumn, features: Features) -> Cells[npt.NDArray[np.float64]]:
    """The raw numbers of a column, NaN for a missing one."""
    cells = values.cells(features, column.key, column.subject, numeric=True)
    return cells.map(lambda flat: arrays.to_tensor(flat, column.key).double().numpy())


def numeric_column(
    key: str,
    shape: int | Sequence[int] = (1,),
    default_value: npt.ArrayLike | None = None,
    dtype: Dtype = torch.float32,
    normalizer_fn: Callable[[Tensor], Tensor] | None = None,
) -> NumericColumn:
    """A column of numbers.

    Args:
        key: The key of the feature, which is [batch] or [batch, *shape], or [batch, width] where
            width is the product of the shape. Integers, floats and booleans (0 and 1) are numbers.
        shape: The shape of a row.
        default_value: Replaces missing numbers (NaN, None, null): one number, or an array of the column's
            shape. Without a default, a missing number is an error.
        dtype: The dtype of the feature in serialized examples. normalizer_fn gets float64 for columns of
            float64 or integers, otherwise float32. The encoding is always float32.
        normalizer_fn: Changes the numbers, for example `lambda x: (x - 30) / 10`; gets a tensor
            [batch, *shape] and returns one of that shape. Defaults to no change.

    Raises:
        TypeError: The shape, the default or normalizer_fn has the wrong type.
        ValueError: The key is not a string, a dimension is below 1, the default has another shape, or
            the dtype is not numeric.

    >>> numeric_column("age").name
    'age'
    """
    checks.key(key)
    checked = _checked_shape(shape, key)
    number_dtype = checks.number_dtype(dtype, key)
    if normalizer_fn is not None and not callable(normalizer_fn):
        raise TypeError(
            f"normalizer_fn of column {key!r} is {checks.shown(normalizer_fn)}: give a function of a tensor, such as "
            "lambda x: (x - 30) / 10."
        )
    default = _checked_default(default_value, checked, number_dtype, key)
    return NumericColumn(key, checked, default, number_dtype, normalizer_fn)


def _checked_shape(shape: object, key: str) -> tuple[int, ...]:
    dimensions = tuple(shape) if is_list(shape) else (shape,)
    for dimension in dimensions:
        if not is_whole(dimension):
            raise TypeError(
                f"shape of column {key!r} is {checks.shown(shape)}: give an integer or a tuple of integers."
            )
        if dimension < 1:
            raise ValueError(
                f"shape of column {key!r} is {checks.shown(shape)}: give dimensions of at least 1."
            )
    return tuple(int(dimension) for dimension in dimensions)


def _checked_default(value: object, shape: tuple[int, ...], dtype: torch.dtype, key: str) -> object:
    """None, or the default as nested tuples of the given shape."""
    if value is None:
        return None
    array = _as_array(value)
    if array.dtype.kind not in ("iuf" if dtype.is_floating_point else "iu"):
        raise TypeError(
            f"default_value of column {key!r} is {checks.shown(value)}: give "
            f"{'a number' if dtype.is_floating_point else 'an integer'}, as the dtype is "
            f"{str(dtype).removeprefix('torch.')}."
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"default_value of column {key!r} is {checks.shown(value)}: give a number, which models can compute with."
        )
    if array.ndim and array.shape != shape:
        raise ValueError(
            f"default_value of column {key!r} has the shape {array.shape} and the column {shape}: give "
            "one number or an array of the column's shape."
        )
    return as_tuples(np.broadcast_to(array, shape).tolist())


def _as_array(value: object) -> NumpyArray:
    try:
        return np.asarray(value)
    except ValueError:  # lists of differing lengths
        return np.asarray(value, dtype=object)
