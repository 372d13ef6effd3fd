"""What the rows of a column's table stand for, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.columns.categorical import VocabularyListCategoricalColumn
from torchest.columns.sequence import SequenceCategoricalColumn
from torchest.columns.vocabulary_file import VocabularyFileCategoricalColumn
from torchest.columns.weighted import WeightedCategoricalColumn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.columns.base import CategoricalColumn


def row_names(column: CategoricalColumn) -> list[str]:
    """A name for each id of a column: its word, or its number.

    Args:
        column: Any categorical column.

    Returns:
        As many as the column has buckets. Buckets for unknown words are called "unknown 0" and so on.

    >>> from torchest import columns
    >>> row_names(columns.categorical_column_with_vocabulary_list("k", ["a", "b"], num_oov_buckets=1))
    ['a', 'b', 'unknown 0']
    >>> row_names(columns.categorical_column_with_hash_bucket("k", 3))
    ['0', '1', '2']
    """
    while isinstance(column, SequenceCategoricalColumn | WeightedCategoricalColumn):
        column = column.categorical_column
    if isinstance(column, VocabularyListCategoricalColumn):
        return _with_unknown(column.vocabulary_list, column.num_oov_buckets)
    if isinstance(column, VocabularyFileCategoricalColumn):
        return _with_unknown(column.words(), column.num_oov_buckets)
    return [str(number) for number in range(column.num_buckets)]


def _with_unknown(words: Sequence[str | bytes | int], num_oov_buckets: int) -> list[str]:
    named = [
        word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in words
    ]
    return [*named, *(f"unknown {number}" for number in range(num_oov_buckets))]
