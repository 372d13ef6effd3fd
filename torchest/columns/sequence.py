"""Columns of sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from torchest.columns import checks
from torchest.columns.base import CategoricalColumn, ColumnOverIds, KeyedColumn, keys_of_numbers
from torchest.columns.categorical import (
    categorical_column_with_hash_bucket,
    categorical_column_with_identity,
    categorical_column_with_vocabulary_list,
)
from torchest.columns.encode import values
from torchest.columns.encode.cells import MISSING, Cells
from torchest.columns.feature_specs import VarLenFeature
from torchest.columns.features import Features
from torchest.columns.ids import Ids, Time
from torchest.columns.model_inputs import IdStepsInput, NumberStepsInput
from torchest.columns.numeric import NumericColumn, numbers_by_row, numeric_column
from torchest.columns.onnx_graph import OnnxSteps, count_up_to_last, is_before, resized
from torchest.columns.steps import IdSteps, Steps
from torchest.columns.vocabulary_file import categorical_column_with_vocabulary_file
from torchest.utils import arrays
from torchest.utils.checks import is_number

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.feature_specs import Dtype, FeatureSpec
    from torchest.columns.onnx_graph import OnnxGraph, OnnxValue
    from torchest.columns.raw_features import RawFeature
    from torchest.utils.arrays import ArrowArray, NumpyArray

    Float64s: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SequenceCategoricalColumn(CategoricalColumn, ColumnOverIds):
    """The ids of sequences; made by `sequence_categorical_column_with_identity` and similar functions."""

    categorical_column: CategoricalColumn

    @property
    def name(self) -> str:
        """The same as of the column of ids."""
        return self.categorical_column.name

    @property
    def is_sequence(self) -> bool:
        """True."""
        return True

    @property
    def num_buckets(self) -> int:
        """The same as of the column of ids."""
        return self.categorical_column.num_buckets

    def look_up(self, features: Features) -> Cells[Int64s]:
        """Looks up the ids of each row up to its last present value."""
        return self._ended(self.categorical_column.look_up(features))

    def encode(self, features: Features) -> Ids | IdSteps:  # type: ignore[override]
        """The ids of a batch, with −1 for unknown values and for missing values before the last one.

        A step with several values has only the ids of known values.
        """
        (key,) = self.feature_keys
        by_step = values.steps(features, key)
        if by_step is not None:
            return self._of_steps(*by_step, _time(features, key, by_step[1]))
        cells = self.categorical_column.look_up(features)
        time = _time(features, key, cells.with_offsets()[1])
        ids, offsets = self._ended(cells).with_offsets()
        return Ids(torch.from_numpy(np.maximum(ids, -1)), torch.from_numpy(offsets), None, time)

    def model_input(self, name: str, raw: Mapping[str, RawFeature]) -> IdStepsInput:  # noqa: ARG002
        """A tensor of ids, and one of lengths."""
        return IdStepsInput(self, name)

    def onnx_steps(self, graph: OnnxGraph) -> OnnxSteps:
        """The ids, with −1 for unknown values and for missing values before the last one."""
        ids = graph.ids(self.categorical_column)
        if self.is_single(graph.raw):
            ids = graph.in_rows(ids, True)
        there = graph.op("Not", graph.equal(ids, MISSING))
        lengths = count_up_to_last(there, graph)
        none = graph.constant(-1)
        known = graph.op("Max", ids, none)
        room = graph.op("Shape", ids, start=1, end=2)
        return OnnxSteps(lengths, room, lambda steps: resized(known, steps, none, graph))

    def _ended(self, cells: Cells[Int64s]) -> Cells[Int64s]:
        """The ids of each row up to its last present value."""
        return cells.where(_up_to_last(cells.values != MISSING, cells.with_offsets()[1]))

    def _of_steps(self, flat: arrays.HostArray, offsets: Int64s, time: Time) -> IdSteps:
        """The ids of steps with several values, up to the last step of each row with a value."""
        (key,) = self.feature_keys
        ids, of_step = self.categorical_column.look_up(Features({key: flat})).with_offsets()
        there = _so_far(ids != MISSING)[of_step]
        kept = _up_to_last(np.diff(there) > 0, offsets)
        known = _so_far(ids >= 0)[of_step]
        ends = _so_far(np.diff(known)[kept])
        bags = Ids(torch.from_numpy(ids[ids >= 0]), torch.from_numpy(ends))
        return IdSteps(bags, torch.from_numpy(_so_far(kept)[offsets]), time)


@dataclass(frozen=True, eq=False)
class SequenceNumericColumn(KeyedColumn):
    """The numbers of sequences; made by `sequence_numeric_column`."""

    key: str
    shape: tuple[int, ...]
    default_value: float
    dtype: torch.dtype
    normalizer_fn: Callable[[Tensor], Tensor] | None

    @property
    def width(self) -> int:
        """The number of values in a step."""
        return self.of_one_step.width

    def encode(self, features: Features) -> Steps:
        """The steps of a batch, float32 [steps, width].

        Missing numbers at the end of a row are its padding.

        Raises:
            TypeError: The feature does not hold numbers.
            ValueError: A number within a row is missing.
        """
        cells = self._cells(features)
        time = _time(features, self.key, cells.with_offsets()[1], self.width)
        numbers = arrays.to_tensor(cells.values, self.key).to(torch.float64).numpy()
        by_row = Cells(numbers, cells.offsets)
        there = ~np.isnan(numbers)
        if not there.all():
            by_row = by_row.where(_up_to_last(there, by_row.with_offsets()[1]))
            self._check_complete(by_row)
        return self._steps(*by_row.with_offsets(), time)

    @property
    def is_sequence(self) -> bool:
        """True."""
        return True

    def parse_specs(self) -> dict[str, FeatureSpec]:
        """A feature with any number of values."""
        return {self.key: VarLenFeature(self.dtype)}

    @property
    def step_width(self) -> int:
        """The number of values in a step."""
        return self.width

    def value_keys(self, features: Features) -> Cells[Int64s]:
        """The hash of each raw number in a batch; MISSING for a missing number."""
        return numbers_by_row(self, features).map(keys_of_numbers)

    def _cells(self, features: Features) -> Cells[values.FlatArray]:
        """The numbers of each row."""
        by_step = values.steps(features, self.key)
        if by_step is None or not arrays.is_arrow(by_step[0]):
            return values.cells(features, self.key, self.subject, numeric=True)
        import pyarrow.compute as pc

        flat: ArrowArray = by_step[0]
        offsets = by_step[1]
        counts = np.asarray(pc.list_value_length(flat).fill_null(0))
        if (counts != self.width).any():
            raise ValueError(
                f"{self.subject} of shape {self.shape} has a step of {counts[counts != self.width][0]} numbers: give "
                f"{self.width} in each step."
            )
        return Cells(flat.flatten(), offsets * self.width)

    def _steps(self, numbers: Float64s, offsets: Int64s, time: Time) -> Steps:
        """Divides the numbers of each row into steps, and pads an incomplete last step."""
        counts = np.diff(offsets)
        lengths = -(-counts // self.width)
        steps = np.concatenate([[0], np.cumsum(lengths)])
        row = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(numbers)) - offsets[row] + steps[row] * self.width
        flat = np.full(steps[-1] * self.width, self.default_value, np.float64)
        flat[place] = numbers
        normalized = self.of_one_step.of_rows(torch.from_numpy(flat.reshape(-1, self.width)))
        filled_up = np.ones(len(flat), bool)
        filled_up[place] = False
        padding = torch.from_numpy(filled_up).reshape(-1, self.width)
        filled = normalized.masked_fill(padding, self.default_value)
        return Steps(filled, torch.from_numpy(steps), time)

    def _check_complete(self, cells: Cells[Float64s]) -> None:
        numbers, offsets = cells.with_offsets()
        missing = np.flatnonzero(np.isnan(numbers))
        if missing.size:
            row = int(np.searchsorted(offsets, missing[0], side="right")) - 1
            raise ValueError(
                f"{self.subject} has no number (NaN or null) before the last one of row {row}: fill it in; a missing "
                "number counts as padding only at the end of a row."
            )

    def model_input(self, name: str, raw: Mapping[str, RawFeature]) -> NumberStepsInput:  # noqa: ARG002
        """A tensor of steps, and one of lengths."""
        return NumberStepsInput(self, name, self.default_value, self.width)

    def onnx_steps(self, graph: OnnxGraph) -> OnnxSteps:
        """The steps; a number that is missing within a row is refused."""
        self._check_padding(graph.raw[self.key])
        seen = self.of_one_step.seen_dtype
        matrix = graph.cast(graph.in_rows(graph.feature(self.key), False), seen)
        there = graph.op("Not", graph.op("IsNaN", matrix))
        counts = count_up_to_last(there, graph)
        within = is_before(counts, matrix, graph)
        graph.refuse(graph.op("And", within, graph.op("Not", there)))
        default = graph.constant(self.default_value, seen)
        filled = graph.op("Where", graph.op("And", within, there), matrix, default)
        width = graph.constant([self.width])

        def in_steps(numbers: OnnxValue) -> OnnxValue:
            less_one = graph.op("Sub", graph.op("Add", numbers, width), graph.constant([1]))
            return graph.op("Div", less_one, width)

        def of_steps(steps: OnnxValue) -> OnnxValue:
            flat = resized(filled, graph.op("Mul", steps, width), default, graph)
            rows = graph.op("Shape", flat, start=0, end=1)
            shape = graph.op("Concat", rows, steps, width, axis=0)
            if self.normalizer_fn is None:
                numbers = graph.cast(flat, torch.float32)
            else:
                by_step = graph.op("Reshape", flat, graph.constant([-1, self.width]))
                normalized = graph.normalized(self.of_one_step, by_step)
                in_rows = graph.in_shape_of(normalized, flat)
                padding = graph.constant(self.default_value, torch.float32)
                numbers = graph.op("Where", is_before(counts, flat, graph), in_rows, padding)
            return graph.op("Reshape", numbers, shape, allowzero=1)

        lengths = in_steps(counts)
        return OnnxSteps(lengths, in_steps(graph.op("Shape", matrix, start=1, end=2)), of_steps)

    def _check_padding(self, raw: RawFeature) -> None:
        if raw.ragged and not raw.is_floating_point:
            raise ValueError(
                f"{self.subject} reads lists of integers, which ONNX cannot pad to a matrix, as no integer means "
                "missing: export with a batch in which they are floats."
            )

    @cached_property
    def of_one_step(self) -> NumericColumn:
        """The column of the numbers of one step."""
        return NumericColumn(self.key, self.shape, None, self.dtype, self.normalizer_fn)


def sequence_categorical_column_with_identity(
    key: str, num_buckets: int, default_value: int | None = None
) -> SequenceCategoricalColumn:
    """A column of sequences of ids.

    The arguments are those of `categorical_column_with_identity`. Each row of the feature is a list,
    or the row of a matrix padded with −1. With one more dimension, a step has several ids.
    """
    return SequenceCategoricalColumn(
        categorical_column_with_identity(key, num_buckets, default_value)
    )


def sequence_categorical_column_with_hash_bucket(
    key: str, hash_bucket_size: int, dtype: Dtype = checks.STRING
) -> SequenceCategoricalColumn:
    """A column of sequences of text or integers whose ids are hashes.

    The arguments are those of `categorical_column_with_hash_bucket`. Each row of the feature is a list,
    or the row of a matrix padded with "" or −1. With one more dimension, a step has several values.
    """
    return SequenceCategoricalColumn(
        categorical_column_with_hash_bucket(key, hash_bucket_size, dtype)
    )


def sequence_categorical_column_with_vocabulary_list(
    key: str,
    vocabulary_list: Iterable[str | bytes | int],
    dtype: Dtype | None = None,
    default_value: int = -1,
    num_oov_buckets: int = 0,
) -> SequenceCategoricalColumn:
    """A column of sequences whose ids are positions in a list of values.

    The arguments are those of `categorical_column_with_vocabulary_list`. Each row of the feature is a
    list, or the row of a matrix padded with "" or −1. With one more dimension, a step has several values.
    """
    return SequenceCategoricalColumn(
        categorical_column_with_vocabulary_list(
            key, vocabulary_list, dtype, default_value, num_oov_buckets
        )
    )


def sequence_categorical_column_with_vocabulary_file(
    key: str,
    vocabulary_file: str | os.PathLike[str],
    vocabulary_size: int | None = None,
    num_oov_buckets: int = 0,
    default_value: int | None = None,
    dtype: Dtype = checks.STRING,
) -> SequenceCategoricalColumn:
    """A column of sequences whose ids are line numbers in a vocabulary file.

    The arguments are those of `categorical_column_with_vocabulary_file`. Each row of the feature is a
    list, or the row of a matrix padded with "" or −1. With one more dimension, a step has several values.
    """
    return SequenceCategoricalColumn(
        categorical_column_with_vocabulary_file(
            key, vocabulary_file, vocabulary_size, dtype, default_value, num_oov_buckets
        )
    )


def sequence_numeric_column(
    key: str,
    shape: int | Sequence[int] = (1,),
    default_value: float = 0.0,
    dtype: Dtype = torch.float32,
    normalizer_fn: Callable[[Tensor], Tensor] | None = None,
) -> SequenceNumericColumn:
    """A column of sequences of numbers.

    Args:
        key: The key of the feature, each row of which is a list of numbers or the row of a matrix
            [batch, steps · width], or [batch, steps, *shape].
        shape: The shape of a step.
        default_value: The padding after the last number of a row.
        dtype: The dtype of the feature in serialized examples. normalizer_fn gets float64 for columns of
            float64 or integers, otherwise float32. The encoding is always float32.
        normalizer_fn: A function of the numbers of all steps [steps, *shape] that keeps the shape. Padding
            is not changed.

    Raises:
        TypeError: The shape, the default or normalizer_fn has the wrong type.
        ValueError: The key is not a string, a dimension is below 1, or the dtype is not numeric.
    """
    step = numeric_column(key, shape, None, dtype, normalizer_fn)
    _check_padding(default_value, key)
    return SequenceNumericColumn(key, step.shape, default_value, step.dtype, normalizer_fn)


def _check_padding(value: object, key: str) -> None:
    if not is_number(value):
        raise TypeError(f"default_value of column {key!r} is {checks.shown(value)}: give a number.")
    if not math.isfinite(value):
        raise ValueError(
            f"default_value of column {key!r} is {value}: give a number, for example 0."
        )


def _time(features: Features, key: str, offsets: Int64s, width: int = 0) -> Time:
    """The padded number of steps of a feature.

    Args:
        features: The batch.
        key: The key of the feature.
        offsets: The starts of its rows, including padding.
        width: The number of values in a step; 0 if a step is an element of a row.
    """
    shape = values.row_shape(features, key)
    inner = (int(np.diff(offsets).max(initial=0)),) if shape is None else shape
    most = math.prod(inner if width else inner[:1])
    return Time(-(-most // (width or 1)), values.is_matrix(features, key))


def _so_far(counts: NumpyArray) -> Int64s:
    """Cumulative sums that start with 0."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _up_to_last(there: npt.NDArray[np.bool_], offsets: Int64s) -> npt.NDArray[np.bool_]:
    """Marks the values of each row up to the last present one."""
    places = np.flatnonzero(there)
    before_end = np.searchsorted(places, offsets[1:])
    last = np.concatenate([[-1], places])[before_end]  # of this row or of one before
    return np.asarray(np.arange(len(there)) <= np.repeat(last, np.diff(offsets)))
