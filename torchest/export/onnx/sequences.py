"""The nodes of sequence columns: matrices of as many steps as the widest input of a batch has room for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchest.columns.encode.cells import MISSING
from torchest.columns.model_inputs import SequenceIds, SequenceNumbers
from torchest.columns.sequence import SequenceCategoricalColumn, SequenceNumericColumn
from torchest.export.onnx.columns import before, fitted, ids, up_to_last
from torchest.export.onnx.nodes import FLOAT, Value, dtype_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torchest.columns.base import FeatureColumn
    from torchest.export.onnx.graph import ColumnGraph


@dataclass(frozen=True)
class Sequences:
    """The steps of a column, for which other columns may have more room.

    Attributes:
        lengths: The number of steps of each row, int64 [batch].
        room: The number of steps that the input has room for, int64 [1].
        widened: Makes the tensor for a number of steps, at least `room`.
    """

    lengths: Value
    room: Value
    widened: Callable[[Value], Value]


def sequence_tensors(
    given: Sequence[SequenceIds | SequenceNumbers],
    graph: ColumnGraph,
    together: Iterable[Sequence[FeatureColumn]],
) -> list[list[Value]]:
    """The tensors that a model takes of sequence columns, all of the same number of steps.

    Args:
        given: What it takes.
        graph: The graph.
        together: Columns whose sequences must have as many steps as each other; other rows are refused.
    """
    if not given:
        return []
    found = [_sequences(each, graph) for each in given]
    by_column = {each.source: made.lengths for each, made in zip(given, found, strict=True)}
    for columns in together:
        same = [by_column[column] for column in columns if column in by_column]
        for other in same[1:]:
            graph.refuse(graph.negation(graph.op("Equal", same[0], other)))
    steps = found[0].room if len(found) == 1 else graph.op("Max", *(each.room for each in found))
    return [[each.widened(steps), each.lengths] for each in found]


def _sequences(given: SequenceIds | SequenceNumbers, graph: ColumnGraph) -> Sequences:
    if isinstance(given, SequenceIds):
        assert isinstance(given.source, SequenceCategoricalColumn)
        return _of_ids(given.source, graph)
    assert isinstance(given.source, SequenceNumericColumn)
    return _of_numbers(given.source, graph)


def _of_ids(column: SequenceCategoricalColumn, graph: ColumnGraph) -> Sequences:
    found = ids(column.categorical_column, graph)
    if all(graph.raw[key].is_single for key in column.feature_keys):
        found = graph.op("Unsqueeze", found, graph.constant([1]))
    lengths = up_to_last(graph.negation(graph.equal(found, MISSING)), graph)
    shown = graph.op("Max", found, graph.constant(-1))
    room = graph.op("Shape", found, start=1, end=2)
    return Sequences(lengths, room, lambda steps: fitted(shown, steps, graph.constant(-1), graph))


def _of_numbers(column: SequenceNumericColumn, graph: ColumnGraph) -> Sequences:
    _check_padding(column, graph)
    seen = dtype_of(column.of_one_step.seen_dtype)
    given = graph.cast(graph.op("Flatten", graph.inputs[column.key], axis=1), seen)
    there = graph.negation(graph.op("IsNaN", given))
    counts = up_to_last(there, graph)
    within = before(counts, given, graph)
    graph.refuse(graph.op("And", within, graph.negation(there)))
    default = graph.constant(column.default_value, seen)
    filled = graph.where(graph.op("And", within, there), given, default)
    width = graph.constant([column.width])

    def in_steps(numbers: Value) -> Value:
        less_one = graph.op("Sub", graph.op("Add", numbers, width), graph.constant([1]))
        return graph.op("Div", less_one, width)

    def of_steps(steps: Value) -> Value:
        flat = fitted(filled, graph.op("Mul", steps, width), default, graph)
        rows = graph.op("Shape", flat, start=0, end=1)
        shape = graph.op("Concat", rows, steps, width, axis=0)
        if column.normalizer_fn is None:
            return graph.op("Reshape", graph.cast(flat, FLOAT), shape, allowzero=1)
        by_step = graph.op("Reshape", flat, graph.constant([-1, column.width]))
        normalized = graph.in_shape_of(graph.normalized(column.of_one_step, by_step), flat)
        padding = graph.constant(column.default_value, FLOAT)
        numbers = graph.where(before(counts, flat, graph), normalized, padding)
        return graph.op("Reshape", numbers, shape, allowzero=1)

    return Sequences(in_steps(counts), in_steps(graph.op("Shape", given, start=1, end=2)), of_steps)


def _check_padding(column: SequenceNumericColumn, graph: ColumnGraph) -> None:
    raw = graph.raw[column.key]
    if raw.ragged and not dtype_of(raw.dtype).is_floating_point():
        raise ValueError(
            f"Column {column.name!r} reads lists of integers, which cannot be filled up to a matrix in ONNX, as no "
            "integer is missing: export with a batch in which they are floats."
        )
