"""The tables of a layer's embedding columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from torchest.columns.embedding import EmbeddingColumn, SharedEmbeddingColumn
from torchest.columns.layers.table import Table, table_name, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torchest.columns.base import DenseColumn, FeatureColumn
    from torchest.columns.indicator import IndicatorColumn
    from torchest.columns.layers.named_modules import Parts
    from torchest.columns.layers.table import AnyEmbedding
    from torchest.columns.sequence import SequenceNumericColumn

    SequenceDense: TypeAlias = AnyEmbedding | IndicatorColumn | SequenceNumericColumn


def add_tables(layer: Parts, columns: Iterable[FeatureColumn], trainable: bool) -> None:
    """Gives a layer the tables of its embeddings; columns that share one get one."""
    owners: dict[str, AnyEmbedding] = {}
    for column in columns:
        if not isinstance(column, EmbeddingColumn | SharedEmbeddingColumn):
            continue
        name = table_name(column)
        owner = owners.setdefault(name, column)
        if owner is not column:
            _check_shared(owner, column, name)
            continue
        table = table_of(column)
        if not trainable:
            table.requires_grad_(False)
        layer.add_part(name, table)


def _check_shared(first: AnyEmbedding, second: AnyEmbedding, name: str) -> None:
    if (
        isinstance(first, SharedEmbeddingColumn)
        and isinstance(second, SharedEmbeddingColumn)
        and first.shared_embedding_column_creator == second.shared_embedding_column_creator
        and (first.combiner, first.max_norm) == (second.combiner, second.max_norm)
    ):
        return
    raise ValueError(
        f"feature_columns: {first.name!r} and {second.name!r} have different tables of one name, {name!r}: make "
        "them with one call of shared_embeddings, or give another shared_embedding_collection_name."
    )


def table_in(layer: Parts, column: AnyEmbedding) -> Table:
    """The table of an embedding in its layer."""
    table = layer.part(table_name(column))
    assert isinstance(table, Table)
    return table


def width_of(column: DenseColumn | SequenceDense) -> int:
    """The number of outputs of a column."""
    if isinstance(column, EmbeddingColumn | SharedEmbeddingColumn):
        return column.dimension
    return column.width
