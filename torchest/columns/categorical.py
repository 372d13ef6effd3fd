"""Categorical columns of one feature: identity, hash bucket, vocabulary list."""

from __future__ import annotations

import contextlib
import logging
import re
from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.columns import checks
from torchest.columns.base import CategoricalColumn, KeyedColumn, Recipe
from torchest.columns.encode import values
from torchest.columns.encode.cells import MISSING, Cells
from torchest.columns.encode.fingerprint import KEY_SPACE, bucket_of, spread, widened
from torchest.columns.encode.strings import DictionaryCache, Text
from torchest.columns.encode.vocabulary import Vocabulary
from torchest.columns.feature_specs import VarLenFeature
from torchest.utils.checks import is_list, is_whole, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torchest.columns.base import Example
    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.feature_specs import Dtype, FeatureSpec
    from torchest.columns.features import Features
    from torchest.columns.onnx_graph import OnnxAttribute, OnnxGraph, OnnxValue
    from torchest.utils.arrays import ArrowArray, NumpyArray


# Words that are worth a comparison of an export; the first suits any column.
EXAMPLE_WORDS = ("a", "unseen", "日本", "Zürich \U0001f600", "x" * 70, "17")

_log = logging.getLogger("torchest")
_INTEGER = re.compile(rb"0|-?[1-9][0-9]*")
_BATCHES_TO_WARN = 100


class KeyedCategoricalColumn(KeyedColumn, CategoricalColumn):
    """A categorical column of one feature."""

    def look_up(self, features: Features) -> Cells[Int64s]:
        """Looks up the id of each value in a batch: −1 for an unknown value, MISSING for a missing one."""
        return values.cells(features, self.key, self.subject).map(self._ids)

    @abstractmethod
    def _ids(self, flat: values.Flat) -> Int64s: ...

    @property
    def has_recipe(self) -> bool:
        """Whether the class is one of torchest; others may encode otherwise."""
        return self.is_of_torchest

    @cached_property
    def _dictionaries(self) -> DictionaryCache:
        return DictionaryCache()


@dataclass(frozen=True, eq=False)
class HashedCategoricalColumn(KeyedCategoricalColumn):
    """Hash buckets; made by `categorical_column_with_hash_bucket`."""

    key: str
    hash_bucket_size: int
    dtype: torch.dtype | str

    @property
    def num_buckets(self) -> int:
        """The number of buckets."""
        return self.hash_bucket_size

    def _ids(self, flat: values.Flat) -> Int64s:
        if self.dtype != checks.STRING:
            return self._buckets(Text.of_integers(values.integers(flat, self.subject)))
        return values.encode_text(flat, self.subject, self._buckets, self._dictionaries)

    def recipe(self) -> Recipe:
        """Hashes text, or numbers as text."""
        from torchest.kernels import ids

        of_strings = ids.TAKES_TEXT if self.dtype == checks.STRING else ids.TAKES_BOOLS
        return Recipe(ids.HASHED, ids.TAKES_NUMBERS | of_strings, self.hash_bucket_size)

    def codes_of_entries(self, array: ArrowArray) -> Int64s | None:
        """The buckets of a dictionary's strings."""
        if self.dtype != checks.STRING or not values.is_dictionary_of_text(array):
            return None
        return self._dictionaries.codes_of_entries(array.dictionary, self._buckets)

    def _buckets(self, text: Text) -> Int64s:
        ids = bucket_of(text.fingerprints(), self.hash_bucket_size)
        ids[text.lengths == 0] = MISSING
        return ids

    def onnx_ids(self, graph: OnnxGraph) -> OnnxValue:
        """The hashes, modulo the number of buckets."""
        fingerprints, empty = graph.hashed(self.key)
        return graph.missing_where(empty, graph.buckets(fingerprints, self.hash_bucket_size))

    @property
    def hashes(self) -> bool:
        """True."""
        return True

    def parse_specs(self) -> dict[str, FeatureSpec]:
        """Any number of values in each example."""
        return {self.key: VarLenFeature(self.dtype)}

    def examples(self) -> dict[str, tuple[Example, ...]]:
        """Words, or integers including one that floats cannot hold."""
        return {self.key: EXAMPLE_WORDS if self.dtype == checks.STRING else (17, 0, 2**53 + 1)}

    def value_keys(self, features: Features) -> Cells[Int64s]:
        """The hash of each value modulo a large multiple of the number of buckets, which keeps its bucket."""
        return self._widened.look_up(features)

    def count_unknown(self, features: Features) -> None:
        """None: every value has a bucket."""

    @cached_property
    def _widened(self) -> HashedCategoricalColumn:
        return replace(self, hash_bucket_size=widened(self.hash_bucket_size))


