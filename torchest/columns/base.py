"""Base classes of feature columns."""

from __future__ import annotations

import base64
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, TypeAlias

import numpy as np
import torch

from torchest.columns.encode.cells import MISSING, Cells
from torchest.columns.encode.fingerprint import spread
from torchest.columns.model_inputs import IdsInput, ModelInput, NumbersInput
from torchest.utils.checks import shown
from torchest.utils.tensor_group import TensorGroup

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor
    from typing_extensions import Self

    from torchest.columns.encode.cells import Int64s
    from torchest.columns.feature_specs import FeatureSpec
    from torchest.columns.features import Features
    from torchest.columns.ids import Ids
    from torchest.columns.onnx_graph import OnnxGraph, OnnxValue
    from torchest.columns.raw_features import RawFeature
    from torchest.utils.arrays import ArrowArray, NumpyArray
    from torchest.utils.json_form import JSON
    from torchest.utils.tensor_group import Encoding

Example: TypeAlias = int | float | str | bytes
TensorFunction: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

_OTHER_FORMATS = "export with formats=('pt2',)"


class Assets(Protocol):
    """Files and functions that columns refer to."""

    def name_of_file(self, path: str) -> str:
        """The name of a file in an export, the same for the same file."""

    def name_of_function(self, function: TensorFunction, column: FeatureColumn) -> str:
        """The name of a column's function in an export, the same for the same function."""

    def path_of_file(self, name: str) -> str:
        """Where a file of an export lies."""

    def function(self, name: str) -> TensorFunction:
        """A function of an export."""


class FeatureColumn(ABC):
    """Encodes raw features as a tensor, or as ids.

    To make a column of your own, derive a frozen dataclass from `DenseColumn` or `CategoricalColumn`; see
    docs/adding_a_column.md. Two columns with equal fields are equal, and share their encoding of a batch.
    Attributes besides the fields, such as lookup tables, count neither in comparisons nor in pickles.
    """

    classes: ClassVar[dict[str, type[FeatureColumn]]] = {}  # by their names in exported models
    is_of_torchest: ClassVar[bool] = True
    is_stacked: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.is_of_torchest = cls.__module__.partition(".")[0] == __name__.partition(".")[0]
        FeatureColumn.classes[cls.exported_name()] = cls

    @classmethod
    def exported_name(cls) -> str:
        """The name of the class in exported models; a user's class includes its module."""
        return cls.__name__ if cls.is_of_torchest else f"{cls.__module__}.{cls.__qualname__}"

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the column in parameters, outputs and errors."""

    @property
    @abstractmethod
    def feature_keys(self) -> tuple[str, ...]:
        """The keys of the raw features that the column reads."""

    @abstractmethod
    def encode(self, features: Features) -> Encoding:
        """Encodes a batch."""

    @property
    def inner(self) -> FeatureColumn | None:
        """The column whose values this column uses unchanged, such as an embedding's ids; None if there is none."""
        return None

    @property
    def members(self) -> tuple[FeatureColumn, ...]:
        """The columns that this one encodes together; itself for a single column."""
        return (self,)

    @property
    def exported_column(self) -> FeatureColumn:
        """The column whose encoding is the input of an exported model; itself by default."""
        return self

    def model_input(self, name: str, raw: Mapping[str, RawFeature]) -> ModelInput:  # noqa: ARG002
        """The input tensors of an exported model for this column.

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
        """The first words of errors about the column."""
        return f"Column {self.name!r}"

    @property
    def is_sequence(self) -> bool:
        """Whether the column keeps the order of the values in a row."""
        return self.inner is not None and self.inner.is_sequence

    def parse_specs(self) -> dict[str, FeatureSpec]:
        """The specs of the features in serialized examples, by key."""
        if self.inner is not None:
            return self.inner.parse_specs()
        key = next(iter(self.feature_keys), "key")
        raise self.lacks(
            "parse specs",
            f"parse_specs(), which returns them by key, such as {{{key!r}: FixedLenFeature((), torch.int64)}}",
            "write the feature spec by hand",
        )

    def examples(self) -> dict[str, tuple[Example, ...]]:
        """Values with which an export is compared with Python, by key. An empty tuple stands for default values."""
        return {} if self.inner is None else self.inner.examples()

    @property
    def step_width(self) -> int:
        """The number of values in one step of a sequence."""
        return 1

    def value_keys(self, features: Features) -> Cells[Int64s]:
        """The hash of each value in a batch, in [0, 2**63); MISSING for a missing value."""
        if self.inner is not None:
            return self.inner.value_keys(features)
        raise self.lacks(
            "values to describe",
            "value_keys(features), which returns Cells with a hash of each value",
            "derive the class from DenseColumn or CategoricalColumn",
        )

    def count_unknown(self, features: Features) -> int | None:
        """The number of values in a batch that are outside the vocabulary or range; None if there is neither."""
        return None if self.inner is None else self.inner.count_unknown(features)

    def to_json(self, assets: Assets) -> dict[str, object]:
        """Describes the column as JSON values, for `column_of_json`.

        Args:
            assets: Records the files and functions that the column refers to.

        Raises:
            ValueError: A field has no form in JSON.
        """
        fields = _fields(self)
        described: dict[str, object] = {"type": self.exported_name()}
        described.update((name, _to_json(fields[name], self, name, assets)) for name in fields)
        return described

    @classmethod
    def of_json(cls, fields: JSON, assets: Assets) -> Self:  # noqa: ARG003
        """Makes a column from its fields. `assets` resolves file names."""
        return cls(**fields)

    def checked_encode(self, features: Features) -> Encoding:
        """Encodes a batch by a user's class.

        Raises:
            ValueError: The encoding has the wrong type or shape.
        """
        with features.read_by(self):
            encoding = self.encode(features)
            self.check_encoding(encoding, features.batch_size)
        return encoding

    def check_encoding(self, encoding: object, rows: int) -> None:
        """Raises ValueError if a user's class returned an encoding of the wrong type or shape."""
        if not isinstance(encoding, torch.Tensor | TensorGroup):
            raise self._refused(encoding, rows, "a tensor, or columns.Ids")

    def _refused(self, encoding: object, rows: int, wanted: str) -> ValueError:
        returned = shown(encoding)
        if isinstance(encoding, torch.Tensor):
            returned = f"{encoding.dtype} {list(encoding.shape)}"
        return ValueError(
            f"{self.subject} ({type(self).__name__}): encode returned {returned} for a batch of {rows} rows; return "
            f"{wanted}."
        )

    def lacks(self, part: str, method: str, way_out: str) -> ValueError:
        """The error for a method that the class of the column lacks.

        Args:
            part: What is missing.
            method: The method that makes it.
            way_out: What to do instead of defining the method.
        """
        kind = type(self).__name__
        return ValueError(
            f"{self.subject} ({kind}) has no {part}: define {kind}.{method}, or {way_out}."
        )

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _fields(self) == _fields(other)

    def __hash__(self) -> int:
        # Kept: a vocabulary may have millions of words, and columns are keys of dictionaries.
        kept: int
        try:
            kept = self.__dict__["_hash"]
        except KeyError:
            # A user's initializer or normalizer_fn need not be hashable.
            values = [value for value in _fields(self).values() if not callable(value)]
            kept = self.__dict__["_hash"] = hash((type(self), *values))
        return kept

    def __getstate__(self) -> dict[str, object]:
        return _fields(self)


