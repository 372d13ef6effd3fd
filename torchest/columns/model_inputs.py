"""What an exported model takes: one or a few tensors for each column or feature that its model_fn reads.

A batch is encoded as in training; here its encodings become plain tensors and encodings again. Ids and steps
lie in matrices, since a traced model must not have shapes that depend on values:

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
import torch.nn.functional as F
from torch import Tensor

from torchest.columns.base import CategoricalColumn, DenseColumn, FeatureColumn
from torchest.columns.bucketized import BucketizedColumn
from torchest.columns.crossed import CrossedColumn
from torchest.columns.embedding import EmbeddingColumn, SharedEmbeddingColumn
from torchest.columns.ids import Ids, PaddedIds
from torchest.columns.indicator import IndicatorColumn
from torchest.columns.sequence import SequenceCategoricalColumn, SequenceNumericColumn
from torchest.columns.steps import IdSteps, PaddedSteps
from torchest.columns.weighted import WeightedCategoricalColumn
from torchest.utils import arrays

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torchest.columns.features import Features
    from torchest.columns.raw_features import RawFeature
    from torchest.columns.steps import Steps

BATCH = "batch"
STEPS = "steps"


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that an exported model takes or gives.

    Attributes:
        name: Its name.
        dtype: Its dtype.
        shape: Its dimensions; one that differs between batches has a name.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int | str, ...]


@dataclass(frozen=True, eq=False)
class Encoded(ABC):
    """What the model takes of a column or a feature.

    Attributes:
        source: The column, or the key of the feature.
        name: What its tensors are called by.
    """

    source: FeatureColumn | str
    name: str

    @property
    @abstractmethod
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The tensors, in order."""

    @abstractmethod
    def take(self, features: Features) -> list[Tensor]:
        """The tensors of a batch of raw features."""

    @abstractmethod
    def encoding(self, given: Sequence[Tensor]) -> Tensor | Ids | PaddedIds | PaddedSteps:
        """What the model reads, of the tensors."""


@dataclass(frozen=True, eq=False)
class Numbers(Encoded):
    """Numbers of a dense column, or a feature that model_fn reads itself.

    Attributes:
        dtype: Their dtype.
        shape: The shape of a row.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """One."""
        return (TensorSpec(self.name, self.dtype, (BATCH, *self.shape)),)

    def take(self, features: Features) -> list[Tensor]:
        """What the column made, or the feature."""
        if isinstance(self.source, str):
            return [features[self.source]]
        return [features.encoded(self.source)]

    def encoding(self, given: Sequence[Tensor]) -> Tensor:
        """The tensor itself."""
        return given[0]


@dataclass(frozen=True, eq=False)
class Rows(Encoded):
    """A zero for each row: for a model that reads no feature, and answers by the number of rows."""

    source: str

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """One."""
        return (TensorSpec(self.name, torch.int64, (BATCH,)),)

    def take(self, features: Features) -> list[Tensor]:
        """Zeros."""
        return [torch.zeros(arrays.length(features.raw(self.source)), dtype=torch.int64)]

    def encoding(self, given: Sequence[Tensor]) -> Tensor:
        """The zeros."""
        return given[0]


@dataclass(frozen=True, eq=False)
class CategoricalIds(Encoded):
    """Ids of a column.

    Attributes:
        single: Whether each row has one id or none.
        weighted: Whether ids have weights.
    """

    single: bool
    weighted: bool

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """Ids, and perhaps weights."""
        shape = (BATCH,) if self.single else (BATCH, f"values of {self.name}")
        ids = TensorSpec(self.name, torch.int64, shape)
        weights = TensorSpec(f"{self.name}/weights", torch.float32, shape)
        return (ids, weights) if self.weighted else (ids,)

    def take(self, features: Features) -> list[Tensor]:
        """Ids filled up with −1."""
        ids: Ids = features.encoded(self.source)  # type: ignore[arg-type]
        padded = ids.padded()
        parts = [padded.values] if padded.weights is None else [padded.values, padded.weights]
        if not self.single:
            return parts
        # a cross whose columns have no value in some row gives no id there, by its offsets
        return [part[:, 0] if part.shape[1] else _nothing(part) for part in parts]

    def encoding(self, given: Sequence[Tensor]) -> Ids | PaddedIds:
        """One id for each row, or a matrix."""
        weights = given[1] if self.weighted else None
        return Ids(given[0], None, weights) if self.single else PaddedIds(given[0], weights)


@dataclass(frozen=True, eq=False)
class SequenceIds(Encoded):
    """Ids of sequences."""

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """Ids and lengths."""
        return (
            TensorSpec(self.name, torch.int64, (BATCH, STEPS)),
            TensorSpec(f"{self.name}/lengths", torch.int64, (BATCH,)),
        )

    def take(self, features: Features) -> list[Tensor]:
        """Ids filled up with −1, and how many elements each row has."""
        ids = features.encoded(self.source)  # type: ignore[arg-type]
        if isinstance(ids, IdSteps):
            raise ValueError(
                f"Column {self.name!r} has several values in a step, which cannot be exported: give its feature as "
                "[batch, steps], with one value in each step."
            )
        padded = ids.padded()
        return [padded.values, padded.lengths]

    def encoding(self, given: Sequence[Tensor]) -> PaddedIds:
        """A matrix."""
        return PaddedIds(given[0], None, given[1])


@dataclass(frozen=True, eq=False)
class SequenceNumbers(Encoded):
    """Numbers of sequences.

    Attributes:
        width: How many numbers a step has.
        fill: What shorter rows are filled up with.
    """

    width: int
    fill: float

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """Steps and lengths."""
        return (
            TensorSpec(self.name, torch.float32, (BATCH, STEPS, self.width)),
            TensorSpec(f"{self.name}/lengths", torch.int64, (BATCH,)),
        )

    def take(self, features: Features) -> list[Tensor]:
        """Steps filled up with the column's default, and how many each row has."""
        steps: Steps = features.encoded(self.source)  # type: ignore[arg-type]
        return [steps.padded(self.fill), steps.lengths]

    def encoding(self, given: Sequence[Tensor]) -> PaddedSteps:
        """Steps in a matrix."""
        return PaddedSteps(given[0], given[1])


