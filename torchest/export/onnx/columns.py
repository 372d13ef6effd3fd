"""The nodes of columns: for each kind of column a function from raw features to encoded tensors.

Ids are int64 [batch], or [batch, n] for several values a row; as in Python, −1 is an unknown value and MISSING one
that is not there.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.columns import checks
from torchest.columns.bucketized import BucketizedColumn
from torchest.columns.categorical import (
    HashedCategoricalColumn,
    IdentityCategoricalColumn,
    VocabularyListCategoricalColumn,
)
from torchest.columns.crossed import CrossedColumn
from torchest.columns.encode.cells import MISSING
from torchest.columns.model_inputs import CategoricalIds, Encoded, Numbers, Rows, is_single
from torchest.columns.numeric import NumericColumn
from torchest.columns.vocabulary_file import VocabularyFileCategoricalColumn
from torchest.columns.weighted import WeightedCategoricalColumn
from torchest.export.onnx.fingerprint import fingerprint_cat64
from torchest.export.onnx.nodes import FLOAT, INT64, ML, STRING, UINT64, Value, dtype_of
from torchest.export.onnx.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torchest.columns.base import CategoricalColumn, FeatureColumn
    from torchest.columns.crossed import Key
    from torchest.export.onnx.graph import ColumnGraph


# ---- numbers


def numbers(column: FeatureColumn, graph: ColumnGraph) -> Value:
    """The numbers of a dense column, float32 [batch, width]."""
    return graph.once(column, _numbers)


@functools.singledispatch
def _numbers(column: FeatureColumn, graph: ColumnGraph) -> Value:  # noqa: ARG001
    raise _unknown(column)


@_numbers.register(NumericColumn)
def _numeric(column: NumericColumn, graph: ColumnGraph) -> Value:
    given, dtype = graph.inputs[column.key], dtype_of(graph.raw[column.key].dtype)
    given = graph.op("Reshape", given, graph.constant([0, column.width]))  # 0: as many rows
    if column.normalizer_fn is None:
        return _filled(column, graph, graph.cast(given, FLOAT), dtype.is_floating_point())
    seen = dtype_of(column.seen_dtype)
    filled = _filled(column, graph, graph.cast(given, seen), dtype.is_floating_point())
    return graph.normalized(column, filled)


def _filled(column: NumericColumn, graph: ColumnGraph, given: Value, may_miss: bool) -> Value:
    """The default in the place of NaN; without a default, the row is refused."""
    if not may_miss:
        return given
    missing = graph.op("IsNaN", given)
    if column.default_value is None:
        graph.refuse(missing)
        return given
    assert given.dtype is not None
    default = np.asarray(column.default_value, np.float64).reshape(1, -1)
    return graph.where(missing, graph.constant(default, given.dtype), given)


# ---- ids


def ids(column: FeatureColumn, graph: ColumnGraph) -> Value:
    """The ids of a categorical column."""
    return graph.once(column, _ids)


@functools.singledispatch
def _ids(column: FeatureColumn, graph: ColumnGraph) -> Value:  # noqa: ARG001
    raise _unknown(column)


@_ids.register(BucketizedColumn)
def _bucketized(column: BucketizedColumn, graph: ColumnGraph) -> Value:
    given = numbers(column.source_column, graph)
    each = graph.op("Unsqueeze", given, graph.constant([2]))
    boundaries = graph.constant(column.boundaries, FLOAT)
    # so that NaN, which a normalizer_fn may make, is above all boundaries as it is for numpy
    passed = graph.negation(graph.op("Less", each, boundaries))
    buckets = graph.op("ReduceSum", graph.cast(passed, INT64), graph.constant([2]), keepdims=0)
    width = column.source_column.width
    if width == 1:
        return graph.flat(buckets)
    return graph.op("Add", buckets, graph.constant(np.arange(width) * (len(column.boundaries) + 1)))


@_ids.register(IdentityCategoricalColumn)
def _identity(column: IdentityCategoricalColumn, graph: ColumnGraph) -> Value:
    given = graph.integers_of(column.key)
    missing = graph.equal(given, -1)
    low = graph.op("Less", given, graph.constant(0))
    high = graph.op("GreaterOrEqual", given, graph.constant(column.num_buckets))
    wrong = graph.op("And", graph.either(low, high), graph.negation(missing))
    if column.default_value is None:
        graph.refuse(wrong)
    found = graph.where(wrong, graph.constant(column.default_value or 0), given)
    return graph.missing_where(missing, found)


@_ids.register(HashedCategoricalColumn)
def _hashed(column: HashedCategoricalColumn, graph: ColumnGraph) -> Value:
    fingerprints, empty = graph.hashed(column.key)
    found = graph.buckets(fingerprints, column.hash_bucket_size)
    return graph.missing_where(empty, found)


@_ids.register(VocabularyListCategoricalColumn)
def _vocabulary_list(column: VocabularyListCategoricalColumn, graph: ColumnGraph) -> Value:
    return _of_vocabulary(column, column.vocabulary_list, graph)


@_ids.register(VocabularyFileCategoricalColumn)
def _vocabulary_file(column: VocabularyFileCategoricalColumn, graph: ColumnGraph) -> Value:
    return _of_vocabulary(column, column.words(), graph)


def _of_vocabulary(
    column: VocabularyListCategoricalColumn | VocabularyFileCategoricalColumn,
    words: Sequence[str | bytes | int],
    graph: ColumnGraph,
) -> Value:
    textual = column.dtype == checks.STRING
    given = graph.text_of(column.key) if textual else graph.integers_of(column.key)
    missing = graph.is_empty(given) if textual else graph.equal(given, -1)
    places = dict(_lookup_keys(words, textual))
    found = graph.op(
        "LabelEncoder",
        given,
        domain=ML,
        values_int64s=list(places.values()),
        default_int64=-1 if column.num_oov_buckets else column.default_value,
        **{"keys_strings" if textual else "keys_int64s": list(places)},
    )
    if column.num_oov_buckets:
        unknown = graph.op("And", graph.equal(found, -1), graph.negation(missing))
        if textual and graph.takes_fingerprints_of(column.key):
            hashed, _ = graph.hashed(column.key)
        else:
            text = given if textual else graph.cast(given, STRING)
            hashed = graph.fingerprints(graph.where(unknown, text, graph.constant("", STRING)))
        bucket = graph.buckets(hashed, column.num_oov_buckets)
        bucket = graph.op("Add", bucket, graph.constant(len(words)))
        found = graph.where(unknown, bucket, found)
    return graph.missing_where(missing, found)


def _lookup_keys(words: Sequence[Any], textual: bool) -> Iterator[tuple[str | int, int]]:
    """The words with their places, without those that no input can be: text is UTF-8 in ONNX."""
    for place, word in enumerate(words):
        if not textual:
            yield word, place
            continue
        try:
            yield (word.decode() if isinstance(word, bytes) else word), place
        except UnicodeDecodeError:
            continue


@_ids.register(CrossedColumn)
def _crossed(column: CrossedColumn, graph: ColumnGraph) -> Value:
    # as in Python: features that are no lists come last
    keys = sorted(column.leaves, key=lambda key: isinstance(key, str) and not graph.raw[key].ragged)
    parts = [_part_of_cross(key, graph) for key in keys]
    if not is_single(column, graph.raw):
        parts = [_as_matrices(part, key, graph) for part, key in zip(parts, keys, strict=True)]
    start = Words(graph, graph.constant(column.start, UINT64))
    first, there = parts[0]
    folded = fingerprint_cat64(start, Words(graph, first))
    for value, value_there in parts[1:]:
        if is_single(column, graph.raw):
            folded = fingerprint_cat64(folded, Words(graph, value))
            there = graph.op("And", there, value_there)
        else:
            folded, there = _combined(graph, (folded, there), (value, value_there))
    found = graph.buckets(folded.value, column.hash_bucket_size)
    return graph.missing_where(graph.negation(there), found)


def _part_of_cross(key: Key, graph: ColumnGraph) -> tuple[Value, Value]:
    """What is folded of a key, uint64, and where it is there; in lists, what fills them up is not."""
    if not isinstance(key, str):
        found = ids(key, graph)
        return graph.cast(found, UINT64), graph.negation(graph.equal(found, MISSING))
    if graph.raw[key].is_text:
        value, empty = graph.hashed(key)
    else:
        integers = graph.integers_of(key)
        value, empty = graph.cast(integers, UINT64), graph.equal(integers, -1)
    if graph.raw[key].ragged:  # what is empty before the last value is one, too
        return value, before(up_to_last(graph.negation(empty), graph), value, graph)
    return value, graph.either(empty, graph.negation(empty))


def before(counts: Value, matrix: Value, graph: ColumnGraph) -> Value:
    """Which places of a matrix [batch, n] are among the first so many of their row."""
    size = graph.op("Squeeze", graph.op("Shape", matrix, start=1, end=2), graph.constant([0]))
    places = graph.op("Range", graph.constant(0), size, graph.constant(1))
    return graph.op("Less", places, graph.op("Unsqueeze", counts, graph.constant([1])))


def up_to_last(there: Value, graph: ColumnGraph) -> Value:
    """How many places each row has up to the last that is there, int64 [batch]."""
    size = graph.op("Squeeze", graph.op("Shape", there, start=1, end=2), graph.constant([0]))
    numbers = graph.op(
        "Range", graph.constant(1), graph.op("Add", size, graph.constant(1)), graph.constant(1)
    )
    counted = graph.cast(there, INT64)
    ends = graph.op("Mul", numbers, counted)
    none = graph.op("Pad", ends, graph.constant([0, 1, 0, 0]))  # of no places there is no maximum
    return graph.op("ReduceMax", none, graph.constant([1]), keepdims=0)


def _as_matrices(part: tuple[Value, Value], key: Key, graph: ColumnGraph) -> tuple[Value, Value]:
    """A part of a cross as [batch, n]."""
    single = graph.raw[key].is_single if isinstance(key, str) else is_single(key, graph.raw)
    if not single:
        return part
    value, there = (graph.op("Unsqueeze", each, graph.constant([1])) for each in part)
    return value, there


def _combined(
    graph: ColumnGraph, first: tuple[Words, Value], second: tuple[Value, Value]
) -> tuple[Words, Value]:
    """Every combination of two parts, [batch, m] and [batch, n], as [batch, m · n]."""
    folded, there = (
        graph.op("Unsqueeze", each, graph.constant([2])) for each in (first[0].value, first[1])
    )
    value, value_there = (graph.op("Unsqueeze", each, graph.constant([1])) for each in second)
    combined = fingerprint_cat64(Words(graph, folded), Words(graph, value)).value
    both = graph.op("And", there, value_there)
    return Words(graph, graph.op("Flatten", combined, axis=1)), graph.op("Flatten", both, axis=1)


@_ids.register(WeightedCategoricalColumn)
def _weighted(column: WeightedCategoricalColumn, graph: ColumnGraph) -> Value:
    return ids(column.categorical_column, graph)


def weights(column: WeightedCategoricalColumn, found: Value, graph: ColumnGraph) -> Value:
    """The weights of the ids that were found, float32 in their shape; rows whose numbers of both differ are refused."""
    key, source = column.weight_feature_key, column.categorical_column
    given = graph.cast(graph.values_of(key), FLOAT)
    single = is_single(source, graph.raw)
    if not (single and graph.raw[key].is_single):
        given = graph.in_rows(given, graph.raw[key].is_single)
        found = graph.in_rows(found, single)
        given = _beside(source, found, given, graph)
    unknown = graph.op("IsNaN", given)
    counts = graph.op("GreaterOrEqual", found, graph.constant(0))
    graph.refuse(graph.op("And", unknown, counts))
    known = graph.where(unknown, graph.constant(0, FLOAT), given)
    return graph.flat(known) if single else known


def _beside(source: CategoricalColumn, found: Value, given: Value, graph: ColumnGraph) -> Value:
    """Weights [batch, m] in the places of ids [batch, n], NaN for ids without one."""
    there = graph.negation(graph.equal(found, MISSING))
    width = graph.op("Shape", found, start=1, end=2)
    many = up_to_last(graph.negation(graph.op("IsNaN", given)), graph)
    given = fitted(given, width, graph.constant(np.nan, FLOAT), graph)
    if isinstance(source, CrossedColumn):  # its missing combinations are among the others
        numbers = graph.op("CumSum", graph.cast(there, INT64), graph.constant(1))
        values = graph.op("ReduceSum", graph.cast(there, INT64), graph.constant([1]), keepdims=0)
        places = graph.op("Max", graph.op("Sub", numbers, graph.constant(1)), graph.constant(0))
        given = graph.op("GatherElements", given, places, axis=1)
    elif any(graph.raw[each].ragged for each in source.feature_keys):
        values = up_to_last(there, graph)
    else:
        values = width
    graph.refuse(graph.op("Greater", many, values))
    return given


def fitted(matrix: Value, size: Value, fill: Value, graph: ColumnGraph) -> Value:
    """A matrix [batch, n] with a number of places in each row: cut off, or filled up."""
    none = graph.constant([0])
    pads = graph.op("Concat", none, none, none, size, axis=0)
    wide = graph.op("Pad", matrix, pads, fill)
    return graph.op("Slice", wide, none, size, graph.constant([1]))


def _unknown(column: FeatureColumn) -> ValueError:
    return ValueError(
        f"Column {column.name!r} ({type(column).__name__}) has no form in ONNX: export to other formats, or use "
        "columns of torchest."
    )


# ---- what a model takes


@functools.singledispatch
def tensors(given: Encoded, graph: ColumnGraph) -> list[Value]:  # noqa: ARG001
    """The tensors that a model takes of a column or feature."""
    raise TypeError(type(given))


@tensors.register(Rows)
def _of_rows(given: Rows, graph: ColumnGraph) -> list[Value]:
    count = graph.op("Shape", graph.values_of(given.source), end=1)
    return [graph.op("Expand", graph.constant(np.array([0]), INT64), count)]


@tensors.register(Numbers)
def _of_numbers(given: Numbers, graph: ColumnGraph) -> list[Value]:
    if isinstance(given.source, str):
        return [graph.given(given.source)]
    return [numbers(given.source, graph)]


@tensors.register(CategoricalIds)
def _of_ids(given: CategoricalIds, graph: ColumnGraph) -> list[Value]:
    assert not isinstance(given.source, str)
    found = ids(given.source, graph)
    shown = graph.op("Max", found, graph.constant(-1))
    if isinstance(given.source, WeightedCategoricalColumn):
        return [shown, weights(given.source, found, graph)]
    return [shown]
