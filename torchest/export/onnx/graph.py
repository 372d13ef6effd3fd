"""The graph from raw features to encoded tensors, to which columns add their nodes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import onnx_ir as ir

from torchest.columns.encode.cells import MISSING
from torchest.export.engines import FINGERPRINT
from torchest.export.normalizers import Normalizers
from torchest.export.onnx.fingerprint import K2, fingerprint_cat64, fingerprints
from torchest.export.onnx.nodes import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT64,
    ML,
    STRING,
    UINT64,
    Nodes,
    Value,
    dtype_of,
)
from torchest.export.onnx.program import of_program
from torchest.export.onnx.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torchest.columns.features import Column
    from torchest.columns.onnx_graph import (
        ColumnOfIds,
        ColumnOfNumbers,
        ColumnOfSteps,
        NormalizedColumn,
        OnnxAttribute,
    )
    from torchest.columns.raw_features import RawFeature


_OF_NOTHING = K2 - (1 << 64)  # the fingerprint of the empty string, as int64


class ColumnGraph(Nodes):
    """Nodes from raw features to encoded tensors, the implementation of `torchest.columns.onnx_graph.OnnxGraph`.

    Columns ask for hashes and for results of the user's functions one by one; `finish` computes them for all
    columns at once.

    Args:
        raw: The dtypes and shapes of the features, by key. Each feature becomes an input.
        by_fingerprint: Whether fingerprints are inputs in place of text that is hashed. Text is then an input only
            if something else reads it.
    """

    def __init__(self, raw: Mapping[str, RawFeature], by_fingerprint: bool = False) -> None:
        super().__init__("columns.")
        self.raw = raw
        self._by_fingerprint = by_fingerprint
        self._normalized: list[tuple[NormalizedColumn, Value, Value]] = []
        self._made: dict[Column, Value] = {}
        self._refused: list[Value] = []
        self._lengths: dict[Column, Value] = {}
        self._rooms: list[Value] = []
        self._room = _promise(INT64)
        self._hashed: dict[Value, Value] = {}
        self._texts: dict[str, Value] = {}
        self._integers: dict[str, Value] = {}
        self._empty: dict[Value, Value] = {}
        for feature in raw.values():
            if not (by_fingerprint and feature.is_text):
                self._add_input(feature, feature.key, dtype_of(feature.dtype))

    def numbers(self, column: ColumnOfNumbers) -> Value:
        """The numbers of a dense column, made once."""
        return self._once(column, column.onnx_numbers)

    def ids(self, column: ColumnOfIds) -> Value:
        """The ids of a categorical column, made once."""
        return self._once(column, column.onnx_ids)

    def sequence(self, column: ColumnOfSteps) -> list[Value]:
        """The steps of a sequence column, as many as any has room for, and the lengths of rows."""
        steps = column.onnx_steps(self)
        self._rooms.append(steps.room)
        self._lengths[column] = steps.lengths
        return [steps.widened(self._room), steps.lengths]

    def refuse_unequal(self, together: Iterable[Sequence[Column]]) -> None:
        """Refuses rows whose sequences, of columns that a layer reads together, differ in length."""
        for columns in together:
            lengths = [self._lengths[column] for column in columns if column in self._lengths]
            for other in lengths[1:]:
                self.refuse(self.op("Not", self.op("Equal", lengths[0], other)))

    def _once(self, column: Column, make: Callable[[ColumnGraph], Value]) -> Value:
        if column not in self._made:
            self._made[column] = make(self)
        return self._made[column]

    # ---- raw features

    def values_of(self, key: str) -> Value:
        """A feature as [batch] if each row has one value, else as [batch, n]."""
        return self._by_row(self.raw[key], self.feature(key))

    def feature(self, key: str) -> Value:
        """A feature as the caller gives it."""
        if key not in self.inputs:
            self._add_input(self.raw[key], key, STRING)
        return self.inputs[key]

    def _add_input(self, feature: RawFeature, name: str, dtype: ir.DataType) -> None:
        self.input(name, dtype, list(feature.dimensions))

    def _by_row(self, feature: RawFeature, value: Value) -> Value:
        return self.flat(value) if feature.shape == (1,) else value

    def in_rows(self, value: Value, single: bool) -> Value:
        """A value [batch], if rows are single, or [batch, ...] as [batch, n]."""
        if single:
            return self.op("Unsqueeze", value, self.constant([1]))
        return self.op("Flatten", value, axis=1)

    def text_of(self, key: str) -> Value:
        """A feature as text; integers become decimal text, and −1, which is missing, becomes empty."""
        if key not in self._texts:
            text = self.values_of(key)
            self._texts[key] = (
                text if self.raw[key].is_text else self.decimal(self.integers_of(key))
            )
        return self._texts[key]

    def decimal(self, integers: Value) -> Value:
        """The decimal text of integers, empty for −1."""
        missing = self.equal(integers, -1)
        return self.op("Where", missing, self.constant("", STRING), self.cast(integers, STRING))

    def integers_of(self, key: str) -> Value:
        """A feature as int64. NaN becomes −1, and a row with a fraction is refused."""
        if key not in self._integers:
            self._integers[key] = self._as_integers(key)
        return self._integers[key]

    def _as_integers(self, key: str) -> Value:
        values, dtype = self.values_of(key), dtype_of(self.raw[key].dtype)
        if dtype == INT64:
            return values
        if not dtype.is_floating_point():
            return self.cast(values, INT64)
        missing = self.op("IsNaN", values)
        filled = self.op("Where", missing, self.constant(-1, dtype), values)
        exact = 2.0**53 if dtype == DOUBLE else 2.0**24  # beyond it, integers are rounded
        whole = self.op("Equal", filled, self.op("Floor", filled))
        fits = self.op("LessOrEqual", self.op("Abs", filled), self.constant(exact, dtype))
        good = self.op("And", whole, fits)
        self.refuse(self.op("Not", good))
        return self.cast(self.op("Where", good, filled, self.constant(-1, dtype)), INT64)

    def normalized(self, column: NormalizedColumn, numbers: Value) -> Value:
        """The result of a column's normalizer_fn for numbers, float32 [rows, width]."""
        promise = _promise(FLOAT)
        self._normalized.append((column, numbers, promise))
        return self.op("Identity", promise)  # a promise must not be an output

    # ---- text

    def is_empty(self, text: Value) -> Value:
        """Where strings are empty. Equal does not support strings in this operator set."""
        if text not in self._empty:
            table: dict[str, OnnxAttribute] = {"keys_strings": [""], "values_int64s": [1]}
            marks = self.op("LabelEncoder", text, domain=ML, default_int64=0, **table)
            self._empty[text] = self.cast(marks, BOOL)
        return self._empty[text]

    def fingerprints(self, text: Value) -> Value:
        """The FarmHash Fingerprint64 of each string, uint64 in the shape of the text."""
        if text not in self._hashed:
            self._hashed[text] = _promise(UINT64)
        return self._hashed[text]

    def hashed(self, key: str) -> tuple[Value, Value]:
        """The fingerprints of a feature as text, uint64, and where it is empty."""
        feature, name = self.raw[key], f"{key}{FINGERPRINT}"
        if not self.takes_fingerprints_of(key):
            text = self.text_of(key)
            return self.fingerprints(text), self.is_empty(text)
        if name not in self.inputs:
            self._add_input(feature, name, INT64)
        hashes = self._by_row(feature, self.inputs[name])
        return self.cast(hashes, UINT64), self.equal(hashes, _OF_NOTHING)

    def takes_fingerprints_of(self, key: str) -> bool:
        """Whether fingerprints of a feature are an input."""
        return self._by_fingerprint and self.raw[key].is_text

    def fingerprint_cat64(self, first: Value, second: Value) -> Value:
        """One fingerprint of two."""
        return fingerprint_cat64(Words(self, first), Words(self, second)).value

    def buckets(self, fingerprints: Value, count: int) -> Value:
        """Fingerprints modulo a number of buckets, int64."""
        return self.cast(self.op("Mod", fingerprints, self.constant(count, UINT64)), INT64)

    def missing_where(self, missing: Value, ids: Value) -> Value:
        """Ids, MISSING where a value is missing."""
        return self.op("Where", missing, self.constant(MISSING), ids)

    # ---- rows that Python refuses

    def refuse(self, wrong: Value) -> None:
        """Makes NaN, −1 and "" the answers of rows for which a condition [batch] or [batch, ...] holds."""
        self._refused.append(self.any_of_row(self.op("Flatten", wrong, axis=1)))

    def refused(self) -> Value | None:
        """Whether each row is refused, [batch]; None if no column refuses rows."""
        if not self._refused:
            return None
        return functools.reduce(functools.partial(self.op, "Or"), self._refused)

    def finish(self) -> None:
        """Computes the hashes and functions that columns requested.

        Raises:
            ValueError: A normalizer_fn cannot be traced.
        """
        if self._normalized:
            columns, filled, promises = zip(*self._normalized, strict=True)
            program = of_program(Normalizers(list(columns)).program())
            _keep(promises, self.inline(program, filled, "normalizers.", {}))
        if self._rooms:
            room = self.op("Max", *self._rooms) if len(self._rooms) > 1 else self._rooms[0]
            _keep([self._room], [room])
        if self._hashed:
            _keep(self._hashed.values(), fingerprints(self, list(self._hashed)))


def _promise(dtype: ir.DataType) -> Value:
    """Stands for a value that `finish` makes."""
    return ir.Value(name="a promise", type=ir.TensorType(dtype))


def _keep(promises: Iterable[Value], made: Iterable[Value]) -> None:
    for promise, value in zip(promises, made, strict=True):
        ir.convenience.replace_all_uses_with(promise, value)
