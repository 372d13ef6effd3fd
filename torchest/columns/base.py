"""What every feature column has: a name, the keys of its raw features, and an encoding of a batch."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from torchest.columns.model_inputs import IdsInput, ModelInput, NumbersInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from torchest.columns.encode.cells import Cells, Int64s
    from torchest.columns.features import Features
    from torchest.columns.ids import Ids
    from torchest.columns.onnx_graph import OnnxGraph, OnnxValue
    from torchest.columns.raw_features import RawFeature
    from torchest.utils.tensor_group import Encoding


class FeatureColumn(ABC):
    """How raw features become a tensor, or ids.

    Columns are frozen dataclasses: two with equal fields are equal, and share their encoding of a
    batch. Lookup tables and caches hang on a column as attributes besides its fields; they count
    neither in comparisons nor in pickles.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The column's name: parameters, outputs and errors are called by it."""

    @property
    @abstractmethod
    def feature_keys(self) -> tuple[str, ...]:
        """The keys of the raw features that the column reads."""

    @abstractmethod
    def encode(self, features: Features) -> Encoding:
        """What models get of a batch."""

    @property
    def members(self) -> tuple[FeatureColumn, ...]:
        """The columns that are encoded with this one: itself."""
        return (self,)

    @property
    def exported_column(self) -> FeatureColumn:
        """The column whose encoding an exported model takes, from which it computes this one's: itself."""
        return self

    def model_input(self, name: str, raw: Mapping[str, RawFeature]) -> ModelInput:  # noqa: ARG002
        """The tensors that an exported model takes of the column.

        Args:
            name: The name of the first of them.
            raw: The dtypes and shapes of the features, by key.
        """
        kind = type(self).__name__
        raise ValueError(
            f"{self.subject} ({kind}) cannot be exported: {kind} is neither a DenseColumn nor a CategoricalColumn. "
            "Make it a subclass of one of them, or compute it in model_fn."
        )

    @property
    def subject(self) -> str:
        """What errors about the column begin with."""
        return f"Column {self.name!r}"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _fields(self) == _fields(other)

    def __hash__(self) -> int:
        # Kept: a vocabulary may have millions of words, and columns are keys of dictionaries.
        kept: int | None = self.__dict__.get("_hash")
        if kept is None:
            # A user's initializer or normalizer_fn need not be hashable.
            values = [value for value in _fields(self).values() if not callable(value)]
            kept = self.__dict__["_hash"] = hash((type(self), *values))
        return kept

    def __getstate__(self) -> dict[str, Any]:
        return _fields(self)


class DenseColumn(FeatureColumn):
    """A column whose encoding is a float32 tensor [batch, width]."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers a row has."""

    @abstractmethod
    def encode(self, features: Features) -> Tensor:
        """The numbers of a batch, float32 [batch, width]."""

    def model_input(self, name: str, raw: Mapping[str, RawFeature]) -> ModelInput:  # noqa: ARG002
        """One tensor of numbers."""
        return NumbersInput(self, name)

    def onnx_numbers(self, graph: OnnxGraph) -> OnnxValue:  # noqa: ARG002
        """The numbers in nodes of ONNX, float32 [batch, width].

        Raises:
            ValueError: The class does not define it.
        """
        raise _no_onnx_form(self, "onnx_numbers(graph)")


class CategoricalColumn(FeatureColumn):
    """A column whose encoding is ids in [0, num_buckets).

    Attributes:
        keeps_missing: Whether `look_up` has a value for each that is missing.
        is_weighted: Whether `encode` gives ids with weights.
    """

    keeps_missing: ClassVar[bool] = True
    is_weighted: ClassVar[bool] = False

    @property
    @abstractmethod
    def num_buckets(self) -> int:
        """How many ids there are."""

    @abstractmethod
    def look_up(self, features: Features) -> Cells[Int64s]:
        """The id of every value of a batch, −1 for an unknown and MISSING for a missing value."""

    def encode(self, features: Features) -> Ids:
        """The ids of a batch, without those of unknown and missing values."""
        return self.look_up(features).ids()

    def is_single(self, raw: Mapping[str, RawFeature]) -> bool:
        """Whether each row has at most one id.

        Args:
            raw: The dtypes and shapes of the features, by key.
        """
        return all(raw[key].is_single for key in self.feature_keys)

    def model_input(self, name: str, raw: Mapping[str, RawFeature]) -> ModelInput:
        """A tensor of ids, and one of weights if there are any."""
        return IdsInput(self, name, self.is_single(raw), self.is_weighted)

    def onnx_ids(self, graph: OnnxGraph) -> OnnxValue:  # noqa: ARG002
        """The ids in nodes of ONNX, int64 [batch] if rows are single, else [batch, n].

        −1 stands for an unknown and `MISSING` for a missing value.

        Raises:
            ValueError: The class does not define it.
        """
        raise _no_onnx_form(self, "onnx_ids(graph)")

    def onnx_weights(self, graph: OnnxGraph, ids: OnnxValue) -> OnnxValue:  # noqa: ARG002
        """The weights in nodes of ONNX, float32 in the shape of `ids`.

        Raises:
            ValueError: The class does not define it.
        """
        raise _no_onnx_form(self, "onnx_weights(graph, ids)")


def _no_onnx_form(column: FeatureColumn, method: str) -> ValueError:
    kind = type(column).__name__
    return ValueError(
        f"{column.subject} ({kind}) has no ONNX form: define {kind}.{method}, or export with "
        "formats=('torchscript',)."
    )


def _fields(column: FeatureColumn) -> dict[str, Any]:
    return {
        field.name: getattr(column, field.name)
        for field in dataclasses.fields(column)  # type: ignore[arg-type]
    }
