"""The categorical column with weights from another feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from torchest.columns import checks
from torchest.columns.base import CategoricalColumn, ColumnOverIds
from torchest.columns.encode import values
from torchest.columns.encode.cells import MISSING
from torchest.columns.feature_specs import VarLenFeature, merge
from torchest.columns.onnx_graph import count_up_to_last, resized
from torchest.utils import arrays

if TYPE_CHECKING:
    import numpy.typing as npt

    from torchest.columns.base import Example
    from torchest.columns.encode.cells import Cells
    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.feature_specs import Dtype, FeatureSpec
    from torchest.columns.features import Features
    from torchest.columns.ids import Ids
    from torchest.columns.onnx_graph import OnnxGraph, OnnxValue


@dataclass(frozen=True, eq=False)
class WeightedCategoricalColumn(CategoricalColumn, ColumnOverIds):
    """Ids with weights; made by `weighted_categorical_column`."""

    categorical_column: CategoricalColumn
    weight_feature_key: str
    dtype: torch.dtype

    is_weighted: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The names of the ids and of the weights."""
        return f"{self.categorical_column.name}_weighted_by_{self.weight_feature_key}"

    @property
    def feature_keys(self) -> tuple[str, ...]:
        """The keys of the ids and of the weights."""
        return (*self.categorical_column.feature_keys, self.weight_feature_key)

    @property
    def num_buckets(self) -> int:
        """The same as of the column of ids."""
        return self.categorical_column.num_buckets

    def look_up(self, features: Features) -> Cells[Int64s]:
        """The ids."""
        return self.categorical_column.cells(features)

    def parse_specs(self) -> dict[str, FeatureSpec]:
        """The specs of the ids, and any number of weights."""
        specs = dict(self.categorical_column.parse_specs())
        merge(specs, {self.weight_feature_key: VarLenFeature(self.dtype)}, self.name)
        return specs

    def examples(self) -> dict[str, tuple[Example, ...]]:
        """The examples of the ids, and weights."""
        return {**self.categorical_column.examples(), self.weight_feature_key: (1.0, 0.5, 2.0)}

    def encode(self, features: Features) -> Ids:
        """The ids of a batch with their weights.

        Raises:
            ValueError: The number of weights in a row differs from the number of ids, or a weight is missing.
        """
        cells = self.look_up(features)
        weights = self._weights(features, cells)
        unknown = np.isnan(weights)
        if unknown.any():
            without = np.flatnonzero(unknown & (cells.values >= 0))
            if without.size:
                raise ValueError(
                    f"{self.subject}: feature {self.weight_feature_key!r} has no weight (NaN or null) for "
                    f"{without.size} of the ids of a batch: fill them in, for example with 1."
                )
            weights = np.where(unknown, np.float32(0), weights)
        return cells.ids(weights)

    def _weights(self, features: Features, cells: Cells[Int64s]) -> npt.NDArray[np.float32]:
        """One weight for each value, in the same order."""
        weights = values.cells(features, self.weight_feature_key, self.subject, numeric=True)
        same_rows = len(weights.values) == len(cells.values) and np.array_equal(
            weights.with_offsets()[1], cells.with_offsets()[1]
        )
        if not same_rows:
            raise ValueError(
                f"{self.subject}: feature {self.weight_feature_key!r} must have one weight for each value of "
                f"{self.categorical_column.name!r}, row by row, but has {len(weights.values)} weights for "
                f"{len(cells.values)} values{self._first_difference(weights, cells)}."
            )
        numbers = arrays.to_tensor(weights.values, self.weight_feature_key)
        return numbers.to(torch.float32).numpy()

    def _first_difference(self, weights: Cells[values.FlatArray], cells: Cells[Int64s]) -> str:
        counts, expected = (np.diff(part.with_offsets()[1]) for part in (weights, cells))
        if len(counts) != len(expected):
            return ""
        row = int(np.flatnonzero(counts != expected)[0])
        return f"; row {row} has {counts[row]} and {expected[row]}"

    def onnx_ids(self, graph: OnnxGraph) -> OnnxValue:
        """The ids."""
        return graph.ids(self.categorical_column)

    def onnx_weights(self, graph: OnnxGraph, ids: OnnxValue) -> OnnxValue:
        """The weights; refuses rows whose numbers of weights and ids differ."""
        raw = graph.raw[self.weight_feature_key]
        weights = graph.cast(graph.values_of(self.weight_feature_key), torch.float32)
        single = self.categorical_column.is_single(graph.raw)
        if not (single and raw.is_single):
            weights = graph.in_rows(weights, raw.is_single)
            ids = graph.in_rows(ids, single)
            weights = self._onnx_beside(graph, ids, weights)
        unknown = graph.op("IsNaN", weights)
        graph.refuse(graph.op("And", unknown, graph.op("GreaterOrEqual", ids, graph.constant(0))))
        known = graph.op("Where", unknown, graph.constant(0, torch.float32), weights)
        return graph.flat(known) if single else known

    def _onnx_beside(self, graph: OnnxGraph, ids: OnnxValue, weights: OnnxValue) -> OnnxValue:
        """Weights [batch, m] at the positions of ids [batch, n], NaN for ids without a weight."""
        source = self.categorical_column
        there = graph.op("Not", graph.equal(ids, MISSING))
        width = graph.op("Shape", ids, start=1, end=2)
        known = graph.op("Not", graph.op("IsNaN", weights))
        weight_count = count_up_to_last(known, graph)
        weights = resized(weights, width, graph.constant(np.nan, torch.float32), graph)
        if not source.keeps_missing:
            numbers = graph.op("CumSum", graph.cast(there, torch.int64), graph.constant(1))
            counted = graph.cast(there, torch.int64)
            id_count = graph.op("ReduceSum", counted, graph.constant([1]), keepdims=0)
            less_one = graph.op("Sub", numbers, graph.constant(1))
            places = graph.op("Max", less_one, graph.constant(0))
            weights = graph.op("GatherElements", weights, places, axis=1)
        elif any(graph.raw[key].ragged for key in source.feature_keys):
            id_count = count_up_to_last(there, graph)
        else:
            id_count = width
        graph.refuse(graph.op("Greater", weight_count, id_count))
        return weights


def weighted_categorical_column(
    categorical_column: CategoricalColumn, weight_feature_key: str, dtype: Dtype = torch.float32
) -> WeightedCategoricalColumn:
    """A categorical column whose values have weights, such as word counts.

    An indicator sums the weights of each id; an embedding or a linear model multiplies by them.

    Args:
        categorical_column: The column of the values.
        weight_feature_key: The key of the weights: one number for each value, in the same form (lists or a
            matrix; weights of padding are ignored).
        dtype: The dtype of the weights in serialized examples.

    Raises:
        ValueError: An argument is wrong.
    """
    checks.categorical(categorical_column, "categorical_column")
    if isinstance(categorical_column, WeightedCategoricalColumn):
        raise ValueError(
            f"categorical_column is {categorical_column.name!r}, which has weights already: give the column "
            "without them."
        )
    checks.key(weight_feature_key, "weight_feature_key")
    name = f"{categorical_column.name}_weighted_by_{weight_feature_key}"
    return WeightedCategoricalColumn(
        categorical_column, weight_feature_key, checks.number_dtype(dtype, name)
    )
