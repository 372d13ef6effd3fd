"""The inputs of an exported model: one or more tensors for each column or feature that its model_fn reads.

A batch is encoded as in training. Its encodings become plain tensors, from which the model restores the encodings. Ids
and steps are matrices, since shapes in a traced model must not depend on values:

==================== ============================================================
numbers of a column  float32 [batch, width]
one id               int64 [batch], −1 for none; its weight, float32 [batch]
several ids          int64 [batch, n], filled up with −1; weights [batch, n]
ids of a sequence    int64 [batch, steps], lengths int64 [batch]
numbers of steps     float32 [batch, steps, width], lengths int64 [batch]
a feature itself     as it is
nothing              int64 [batch], zeros, of the first feature
==================== ============================================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.columns.ids import Ids, PaddedIds
from torchest.columns.steps import IdSteps, PaddedSteps
from torchest.utils import arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.columns.features import Column, Features
    from torchest.columns.onnx_graph import (
        ColumnOfIds,
        ColumnOfNumbers,
        ColumnOfSteps,
        OnnxGraph,
        OnnxValue,
    )
    from torchest.columns.steps import Steps
    from torchest.utils.tensor_group import Encoding

BATCH = "batch"
STEPS = "steps"


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that an exported model takes or returns.

    Attributes:
        name: Its name.
        dtype: Its dtype.
        shape: Its dimensions; one that differs between batches has a name.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int | str, ...]


@dataclass(frozen=True, eq=False)
class ModelInput(ABC):
    """The tensors of a column or feature that a model takes.

    Attributes:
        source: The column, or the key of the feature.
        name: The name of its first tensor.
    """

    source: Column | str
    name: str

    @property
    @abstractmethod
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The tensors, in order."""

    @abstractmethod
    def take(self, features: Features) -> list[Tensor]:
        """The tensors of a batch of raw features."""

    @abstractmethod
    def encoding(self, tensors: Sequence[Tensor]) -> Encoding:
        """The encoding that the model reads, from the tensors."""

    @abstractmethod
    def onnx_tensors(self, graph: OnnxGraph) -> list[OnnxValue]:
        """The tensors in nodes of ONNX."""


@dataclass(frozen=True, eq=False)
class FeatureInput(ModelInput):
    """A feature that model_fn reads itself.

    Attributes:
        dtype: Its dtype.
        shape: The shape of a row.
    """

    source: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """One."""
        return (TensorSpec(self.name, self.dtype, (BATCH, *self.shape)),)

    def take(self, features: Features) -> list[Tensor]:
        """The feature."""
        return [features[self.source]]

    def encoding(self, tensors: Sequence[Tensor]) -> Tensor:
        """The tensor itself."""
        return tensors[0]

    def onnx_tensors(self, graph: OnnxGraph) -> list[OnnxValue]:
        """The feature."""
        return [graph.feature(self.source)]


@dataclass(frozen=True, eq=False)
class RowsInput(FeatureInput):
    """A zero for each row, for a model that reads no feature, and only needs the number of rows."""

    dtype: torch.dtype = torch.int64
    shape: tuple[int, ...] = ()

    def take(self, features: Features) -> list[Tensor]:
        """Zeros, as many as the feature has rows."""
        return [torch.zeros(arrays.length(features.raw(self.source)), dtype=self.dtype)]

    def onnx_tensors(self, graph: OnnxGraph) -> list[OnnxValue]:
        """Zeros, as many as the feature has rows."""
        count = graph.op("Shape", graph.values_of(self.source), end=1)
        return [graph.op("Expand", graph.constant([0]), count)]


@dataclass(frozen=True, eq=False)
class NumbersInput(ModelInput):
    """The numbers of a dense column."""

    source: ColumnOfNumbers

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """One."""
        return (TensorSpec(self.name, torch.float32, (BATCH, self.source.width)),)

    def take(self, features: Features) -> list[Tensor]:
        """The numbers."""
        return [features.encoded(self.source)]

    def encoding(self, tensors: Sequence[Tensor]) -> Tensor:
        """The tensor itself."""
        return tensors[0]

    def onnx_tensors(self, graph: OnnxGraph) -> list[OnnxValue]:
        """The numbers."""
        return [graph.numbers(self.source)]