@dataclass(frozen=True, eq=False)
class IdentityCategoricalColumn(KeyedCategoricalColumn):
    """Integers that are ids; made by `categorical_column_with_identity`."""

    key: str
    number_buckets: int
    default_value: int | None

    @property
    def num_buckets(self) -> int:
        """The number of ids."""
        return self.number_buckets

    def look_up(self, features: Features) -> Cells[Int64s]:
        """Returns integers in range unchanged, and MISSING for −1."""
        cells = values.cells(features, self.key, self.subject)
        if cells.offsets is None and isinstance(cells.values, np.ndarray):
            self.note_missing(cells.values)
        return cells.map(self._ids)

    def recipe(self) -> Recipe:
        """Takes integers as they are."""
        from torchest.kernels import ids

        takes = ids.TAKES_NUMBERS | ids.TAKES_BOOLS
        unknown = ids.REFUSED if self.default_value is None else self.default_value
        return Recipe(ids.IDENTITY, takes, self.number_buckets, unknown)

    def _ids(self, flat: values.Flat) -> Int64s:
        ids = values.integers(flat, self.subject)
        missing = ids == -1
        wrong = ((ids < 0) | (ids >= self.number_buckets)) & ~missing
        if self.default_value is None and wrong.any():
            raise ValueError(
                f"{self.subject} got the id {ids[wrong][0]}, which is not from 0 to "
                f"{self.number_buckets - 1}: raise num_buckets, or give default_value, the id of values "
                "out of range."
            )
        return np.where(missing, MISSING, np.where(wrong, self.default_value or 0, ids))

    def onnx_ids(self, graph: OnnxGraph) -> OnnxValue:
        """The integers themselves, if they are in range."""
        values = graph.integers_of(self.key)
        missing = graph.equal(values, -1)
        low = graph.op("Less", values, graph.constant(0))
        high = graph.op("GreaterOrEqual", values, graph.constant(self.num_buckets))
        wrong = graph.op("And", graph.op("Or", low, high), graph.op("Not", missing))
        if self.default_value is None:
            graph.refuse(wrong)
        ids = graph.op("Where", wrong, graph.constant(self.default_value or 0), values)
        return graph.missing_where(missing, ids)

    def parse_specs(self) -> dict[str, FeatureSpec]:
        """Any number of integers in each example."""
        return {self.key: VarLenFeature(torch.int64)}

    def examples(self) -> dict[str, tuple[Example, ...]]:
        """The first id, the last, and one in between."""
        last = self.number_buckets - 1
        return {self.key: (0, last, last // 2)}

    def value_keys(self, features: Features) -> Cells[Int64s]:
        """The hash of each integer; MISSING for −1."""
        return self._integers(features).map(lambda ids: np.where(ids == -1, MISSING, spread(ids)))

    def count_unknown(self, features: Features) -> int:
        """The number of integers in a batch that are out of range."""
        ids = self._integers(features).values
        return int(((ids < -1) | (ids >= self.number_buckets)).sum())

    def _integers(self, features: Features) -> Cells[Int64s]:
        cells = values.cells(features, self.key, self.subject)
        return cells.map(lambda flat: values.integers(flat, self.subject))

    def note_missing(self, array: NumpyArray | ArrowArray) -> None:
        """Warns once that −1 means missing; in a matrix it is padding, as expected."""
        if "_warned" in self.__dict__ or not isinstance(array, np.ndarray):
            return
        if array.dtype.kind == "i" and (array == -1).any():
            self.__dict__["_warned"] = True
            _log.warning(
                "%s got -1, which means missing and has no id; shift the values if it is one of them.",
                self.subject,
            )


class VocabularyCategoricalColumn(KeyedCategoricalColumn):
    """Base class of columns with a vocabulary."""

    dtype: torch.dtype | str
    default_value: int
    num_oov_buckets: int

    @abstractmethod
    def words(self) -> Sequence[str | bytes | int]:
        """The words in the order of their ids."""

    def row_names(self) -> list[str]:
        """The words, followed by "unknown 0", "unknown 1", … for the buckets of unknown words."""
        words = [
            word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
            for word in self.words()
        ]
        return [*words, *(f"unknown {number}" for number in range(self.num_oov_buckets))]

    def parse_specs(self) -> dict[str, FeatureSpec]:
        """Any number of values in each example."""
        return {self.key: VarLenFeature(self.dtype)}

    def examples(self) -> dict[str, tuple[Example, ...]]:
        """The first words, the last one, and unknown ones."""
        words = self.words()
        known = (*words[:3], words[-1])
        if self.dtype != checks.STRING:
            return {self.key: (*known, 987654321)}
        text = [word.decode(errors="ignore") if isinstance(word, bytes) else word for word in known]
        return {self.key: (*(word for word in text if word), *EXAMPLE_WORDS[1:3])}

    def value_keys(self, features: Features) -> Cells[Int64s]:
        """The hash of each value, known or unknown."""
        return self._hashed.look_up(features)

    def count_unknown(self, features: Features) -> int:
        """The number of values in a batch that are not in the vocabulary."""
        return int((self._strict.look_up(features).values == -1).sum())

    @cached_property
    def _hashed(self) -> HashedCategoricalColumn:
        return HashedCategoricalColumn(self.key, KEY_SPACE - 1, self.dtype)

    @cached_property
    def _strict(self) -> VocabularyCategoricalColumn:
        column: Any = self
        strict: VocabularyCategoricalColumn = replace(column, default_value=-1, num_oov_buckets=0)
        return strict

    def recipe(self) -> Recipe | None:
        """Looks values up; None until one of the vocabulary was seen, or its lack has been reported."""
        from torchest.kernels import ids

        vocabulary: Vocabulary | None = self.__dict__.get("_vocabulary")
        if vocabulary is None or not vocabulary.was_hit:
            return None
        kind, takes = ids.INTEGERS, ids.TAKES_NUMBERS | ids.TAKES_BOOLS
        if self.dtype == checks.STRING:
            kind = ids.WORDS
            takes = ids.TAKES_TEXT | (ids.TAKES_NUMBERS if self._has_integers else 0)
        return Recipe(
            kind,
            takes,
            self.num_buckets - self.num_oov_buckets,
            self.default_value,
            self.num_oov_buckets,
            vocabulary.table,
        )

    def codes_of_entries(self, array: ArrowArray) -> Int64s | None:
        """The ids of a dictionary's strings."""
        if self.dtype != checks.STRING or not values.is_dictionary_of_text(array):
            return None
        return self._dictionaries.codes_of_entries(array.dictionary, self._vocabulary.ids)

    def _ids(self, flat: values.Flat) -> Int64s:
        if self.dtype != checks.STRING:
            ids = self._vocabulary.ids_of_integers(values.integers(flat, self.subject))
        else:
            if not values.is_text(flat):
                self._check_integers(flat)
            ids = values.encode_text(flat, self.subject, self._vocabulary.ids, self._dictionaries)
        if not self._vocabulary.was_hit:
            self._count_batch(flat, ids)
        return ids

    def onnx_ids(self, graph: OnnxGraph) -> OnnxValue:
        """The positions of values among the words, from a table in the file."""
        textual = self.dtype == checks.STRING
        values = graph.text_of(self.key) if textual else graph.integers_of(self.key)
        missing = graph.is_empty(values) if textual else graph.equal(values, -1)
        places = dict(self._onnx_words())
        words: Any = list(places)
        table: dict[str, OnnxAttribute] = {
            "values_int64s": list(places.values()),
            "default_int64": -1 if self.num_oov_buckets else self.default_value,
            "keys_strings" if textual else "keys_int64s": words,
        }
        ids = graph.op("LabelEncoder", values, domain="ai.onnx.ml", **table)
        if self.num_oov_buckets:
            unknown = graph.op("And", graph.equal(ids, -1), graph.op("Not", missing))
            if textual and graph.takes_fingerprints_of(self.key):
                fingerprints, _ = graph.hashed(self.key)
            else:
                text = values if textual else graph.cast(values, checks.STRING)
                empty = graph.constant("", checks.STRING)
                fingerprints = graph.fingerprints(graph.op("Where", unknown, text, empty))
            bucket = graph.buckets(fingerprints, self.num_oov_buckets)
            size = graph.constant(self.num_buckets - self.num_oov_buckets)
            ids = graph.op("Where", unknown, graph.op("Add", bucket, size), ids)
        return graph.missing_where(missing, ids)

    def _onnx_words(self) -> Iterator[tuple[str | int, int]]:
        """The words with their positions, without words that are not UTF-8, since text in ONNX is."""
        for place, word in enumerate(self.words()):
            with contextlib.suppress(UnicodeDecodeError):
                yield (word.decode() if isinstance(word, bytes) else word), place

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self.words(), self.default_value, self.num_oov_buckets)

    @cached_property
    def _has_integers(self) -> bool:
        """Whether a word is the text of an integer."""
        text = (word.encode() if isinstance(word, str) else word for word in self.words())
        return any(isinstance(word, int) or _INTEGER.fullmatch(word) for word in text)

    def _check_integers(self, flat: values.Flat) -> None:
        if self._has_integers or not values.is_number(flat):
            return
        integers = values.integers(flat, self.subject)
        there = integers[integers != -1]
        if len(there):
            raise ValueError(
                f"{self.subject} got integers such as {there[0]}, and no word of its vocabulary is the text of an "
                f"integer: they are {_listed(self.words())}. Give the feature as text as it is written there (pandas "
                "and CSV readers take dtype=str), or list integers."
            )

    def _count_batch(self, flat: values.Flat, ids: Int64s) -> None:
        """Warns once if no value of many batches was in the vocabulary."""
        if not (ids != MISSING).any():
            return
        batches = self.__dict__.get("_batches_without_hit", 0) + 1
        self.__dict__["_batches_without_hit"] = batches
        if batches == _BATCHES_TO_WARN:
            self._vocabulary.was_hit = True  # the question is settled
            _log.warning(
                "%s: of the first %d batches no value is in the vocabulary. The feature holds values such as %s, the "
                "vocabulary %s; compare how they are written.",
                self.subject,
                batches,
                _listed(values.examples(flat)),
                _listed(self.words()),
            )


@dataclass(frozen=True, eq=False)
class VocabularyListCategoricalColumn(VocabularyCategoricalColumn):
    """Positions in a list; made by `categorical_column_with_vocabulary_list`."""

    key: str
    vocabulary_list: tuple[str | bytes | int, ...]
    dtype: torch.dtype | str
    default_value: int
    num_oov_buckets: int

    @property
    def num_buckets(self) -> int:
        """The number of words plus the number of buckets for unknown words."""
        return len(self.vocabulary_list) + self.num_oov_buckets

    def words(self) -> tuple[str | bytes | int, ...]:
        """The list."""
        return self.vocabulary_list


def categorical_column_with_identity(
    key: str, num_buckets: int, default_value: int | None = None
) -> IdentityCategoricalColumn:
    """A column whose values are ids.

    Missing values (−1, None, NaN) have no id.

    Args:
        key: The key of the feature: integers in [0, num_buckets), [batch] or with several a row.
        num_buckets: The number of ids, at least 1.
        default_value: The id of integers out of range. Without a default, they are an error.

    Raises:
        ValueError: An argument is wrong.

    >>> categorical_column_with_identity("hour", 24).num_buckets
    24
    """
    checks.key(key)
    size = whole_number(f"Column {key!r}: num_buckets", num_buckets, at_least=1)
    if default_value is not None:
        default_value = whole_number(f"Column {key!r}: default_value", default_value, at_least=0)
        if default_value >= size:
            raise ValueError(
                f"default_value of column {key!r} is {default_value}: give an id below num_buckets={size}."
            )
    return IdentityCategoricalColumn(key, size, default_value)


def categorical_column_with_hash_bucket(
    key: str, hash_bucket_size: int, dtype: Dtype = checks.STRING
) -> HashedCategoricalColumn:
    """A column whose ids are hashes of its values, for large or unknown vocabularies.

    The id is the FarmHash Fingerprint64 of the text modulo the number of buckets, the same on every machine and
    in TensorFlow. Integers are hashed as decimal text. Missing values ("",
    −1, None, NaN) have no id.

    Args:
        key: The key of the feature: text, bytes or integers, [batch] or with several values a row.
        hash_bucket_size: The number of buckets, at least 1.
        dtype: "string" takes text and integers, an integer dtype such as `torch.int64` only integers.

    Raises:
        ValueError: An argument is wrong.

    >>> column = categorical_column_with_hash_bucket("town", 32)
    >>> column.num_buckets
    32
    """
    checks.key(key)
    size = whole_number(f"Column {key!r}: hash_bucket_size", hash_bucket_size, at_least=1)
    return HashedCategoricalColumn(key, size, checks.value_dtype(dtype, key))


def categorical_column_with_vocabulary_list(
    key: str,
    vocabulary_list: Iterable[str | bytes | int],
    dtype: Dtype | None = None,
    default_value: int = -1,
    num_oov_buckets: int = 0,
) -> VocabularyListCategoricalColumn:
    """A column whose ids are positions in a list of values.

    Missing values ("", −1, None, NaN) have no id, even if the list contains them.

    Args:
        key: The key of the feature: text, bytes or integers, [batch] or with several values a row.
        vocabulary_list: The values in the order of their ids: all strings or all integers, each once.
        dtype: "string" or an integer dtype; by default that of the list. A column of strings takes
            integers as their decimal text.
        default_value: The id of unknown values; −1 for none.
        num_oov_buckets: The number of hash buckets for unknown values, whose ids follow those of the list. 0: unknown
            values have the id `default_value`.

    Raises:
        ValueError: An argument is wrong.

    >>> column = categorical_column_with_vocabulary_list("class", ["First", "Second", "Third"])
    >>> column.num_buckets
    3
    """
    checks.key(key)
    words = _checked_words(vocabulary_list, key)
    kind = checks.STRING if isinstance(words[0], str | bytes) else torch.int64
    value_dtype = kind if dtype is None else checks.value_dtype(dtype, key)
    if (value_dtype == checks.STRING) != (kind == checks.STRING):
        raise ValueError(
            f"dtype of column {key!r} is {dtype!r}, but vocabulary_list holds "
            f"{'strings' if kind == checks.STRING else 'integers'} such as {words[0]!r}: make them agree."
        )
    default, buckets = checked_unknown(key, default_value, num_oov_buckets, len(words))
    return VocabularyListCategoricalColumn(key, words, value_dtype, default, buckets)


def _listed(words: Sequence[object]) -> str:
    """The first three, for a message."""
    shown = (
        word.decode(errors="replace") if isinstance(word, bytes) else word for word in words[:3]
    )
    return ", ".join(map(repr, shown))


def checked_unknown(
    key: str, default_value: object, num_oov_buckets: object, words: int
) -> tuple[int, int]:
    """Checks `default_value` and `num_oov_buckets`, which decide the ids of unknown values.

    Raises:
        ValueError: An argument is out of range, or both are set.
    """
    buckets = whole_number(f"Column {key!r}: num_oov_buckets", num_oov_buckets, at_least=0)
    default = whole_number(f"Column {key!r}: default_value", default_value, at_least=-1)
    if default >= words:
        raise ValueError(
            f"default_value of column {key!r} is {default}: give an id below {words}, the size of the "
            "vocabulary, or -1 for none."
        )
    if buckets and default != -1:
        raise ValueError(
            f"Column {key!r} has both num_oov_buckets={buckets} and default_value="
            f"{default}: give one of them, as both say what unknown values become."
        )
    return default, buckets


def _checked_words(words: object, key: str) -> tuple[str | bytes | int, ...]:
    if isinstance(words, set | frozenset):
        raise ValueError(
            f"vocabulary_list of column {key!r} is a set, whose order differs from run to run: give a list, for "
            "example sorted(...)."
        )
    if not is_list(words):
        raise ValueError(
            f"vocabulary_list of column {key!r} is {checks.shown(words)}: give a list of strings or of integers."
        )
    listed = tuple(word.item() if isinstance(word, np.generic) else word for word in words)
    if not listed:
        raise ValueError(f"vocabulary_list of column {key!r} is empty: give at least one value.")
    wanted = str if isinstance(listed[0], str | bytes) else int
    for word in listed:
        if not (is_whole(word) if wanted is int else isinstance(word, str | bytes)):
            raise ValueError(
                f"vocabulary_list of column {key!r} holds {checks.shown(listed[0])} and {checks.shown(word)}: give "
                "only strings, or only integers."
                if word is not listed[0]
                else f"vocabulary_list of column {key!r} holds {checks.shown(word)}: give strings or integers."
            )
        if isinstance(word, int) and not -(2**63) <= word < 2**63:
            raise ValueError(
                f"vocabulary_list of column {key!r} holds {word}, which is beyond the range of int64: give "
                "all values as strings."
            )
    _check_unique(listed, key)
    return listed


def _check_unique(words: tuple[str | bytes | int, ...], key: str) -> None:
    seen = set()
    for word in words:
        as_bytes = word.encode() if isinstance(word, str) else word
        if as_bytes in seen:
            raise ValueError(
                f"vocabulary_list of column {key!r} has {word!r} twice: each value has one id, so leave one "
                "of them out."
            )
        seen.add(as_bytes)
