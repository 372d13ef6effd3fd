"""The categorical column of crossed features.

A cross takes every combination of a row's values, one of each key, and folds their fingerprints:
h = FingerprintCat64(h, fingerprint), from h = hash_key. The id is h modulo the number of buckets. As in
TensorFlow, keys are folded in their order, but first those that are columns, or features of lists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
import torch

from torchest.columns import checks
from torchest.columns.base import CategoricalColumn, Recipe
from torchest.columns.categorical import HashedCategoricalColumn
from torchest.columns.encode import values
from torchest.columns.encode.cells import MISSING, Cells
from torchest.columns.encode.fingerprint import UInt64s, bucket_of, fingerprint_cat64, widened
from torchest.columns.encode.strings import DictionaryCache, Text
from torchest.columns.feature_specs import VarLenFeature, merge
from torchest.columns.onnx_graph import count_up_to_last, is_before
from torchest.columns.sequence import SequenceCategoricalColumn
from torchest.columns.weighted import WeightedCategoricalColumn
from torchest.utils.checks import is_list, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torchest.columns.base import Example
    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.feature_specs import FeatureSpec
    from torchest.columns.features import Features
    from torchest.columns.onnx_graph import OnnxGraph, OnnxValue
    from torchest.columns.raw_features import RawFeature
    from torchest.utils.arrays import ArrowArray

Key: TypeAlias = "str | CategoricalColumn"

_DEFAULT_HASH_KEY = 0xDECAFCAFFE


@dataclass(frozen=True, eq=False)
class CrossedColumn(CategoricalColumn):
    """Hash buckets of combinations; made by `crossed_column`."""

    keys: tuple[Key, ...]
    hash_bucket_size: int
    hash_key: int | None

    keeps_missing: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The keys' names in alphabetical order, joined by `_X_`."""
        return "_X_".join(sorted(_name(key) for key in self.leaves))

    @property
    def feature_keys(self) -> tuple[str, ...]:
        """Those of all keys."""
        read = (
            key.feature_keys if isinstance(key, CategoricalColumn) else (key,)
            for key in self.leaves
        )
        return tuple(dict.fromkeys(key for keys in read for key in keys))

    @property
    def num_buckets(self) -> int:
        """The number of buckets."""
        return self.hash_bucket_size

    def look_up(self, features: Features) -> Cells[Int64s]:
        """Looks up the id of each combination in a batch.

        Raises:
            ValueError: A key's feature holds something other than integers or text.
        """
        # TensorFlow folds columns, and features that are lists, before features that are a matrix.
        keys = sorted(
            self.leaves, key=lambda key: isinstance(key, str) and values.is_matrix(features, key)
        )
        parts = [self._fingerprints(features, key) for key in keys]
        if any(part.offsets is not None for part in parts):
            parts = _product(parts)
        folded = np.full(len(parts[0].values), self.start)
        for part in parts:
            folded = fingerprint_cat64(folded, part.values)
        return Cells(bucket_of(folded, self.hash_bucket_size), parts[0].offsets)

    @property
    def has_recipe(self) -> bool:
        """Whether all keys that are columns have one."""
        columns = [key for key in self.leaves if isinstance(key, CategoricalColumn)]
        return self.is_of_torchest and all(column.has_recipe for column in columns)

    def recipe(self) -> Recipe:
        """Folds the values of the keys."""
        from torchest.kernels import ids

        start = int(self.start.view(np.int64))
        return Recipe(ids.CROSS, 0, self.hash_bucket_size, start=start)

    def codes_of_entries(self, array: ArrowArray) -> UInt64s | None:
        """The fingerprints of a dictionary's strings."""
        if not values.is_dictionary_of_text(array):
            return None
        return self._dictionaries.codes_of_entries(array.dictionary, Text.fingerprints)

    @property
    def hashes(self) -> bool:
        """True."""
        return True

    def parse_specs(self) -> dict[str, FeatureSpec]:
        """The specs of the columns; any number of strings for other keys."""
        specs: dict[str, FeatureSpec] = {}
        for key in self.keys:
            of_text: dict[str, FeatureSpec] = {str(key): VarLenFeature(str)}
            merge(specs, of_text if isinstance(key, str) else key.parse_specs(), self.name)
        return specs

    def examples(self) -> dict[str, tuple[Example, ...]]:
        """The examples of the columns; default values for other keys."""
        of_columns = (key.examples() for key in self.keys if not isinstance(key, str))
        return {key: each for examples in of_columns for key, each in examples.items()}

    def value_keys(self, features: Features) -> Cells[Int64s]:
        """The hash of each combination modulo a large multiple of the number of buckets, which keeps its bucket."""
        return self._widened.look_up(features)

    def count_unknown(self, features: Features) -> None:
        """None: every combination has a bucket."""

    @cached_property
    def _widened(self) -> CrossedColumn:
        return replace(self, hash_bucket_size=widened(self.hash_bucket_size))

    @property
    def start(self) -> np.uint64:
        """The initial value of the hash."""
        start: np.uint64 = np.uint64((self.hash_key or _DEFAULT_HASH_KEY) % 2**64)
        return start

    @cached_property
    def leaves(self) -> tuple[Key, ...]:
        """The keys, where a crossed column is replaced by its own keys, as in TensorFlow."""
        inner = (key.leaves if isinstance(key, CrossedColumn) else (key,) for key in self.keys)
        return tuple(key for keys in inner for key in keys)

    @cached_property
    def _dictionaries(self) -> DictionaryCache:
        return DictionaryCache()

    def _fingerprints(self, features: Features, key: Key) -> Cells[UInt64s]:
        """The values of a key that are hashed: ids of a column, integers, or fingerprints of text.

        Missing values of a column are left out. Those of a feature count as the empty string or −1.
        """
        if isinstance(key, CategoricalColumn):
            cells = key.cells(features)
            there = cells.values != MISSING
            return (cells if there.all() else cells.where(there)).map(_as_unsigned)
        subject = f"Key {key!r} of column {self.name!r}"
        return values.cells(features, key, subject).map(lambda flat: self._raw(flat, subject))

    def _raw(self, flat: values.Flat, subject: str) -> UInt64s:
        if values.is_text(flat):
            return values.encode_text(flat, subject, Text.fingerprints, self._dictionaries)
        return _as_unsigned(values.integers(flat, subject))

    def is_single(self, raw: Mapping[str, RawFeature]) -> bool:
        """Whether each row has at most one combination."""
        return all(_is_single(key, raw) for key in self.leaves)

    def onnx_ids(self, graph: OnnxGraph) -> OnnxValue:
        """The hashes of all combinations, modulo the number of buckets."""
        # in the order of `look_up`
        keys = sorted(
            self.leaves, key=lambda key: isinstance(key, str) and not graph.raw[key].ragged
        )
        parts = [_onnx_part(key, graph) for key in keys]
        single = self.is_single(graph.raw)
        if not single:
            parts = [
                (graph.in_rows(value, True), graph.in_rows(known, True))
                if _is_single(key, graph.raw)
                else (value, known)
                for key, (value, known) in zip(keys, parts, strict=True)
            ]
        (value, known), *others = parts
        folded = graph.fingerprint_cat64(graph.constant(self.start, torch.uint64), value)
        for value, value_known in others:
            if single:
                folded = graph.fingerprint_cat64(folded, value)
                known = graph.op("And", known, value_known)
            else:
                folded, known = _onnx_product(graph, (folded, known), (value, value_known))
        ids = graph.buckets(folded, self.hash_bucket_size)
        return graph.missing_where(graph.op("Not", known), ids)


