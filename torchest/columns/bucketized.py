"""The categorical column of buckets of numbers."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.columns import checks
from torchest.columns.base import CategoricalColumn, Recipe
from torchest.columns.encode.cells import MISSING, Cells
from torchest.columns.encode.fingerprint import spread
from torchest.columns.numeric import NumericColumn, numbers_by_row
from torchest.utils.checks import is_list, is_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torchest.columns.base import Example
    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.feature_specs import FeatureSpec
    from torchest.columns.features import Features
    from torchest.columns.onnx_graph import OnnxGraph, OnnxValue
    from torchest.columns.raw_features import RawFeature


@dataclass(frozen=True, eq=False)
class BucketizedColumn(CategoricalColumn):
    """Buckets between boundaries; made by `bucketized_column`."""

    source_column: NumericColumn
    boundaries: tuple[float, ...]

    @property
    def name(self) -> str:
        """The name of the source with the suffix `_bucketized`."""
        return f"{self.source_column.name}_bucketized"

    @property
    def feature_keys(self) -> tuple[str, ...]:
        """Those of the source column."""
        return self.source_column.feature_keys

    @property
    def num_buckets(self) -> int:
        """The number of buckets, times the width of the source."""
        return (len(self.boundaries) + 1) * self.source_column.width

    def look_up(self, features: Features) -> Cells[Int64s]:
        """Looks up the bucket of each number. Each position in a row has its own buckets."""
        numbers = self.source_column.encode(features).detach().cpu().numpy()
        # In float32 on both sides, so that a number equal to a boundary as written is above it.
        boundaries = np.asarray(self.boundaries, np.float32)
        buckets = np.searchsorted(boundaries, numbers, side="right").astype(np.int64)
        rows, width = buckets.shape
        if width == 1:
            return Cells(buckets.reshape(-1))
        buckets += np.arange(width) * (len(self.boundaries) + 1)
        return Cells(buckets.reshape(-1), np.arange(rows + 1, dtype=np.int64) * width)

    @property
    def has_recipe(self) -> bool:
        """Whether the source is one number a row, unchanged."""
        source = self.source_column
        unchanged = source.normalizer_fn is None and source.is_of_torchest
        return self.is_of_torchest and unchanged and source.shape == (1,)

    def recipe(self) -> Recipe:
        """Finds the number of boundaries that are not above a number."""
        from torchest.kernels import ids

        default: Any = (
            (np.nan,)
            if self.source_column.default_value is None
            else self.source_column.default_value
        )
        table = np.array([*default, *self.boundaries], np.float32)
        takes = ids.TAKES_NUMBERS | ids.TAKES_BOOLS
        return Recipe(ids.BUCKETS, takes, len(self.boundaries), table=table)

    @property
    def takes_floats(self) -> bool:
        """True."""
        return True

    def parse_specs(self) -> dict[str, FeatureSpec]:
        """Those of the source column."""
        return self.source_column.parse_specs()

    def examples(self) -> dict[str, tuple[Example, ...]]:
        """Boundaries, and the next float32 above each."""
        listed = self.boundaries[:3] + self.boundaries[-1:]
        above = np.nextafter(np.array(listed, np.float32), np.float32(np.inf)).tolist()
        pairs = zip(listed, above, strict=True)
        return {self.source_column.key: tuple(itertools.chain.from_iterable(pairs))}

    def is_single(self, raw: Mapping[str, RawFeature]) -> bool:  # noqa: ARG002
        """Whether each row has one number."""
        return self.source_column.width == 1

    def onnx_ids(self, graph: OnnxGraph) -> OnnxValue:
        """The bucket of every number."""
        numbers = graph.op("Unsqueeze", graph.numbers(self.source_column), graph.constant([2]))
        boundaries = graph.constant(self.boundaries, torch.float32)
        # so that NaN, which a normalizer_fn may make, is above all boundaries as it is for numpy
        passed = graph.op("Not", graph.op("Less", numbers, boundaries))
        counted = graph.cast(passed, torch.int64)
        buckets = graph.op("ReduceSum", counted, graph.constant([2]), keepdims=0)
        width = self.source_column.width
        if width == 1:
            return graph.flat(buckets)
        first = graph.constant(np.arange(width) * (len(self.boundaries) + 1))
        return graph.op("Add", buckets, first)

    def value_keys(self, features: Features) -> Cells[Int64s]:
        """The hash of each number's bucket; MISSING for NaN."""
        source = self.source_column
        numbers = numbers_by_row(source, features).values
        default = np.zeros(source.shape).tolist()
        filled = dataclasses.replace(
            self, source_column=dataclasses.replace(source, default_value=default)
        )
        keys = filled.look_up(features).map(spread)
        return keys.map(lambda each: np.where(np.isnan(numbers), MISSING, each))

    def count_unknown(self, features: Features) -> None:
        """None: every number has a bucket."""


def bucketized_column(
    source_column: NumericColumn, boundaries: Iterable[float]
) -> BucketizedColumn:
    """A column that maps each number to a bucket.

    Boundaries (b0, b1) give the buckets (−∞, b0), [b0, b1), [b1, +∞). A dense model gets the one-hot
    bucket, a linear model its id.

    Args:
        source_column: A numeric column of one number or a vector per row.
        boundaries: Numbers in ascending order.

    Raises:
        ValueError: An argument is wrong.

    >>> from torchest.columns.numeric import numeric_column
    >>> bucketized_column(numeric_column("age"), [18, 65]).num_buckets
    3
    """
    if not isinstance(source_column, NumericColumn):
        raise ValueError(
            f"source_column is {checks.shown(source_column)}: give a column made by numeric_column."
        )
    if len(source_column.shape) > 1:
        raise ValueError(
            f"source_column {source_column.name!r} has the shape {source_column.shape}: give a column of one "
            "number a row, or of a vector."
        )
    return BucketizedColumn(source_column, _checked_boundaries(boundaries, source_column.name))


def _checked_boundaries(boundaries: object, source: str) -> tuple[float, ...]:
    what = f"boundaries of the bucketized column of {source!r}"
    if not is_list(boundaries):
        raise ValueError(f"{what} are {checks.shown(boundaries)}: give a list of numbers.")
    listed = [
        boundary.item() if isinstance(boundary, np.generic) else boundary for boundary in boundaries
    ]
    if not listed:
        raise ValueError(f"{what} are empty: give at least one number.")
    for boundary in listed:
        if not is_number(boundary) or not math.isfinite(boundary):
            raise ValueError(f"{what} have {checks.shown(boundary)}: give numbers.")
    for lower, upper in itertools.pairwise(listed):
        if lower >= upper:
            raise ValueError(
                f"{what} have {lower!r} before {upper!r}: each must be above the one before."
            )
    return tuple(listed)