class KeyedColumn(FeatureColumn):
    """A column of one feature, named after its key."""

    key: str

    @property
    def name(self) -> str:
        """The key."""
        return self.key

    @property
    def feature_keys(self) -> tuple[str, ...]:
        """The key."""
        return (self.key,)


class DenseColumn(FeatureColumn):
    """A column whose encoding is a float32 tensor [batch, width]."""

    @property
    @abstractmethod
    def width(self) -> int:
        """The number of values in a row."""

    @abstractmethod
    def encode(self, features: Features) -> Tensor:
        """The numbers of a batch, float32 [batch, width]."""

    def check_encoding(self, encoding: object, rows: int) -> None:
        """Raises ValueError unless a user's class returned floats [rows, width]."""
        shape = [rows, self.width]
        if not isinstance(encoding, torch.Tensor) or (
            list(encoding.shape) != shape or not encoding.is_floating_point()
        ):
            raise self._refused(encoding, rows, f"a float32 tensor {shape}")

    def model_input(self, name: str, raw: Mapping[str, RawFeature]) -> ModelInput:  # noqa: ARG002
        """One tensor of numbers."""
        return NumbersInput(self, name)

    def onnx_numbers(self, graph: OnnxGraph) -> OnnxValue:  # noqa: ARG002
        """The numbers in nodes of ONNX, float32 [batch, width].

        Raises:
            ValueError: The class does not define it.
        """
        raise self.lacks("ONNX form", "onnx_numbers(graph)", _OTHER_FORMATS)

    def value_keys(self, features: Features) -> Cells[Int64s]:
        """The hash of each number in a batch; MISSING for NaN."""
        encoding: Tensor = features.on_host(self)
        numbers = encoding.detach().cpu().double().numpy()
        rows, width = numbers.shape
        return Cells(keys_of_numbers(numbers.reshape(-1)), np.arange(rows + 1) * width)