def crossed_column(
    keys: Iterable[Key], hash_bucket_size: int, hash_key: int | None = None
) -> CrossedColumn:
    """A column of combinations of values, one of each key, whose ids are hashes.

    A row with several values of a key has an id for each combination. A row without a value of some key
    has no id. Integers are hashed as integers, not as text.

    Args:
        keys: At least two keys of features (text or integers), or categorical columns (vocabulary,
            identity, bucketized or another cross). The ids depend on the order of the keys and, as in
            TensorFlow, on whether a feature is a list (sparse) or an array.
        hash_bucket_size: The number of buckets, at least 1.
        hash_key: The initial value of the hash. None and 0 stand for TensorFlow's constant.

    Raises:
        ValueError: An argument is wrong.

    >>> crossed_column(["town", "class"], 100).name
    'class_X_town'
    """
    listed = _checked_keys(keys)
    name = "_X_".join(sorted(map(_name, listed)))
    size = whole_number(f"Column {name!r}: hash_bucket_size", hash_bucket_size, at_least=1)
    if hash_key is not None:
        hash_key = whole_number(f"Column {name!r}: hash_key", hash_key, at_most=math.inf)
    return CrossedColumn(listed, size, hash_key)


def _checked_keys(keys: object) -> tuple[Key, ...]:
    if not is_list(keys):
        raise ValueError(f"keys is {checks.shown(keys)}: give a list of two or more keys.")
    listed = tuple(keys)
    if len(listed) < 2:
        raise ValueError(f"keys is {checks.shown(keys)}: give two keys or more to cross.")
    for key in listed:
        _check_key(key)
    return listed


