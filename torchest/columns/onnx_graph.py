"""The graph to which columns add their ONNX nodes, and nodes that several columns share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import torch

from torchest.columns.features import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt
    import onnx_ir as ir
    from torch import Tensor

    from torchest.columns.raw_features import RawFeature

    OnnxValue: TypeAlias = ir.Value
    OnnxDtype: TypeAlias = torch.dtype | str | ir.DataType
    OnnxAttribute: TypeAlias = int | float | str | Sequence[int] | Sequence[str] | ir.Graph


class OnnxGraph(Protocol):
    """The graph from raw features to encoded columns, to which columns add their nodes.

    A dtype is a torch dtype, or "string"; int64 by default. Ids are int64 [batch], or [batch, n] for several values in
    a row, −1 for an unknown and `MISSING` for a missing value.
    """

    @property
    def raw(self) -> Mapping[str, RawFeature]:
        """The dtypes and shapes of the features, by key."""

    def op(
        self, kind: str, *inputs: OnnxValue | None, domain: str = "", **attributes: OnnxAttribute
    ) -> OnnxValue:
        """Adds a node with one output, and returns the output."""

    def constant(self, value: npt.ArrayLike, dtype: OnnxDtype = ...) -> OnnxValue:
        """A constant."""

    def cast(self, value: OnnxValue, dtype: OnnxDtype) -> OnnxValue:
        """A value in another dtype."""

    def equal(self, value: OnnxValue, constant: npt.ArrayLike) -> OnnxValue:
        """Where integers equal a constant."""

    def flat(self, value: OnnxValue) -> OnnxValue:
        """A value in one dimension."""

    def in_shape_of(self, value: OnnxValue, other: OnnxValue) -> OnnxValue:
        """A value in the shape of another one of the same size."""

    def in_rows(self, value: OnnxValue, single: bool) -> OnnxValue:
        """A value [batch], if rows are single, or [batch, ...] as [batch, n]."""

    def feature(self, key: str) -> OnnxValue:
        """A feature as the caller gives it."""

    def values_of(self, key: str) -> OnnxValue:
        """A feature as [batch] if each row has one value, else as [batch, n]."""

    def integers_of(self, key: str) -> OnnxValue:
        """A feature as int64, in the shape of `values_of`; −1 is missing. Refuses rows with fractions."""

    def text_of(self, key: str) -> OnnxValue:
        """A feature as strings, in the shape of `values_of`; integers become decimal text, "" is missing."""

    def is_empty(self, text: OnnxValue) -> OnnxValue:
        """Where strings are empty."""

    def fingerprints(self, text: OnnxValue) -> OnnxValue:
        """The FarmHash Fingerprint64 of strings, uint64."""

    def takes_fingerprints_of(self, key: str) -> bool:
        """Whether the caller passes fingerprints of a feature instead of its text."""

    def hashed(self, key: str) -> tuple[OnnxValue, OnnxValue]:
        """The fingerprints of a feature as text, uint64, and where it is empty."""

    def fingerprint_cat64(self, first: OnnxValue, second: OnnxValue) -> OnnxValue:
        """Combines two fingerprints, like `torchest.columns.encode.fingerprint.fingerprint_cat64`."""

    def buckets(self, fingerprints: OnnxValue, count: int) -> OnnxValue:
        """Fingerprints modulo a number of buckets, int64."""

    def missing_where(self, missing: OnnxValue, ids: OnnxValue) -> OnnxValue:
        """The ids, `MISSING` where a value is missing."""

    def numbers(self, column: ColumnOfNumbers) -> OnnxValue:
        """The numbers of another column, float32 [batch, width]."""

    def ids(self, column: ColumnOfIds) -> OnnxValue:
        """The ids of another column."""

    def sequence(self, column: ColumnOfSteps) -> list[OnnxValue]:
        """The steps of a column, as many as any sequence column has room for, and the lengths of rows."""

    def normalized(self, column: NormalizedColumn, numbers: OnnxValue) -> OnnxValue:
        """The result of a column's normalizer_fn for numbers, float32 [rows, width]."""

    def refuse(self, wrong: OnnxValue) -> None:
        """Makes NaN, −1 and "" the answers of rows for which a condition [batch] or [batch, ...] holds."""


class ColumnOfNumbers(Column, Protocol):
    """A dense column, as an export sees it."""

    @property
    def width(self) -> int:
        """The number of numbers in a row."""

    def onnx_numbers(self, graph: OnnxGraph) -> OnnxValue:
        """The numbers, float32 [batch, width]."""


class ColumnOfIds(Column, Protocol):
    """A categorical column, as an export sees it."""

    def onnx_ids(self, graph: OnnxGraph) -> OnnxValue:
        """The ids."""

    def onnx_weights(self, graph: OnnxGraph, ids: OnnxValue) -> OnnxValue:
        """The weights of the ids."""


class ColumnOfSteps(Column, Protocol):
    """A sequence column, as an export sees it."""

    def onnx_steps(self, graph: OnnxGraph) -> OnnxSteps:
        """The steps."""


class NormalizedColumn(Column, Protocol):
    """A numeric column with a user's function."""

    @property
    def width(self) -> int:
        """The number of numbers in a row."""

    @property
    def seen_dtype(self) -> torch.dtype:
        """The dtype that the function gets."""

    @property
    def normalizer_fn(self) -> Callable[[Tensor], Tensor] | None:
        """The function."""

    def normalized(self, rows: Tensor) -> Tensor:
        """The result of the function for [rows, width], float32 [rows, width]."""


@dataclass(frozen=True)
class OnnxSteps:
    """The steps of a sequence column.

    Attributes:
        lengths: The number of steps of each row, int64 [batch].
        room: The number of steps that the feature has room for, int64 [1].
        widened: Makes the tensor [batch, steps, ...] for a number of steps, at least `room`.
    """

    lengths: OnnxValue
    room: OnnxValue
    widened: Callable[[OnnxValue], OnnxValue]


def is_before(counts: OnnxValue, matrix: OnnxValue, graph: OnnxGraph) -> OnnxValue:
    """Whether each position of a matrix [batch, n] is among the first `counts` of its row."""
    size = graph.op("Squeeze", graph.op("Shape", matrix, start=1, end=2), graph.constant([0]))
    places = graph.op("Range", graph.constant(0), size, graph.constant(1))
    return graph.op("Less", places, graph.op("Unsqueeze", counts, graph.constant([1])))


def count_up_to_last(marked: OnnxValue, graph: OnnxGraph) -> OnnxValue:
    """The number of elements of each row [batch, n] up to the last marked one, int64 [batch]."""
    size = graph.op("Squeeze", graph.op("Shape", marked, start=1, end=2), graph.constant([0]))
    numbers = graph.op(
        "Range", graph.constant(1), graph.op("Add", size, graph.constant(1)), graph.constant(1)
    )
    ends = graph.op("Mul", numbers, graph.cast(marked, torch.int64))
    padded = graph.op("Pad", ends, graph.constant([0, 1, 0, 0]))  # no places have no maximum
    return graph.op("ReduceMax", padded, graph.constant([1]), keepdims=0)


def resized(matrix: OnnxValue, size: OnnxValue, fill: OnnxValue, graph: OnnxGraph) -> OnnxValue:
    """Cuts or pads a matrix [batch, n] to [batch, size]."""
    zero = graph.constant([0])
    pads = graph.op("Concat", zero, zero, zero, size, axis=0)
    wide = graph.op("Pad", matrix, pads, fill)
    return graph.op("Slice", wide, zero, size, graph.constant([1]))