class Recipe(NamedTuple):
    """How a compiled loop makes ids of an array: the parts of a recipe of `torchest.kernels.ids`.

    Attributes:
        kind: The kind of column.
        takes: The kinds of arrays.
        size: The number of buckets, words, ids or boundaries.
        unknown: The id of unknown values.
        oov: The number of buckets of unknown values.
        table: The table of a vocabulary, or of boundaries.
        start: The first hash of a cross.
    """

    kind: int
    takes: int
    size: int = 0
    unknown: int = -1
    oov: int = 0
    table: NumpyArray | None = None
    start: int = 0


class CategoricalColumn(FeatureColumn):
    """A column whose encoding is ids in [0, num_buckets).

    Attributes:
        keeps_missing: Whether `look_up` returns MISSING for each missing value.
        is_weighted: Whether `encode` returns ids with weights.
    """

    keeps_missing: ClassVar[bool] = True
    is_weighted: ClassVar[bool] = False

    @property
    @abstractmethod
    def num_buckets(self) -> int:
        """The number of ids."""

    @abstractmethod
    def look_up(self, features: Features) -> Cells[Int64s]:
        """Looks up the id of each value in a batch: −1 for an unknown value, MISSING for a missing one."""

    @property
    def has_recipe(self) -> bool:
        """Whether `recipe` returns one, now or after some batches; only for columns of torchest."""
        return False

    def recipe(self) -> Recipe | None:
        """How a compiled loop does the work of `look_up`; None if it cannot, or not yet."""
        return None

    @property
    def takes_floats(self) -> bool:
        """Whether the feature may be a tensor of floats."""
        return False

    def codes_of_entries(self, array: ArrowArray) -> NumpyArray | None:  # noqa: ARG002
        """The code of each entry of a dictionary array, then that of the empty string; None if it has other values."""
        return None

    def note_missing(self, array: NumpyArray | ArrowArray) -> None:
        """Learns that a compiled loop found values without an id."""

    def encode(self, features: Features) -> Ids:
        """The ids of a batch, without those of unknown and missing values."""
        cells = self.look_up(features)
        return (cells if self.is_of_torchest else self._checked(cells, features)).ids()

    def cells(self, features: Features) -> Cells[Int64s]:
        """The result of `look_up`, for a column over this one; a user's class is checked."""
        if self.is_of_torchest:
            return self.look_up(features)
        with features.read_by(self):
            return self._checked(self.look_up(features), features)

    def _checked(self, cells: object, features: Features) -> Cells[Int64s]:
        """Checks the result of a user's `look_up` and converts it to int64."""
        place = f"{self.subject} ({type(self).__name__}): look_up returned"
        if not isinstance(cells, Cells):
            raise ValueError(f"{place} {shown(cells)}; return Cells, such as columns.Cells(ids).")
        ids = np.asarray(cells.values)
        if ids.dtype.kind not in "iu" or ids.ndim != 1:
            raise ValueError(
                f"{place} an array {list(ids.shape)} of {ids.dtype}; return Cells of a flat array of int64."
            )
        offsets = None if cells.offsets is None else np.asarray(cells.offsets)
        if offsets is not None and not _divide(offsets, len(ids)):
            raise ValueError(
                f"{place} the offsets {shown(cells.offsets)} for {len(ids)} ids; return integers that start with 0, do "
                f"not fall, and end with {len(ids)}."
            )
        rows = len(ids) if offsets is None else len(offsets) - 1
        if rows != features.batch_size:
            raise ValueError(
                f"{place} {rows} rows for a batch of {features.batch_size}; return Cells(ids) with one id in each "
                "row, or Cells(ids, offsets) with any number."
            )
        if ids.size and ids.max() >= self.num_buckets:
            raise ValueError(
                f"{place} the id {ids.max()}; return ids below num_buckets={self.num_buckets}, -1 for an unknown "
                "value and columns.MISSING for none."
            )
        if offsets is not None:
            offsets = offsets.astype(np.int64, copy=False)
        return Cells(ids.astype(np.int64, copy=False), offsets)

    @property
    def hashes(self) -> bool:
        """Whether different values can share an id because they are hashed."""
        return False

    def row_names(self) -> list[str]:
        """The name of each id: its word, or its number."""
        if isinstance(self.inner, CategoricalColumn):
            return self.inner.row_names()
        return [str(number) for number in range(self.num_buckets)]

    def value_keys(self, features: Features) -> Cells[Int64s]:
        """The hash of each id in a batch; MISSING for a missing value."""
        return self.cells(features).map(lambda ids: np.where(ids == MISSING, MISSING, spread(ids)))

    def count_unknown(self, features: Features) -> int | None:
        """The number of values in a batch without an id."""
        return int((self.cells(features).values == -1).sum())

    @property
    def exported_column(self) -> FeatureColumn:
        """The column itself."""
        return self

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
        raise self.lacks("ONNX form", "onnx_ids(graph)", _OTHER_FORMATS)

    def onnx_weights(self, graph: OnnxGraph, ids: OnnxValue) -> OnnxValue:  # noqa: ARG002
        """The weights in nodes of ONNX, float32 in the shape of `ids`.

        Raises:
            ValueError: The class does not define it.
        """
        raise self.lacks("ONNX form", "onnx_weights(graph, ids)", _OTHER_FORMATS)