def _check_key(key: object) -> None:
    if isinstance(key, HashedCategoricalColumn):
        raise ValueError(
            f"keys has {key.name!r}, a hash bucket column: hashing twice makes more collisions, so give the key "
            f"{key.key!r} itself."
        )
    if isinstance(key, WeightedCategoricalColumn | SequenceCategoricalColumn):
        raise ValueError(
            f"keys has {key.name!r} ({type(key).__name__}), which cannot be crossed: give the column "
            f"{key.categorical_column.name!r} of its values."
        )
    if not isinstance(key, str | CategoricalColumn):
        raise ValueError(
            f"keys has {checks.shown(key)}: give keys of features, or categorical columns; for a number make a "
            "bucketized_column."
        )


def _name(key: Key) -> str:
    return key if isinstance(key, str) else key.name


def _is_single(key: Key, raw: Mapping[str, RawFeature]) -> bool:
    return raw[key].is_single if isinstance(key, str) else key.is_single(raw)


def _onnx_part(key: Key, graph: OnnxGraph) -> tuple[OnnxValue, OnnxValue]:
    """The values of a key that are folded, uint64, and a mask of values that are not padding."""
    if not isinstance(key, str):
        ids = graph.ids(key)
        value = graph.cast(ids, torch.uint64)
        return value, graph.op("Not", graph.equal(ids, MISSING))
    if graph.raw[key].is_text:
        value, empty = graph.hashed(key)
    else:
        integers = graph.integers_of(key)
        value, empty = graph.cast(integers, torch.uint64), graph.equal(integers, -1)
    known = graph.op("Not", empty)
    if graph.raw[key].ragged:  # an empty value before the last one counts, too
        return value, is_before(count_up_to_last(known, graph), value, graph)
    return value, graph.op("Or", empty, known)


def _onnx_product(
    graph: OnnxGraph, first: tuple[OnnxValue, OnnxValue], second: tuple[OnnxValue, OnnxValue]
) -> tuple[OnnxValue, OnnxValue]:
    """Every combination of two parts, [batch, m] and [batch, n], as [batch, m · n]."""
    folded, known = (graph.op("Unsqueeze", each, graph.constant([2])) for each in first)
    value, value_known = (graph.op("Unsqueeze", each, graph.constant([1])) for each in second)
    combined = graph.fingerprint_cat64(folded, value)
    both = graph.op("And", known, value_known)
    return graph.op("Flatten", combined, axis=1), graph.op("Flatten", both, axis=1)


def _as_unsigned(integers: Int64s) -> UInt64s:
    return np.ascontiguousarray(integers).view(np.uint64)


def _product(parts: list[Cells[UInt64s]]) -> list[Cells[UInt64s]]:
    """All combinations of the values in each row; the last part varies fastest."""
    columns = [part.with_offsets() for part in parts]
    counts = np.array([np.diff(offsets) for _, offsets in columns])  # [parts, rows]
    totals = counts.prod(0)
    offsets = np.concatenate([[0], np.cumsum(totals)])
    row = np.repeat(np.arange(len(totals)), totals)
    left = np.arange(offsets[-1]) - offsets[row]  # the place among the row's combinations
    combined: list[Cells[UInt64s]] = []
    for (part, starts), count in zip(reversed(columns), counts[::-1], strict=True):
        left, place = np.divmod(left, count[row])
        combined.append(Cells(part[starts[row] + place], offsets))
    return combined[::-1]