@dataclass(frozen=True, eq=False)
class IdsInput(ModelInput):
    """The ids of a categorical column.

    Attributes:
        single: Whether each row has one id or none.
        weighted: Whether ids have weights.
    """

    source: ColumnOfIds
    single: bool
    weighted: bool

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """Ids, and weights if there are any."""
        shape = (BATCH,) if self.single else (BATCH, f"values of {self.name}")
        ids = TensorSpec(self.name, torch.int64, shape)
        weights = TensorSpec(f"{self.name}/weights", torch.float32, shape)
        return (ids, weights) if self.weighted else (ids,)

    def take(self, features: Features) -> list[Tensor]:
        """Ids filled up with −1."""
        ids: Ids = features.encoded(self.source)
        padded = ids.padded()
        parts = [padded.values] if padded.weights is None else [padded.values, padded.weights]
        if not self.single:
            return parts
        # a cross whose columns have no value in some row gives no id there, by its offsets
        return [part[:, 0] if part.shape[1] else _nothing(part) for part in parts]

    def encoding(self, tensors: Sequence[Tensor]) -> Ids | PaddedIds:
        """One id for each row, or a matrix."""
        weights = tensors[1] if self.weighted else None
        return Ids(tensors[0], None, weights) if self.single else PaddedIds(tensors[0], weights)

    def onnx_tensors(self, graph: OnnxGraph) -> list[OnnxValue]:
        """Ids filled up with −1."""
        ids = graph.ids(self.source)
        known = graph.op("Max", ids, graph.constant(-1))
        return [known, self.source.onnx_weights(graph, ids)] if self.weighted else [known]


@dataclass(frozen=True, eq=False)
class SequenceInput(ModelInput):
    """The steps of a sequence column: a matrix, and lengths.

    Attributes:
        fill: The padding after the last step of a row.
    """

    source: ColumnOfSteps
    fill: float

    def onnx_tensors(self, graph: OnnxGraph) -> list[OnnxValue]:
        """Steps and lengths."""
        return graph.sequence(self.source)


@dataclass(frozen=True, eq=False)
class IdStepsInput(SequenceInput):
    """The ids of a sequence column."""

    fill: float = -1

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """Ids and lengths."""
        return (
            TensorSpec(self.name, torch.int64, (BATCH, STEPS)),
            TensorSpec(f"{self.name}/lengths", torch.int64, (BATCH,)),
        )

    def take(self, features: Features) -> list[Tensor]:
        """Ids padded with −1, and the number of steps of each row."""
        ids: Ids | IdSteps = features.encoded(self.source)
        if isinstance(ids, IdSteps):
            raise ValueError(
                f"Column {self.name!r} has several values in a step, which cannot be exported: give its feature as "
                "[batch, steps], with one value in each step."
            )
        padded = ids.padded()
        assert padded.lengths is not None
        return [padded.values, padded.lengths]

    def encoding(self, tensors: Sequence[Tensor]) -> PaddedIds:
        """A matrix."""
        return PaddedIds(tensors[0], None, tensors[1])


@dataclass(frozen=True, eq=False)
class NumberStepsInput(SequenceInput):
    """The numbers of a sequence column.

    Attributes:
        width: The number of values in a step.
    """

    width: int

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """Steps and lengths."""
        return (
            TensorSpec(self.name, torch.float32, (BATCH, STEPS, self.width)),
            TensorSpec(f"{self.name}/lengths", torch.int64, (BATCH,)),
        )

    def take(self, features: Features) -> list[Tensor]:
        """Steps padded with the column's default, and the number of steps of each row."""
        steps: Steps = features.encoded(self.source)
        return [steps.padded(self.fill), steps.lengths]

    def encoding(self, tensors: Sequence[Tensor]) -> PaddedSteps:
        """Steps in a matrix."""
        return PaddedSteps(tensors[0], tensors[1])


def _nothing(part: Tensor) -> Tensor:
    """A column of padding for a matrix of width 0: no id, or no weight."""
    fill = 0 if part.is_floating_point() else -1
    return part.new_full((part.shape[0],), fill)