def encoded(
    columns: Iterable[FeatureColumn], keys: Iterable[str], raw: Mapping[str, RawFeature]
) -> list[Encoded]:
    """What a model takes that uses these columns, and reads these features itself.

    Args:
        columns: The columns.
        keys: The keys of the features that it reads as they are; text has no tensors.
        raw: What is known of the features, by key.

    Raises:
        ValueError: The rows of a feature that the model reads itself are lists; or a column is of a kind that
            cannot be exported.
    """
    taken: dict[str, int] = {}

    def unique(name: str) -> str:
        taken[name] = taken.get(name, 0) + 1
        return name if taken[name] == 1 else f"{name}:{taken[name]}"

    numbers = (key for key in sorted(keys) if not raw[key].is_text)
    found = [_of_feature(key, unique(key), raw[key]) for key in numbers]
    read = {read_by_model(column) for column in columns}
    for column in sorted(read, key=lambda column: (column.name, type(column).__name__)):
        found.append(_of_column(column, unique(column.name), raw))
    return found or [Rows(key, key) for key in raw]


def tensors_of(inputs: Iterable[Encoded], features: Features) -> list[Tensor]:
    """The tensors that a model takes of a batch of raw features; sequences have as many steps as the longest."""
    listed = list(inputs)
    taken = [given.take(features) for given in listed]
    sequences = [isinstance(given, SequenceIds | SequenceNumbers) for given in listed]
    steps = [parts[0].shape[1] for parts, is_one in zip(taken, sequences, strict=True) if is_one]
    for given, parts, is_one in zip(listed, taken, sequences, strict=True):
        if is_one:
            fill = given.fill if isinstance(given, SequenceNumbers) else -1
            more = [0, 0] * (parts[0].ndim - 2) + [0, max(steps) - parts[0].shape[1]]
            parts[0] = F.pad(parts[0], more, value=fill)
    return [part for parts in taken for part in parts]


def is_single(column: FeatureColumn, raw: Mapping[str, RawFeature]) -> bool:
    """Whether each row has at most one id of a categorical column."""
    if isinstance(column, BucketizedColumn):
        return column.source_column.width == 1
    if isinstance(column, CrossedColumn):
        return all(
            raw[key].is_single if isinstance(key, str) else is_single(key, raw)
            for key in column.keys
        )
    return all(raw[key].is_single for key in column.feature_keys)


def read_by_model(column: FeatureColumn) -> FeatureColumn:
    """What the model makes a column of: embeddings and indicators, of the ids of a categorical one."""
    if isinstance(column, EmbeddingColumn | SharedEmbeddingColumn | IndicatorColumn):
        return column.categorical_column
    return column


def _of_feature(key: str, name: str, raw: RawFeature) -> Encoded:
    if None in raw.shape:
        raise ValueError(
            f"model_fn reads the feature {key!r} itself, whose rows are lists, which cannot be exported: give "
            "it to a column, or make it a tensor."
        )
    return Numbers(key, name, raw.dtype, raw.shape)  # type: ignore[arg-type]


def _of_column(column: FeatureColumn, name: str, raw: Mapping[str, RawFeature]) -> Encoded:
    if isinstance(column, DenseColumn):
        return Numbers(column, name, torch.float32, (column.width,))
    if isinstance(column, SequenceNumericColumn):
        return SequenceNumbers(column, name, column.width, column.default_value)
    if isinstance(column, SequenceCategoricalColumn):
        return SequenceIds(column, name)
    if isinstance(column, CategoricalColumn):
        weighted = isinstance(column, WeightedCategoricalColumn)
        return CategoricalIds(column, name, is_single(column, raw), weighted)
    raise ValueError(
        f"Column {name!r} ({type(column).__name__}) cannot be exported: only the columns of torchest can; a "
        "column of your own can be a normalizer_fn of numeric_column, or be computed in model_fn."
    )


def _nothing(part: Tensor) -> Tensor:
    """For each row of a matrix without places: no id, or no weight."""
    fill = 0 if part.is_floating_point() else -1
    return part.new_full((part.shape[0],), fill)