class ColumnOverIds(FeatureColumn):
    """A column that takes its ids from a categorical column."""

    categorical_column: CategoricalColumn

    @property
    def inner(self) -> CategoricalColumn:
        """The categorical column."""
        return self.categorical_column

    @property
    def feature_keys(self) -> tuple[str, ...]:
        """Those of the categorical column."""
        return self.categorical_column.feature_keys

    @property
    def exported_column(self) -> FeatureColumn:
        """The categorical column."""
        return self.categorical_column

    def encode(self, features: Features) -> Encoding:
        """The ids of a batch."""
        ids: Encoding = features.on_host(self.categorical_column)
        return ids


def column_of_json(described: Mapping[str, object], assets: Assets) -> FeatureColumn:
    """Makes a column from the result of `FeatureColumn.to_json`.

    Args:
        described: The result of `to_json`.
        assets: Finds the files and functions.

    Raises:
        ModuleNotFoundError: No imported module defines the class of the column, which is a user's own.
        ValueError: torchest has no such column.
    """
    kind = described["type"]
    if not isinstance(kind, str) or (kind not in FeatureColumn.classes and "." not in kind):
        raise ValueError(f"torchest has no column {kind!r:.80}")
    if kind not in FeatureColumn.classes:
        module = kind.rpartition(".")[0]
        way_out = f"import {module:.200} before loading the model."
        if module == "__main__" or "<locals>" in module:
            way_out = "define it at the top of a module, export again, and import the module before loading."
        raise ModuleNotFoundError(
            f"The exported model has a column of class {kind:.200}, which is not defined here: {way_out}"
        )
    fields = {name: _of_json(value, assets) for name, value in described.items() if name != "type"}
    return FeatureColumn.classes[kind].of_json(fields, assets)


def _divide(offsets: Int64s, count: int) -> bool:
    """Whether offsets divide so many values into rows."""
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or not offsets.size:
        return False
    return bool(offsets[0] == 0 and offsets[-1] == count and (offsets[1:] >= offsets[:-1]).all())


def keys_of_numbers(numbers: npt.NDArray[np.float64]) -> Int64s:
    """The hash of each float64 number; MISSING for NaN."""
    return np.where(np.isnan(numbers), MISSING, spread(numbers))


def _to_json(value: object, column: FeatureColumn, field: str, assets: Assets) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, FeatureColumn):
        return {"column": value.to_json(assets)}
    if isinstance(value, tuple):
        return {"tuple": [_to_json(item, column, field, assets) for item in value]}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if dataclasses.is_dataclass(value) and not callable(value):
        listed = tuple(getattr(value, each.name) for each in dataclasses.fields(value))
        return _to_json(listed, column, field, assets)
    if callable(value):
        return {"function": assets.name_of_function(value, column)}
    kind = type(column).__name__
    raise ValueError(
        f"{column.subject} ({kind}) cannot be exported: its field {field!r} has {shown(value)}, but a field may hold "
        f"numbers, text, bytes, tuples, dtypes, columns and functions of tensors; change it, or add to_json() and "
        f"of_json() to class {kind}."
    )


def _of_json(value: object, assets: Assets) -> object:
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "column":
        return column_of_json(inner, assets)
    if kind == "tuple":
        return tuple(_of_json(item, assets) for item in inner)
    if kind == "dtype":
        dtype = getattr(torch, inner, None)
        if not isinstance(dtype, torch.dtype):
            raise ValueError(f"there is no dtype {inner!r}")
        return dtype
    return base64.b64decode(inner) if kind == "bytes" else assets.function(inner)


def _fields(column: FeatureColumn) -> dict[str, object]:
    return {
        field.name: getattr(column, field.name)
        for field in dataclasses.fields(column)  # type: ignore[arg-type]
    }
