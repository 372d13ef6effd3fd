"""The tables of a layer's embedding columns."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from torchest.columns.embedding import EmbeddingColumn, SharedEmbeddingColumn
from torchest.columns.layers.table import Table, is_trainable, table_name, table_of
from torchest.columns.layers.table_bank import TableShape, add_table, make_banks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torchest.columns.base import DenseColumn, FeatureColumn
    from torchest.columns.indicator import IndicatorColumn
    from torchest.columns.layers.named_modules import Parts
    from torchest.columns.layers.table import AnyEmbedding
    from torchest.columns.sequence import SequenceNumericColumn

    SequenceDense: TypeAlias = AnyEmbedding | IndicatorColumn | SequenceNumericColumn


def add_tables(
    layer: Parts, columns: Iterable[FeatureColumn], trainable: bool, *, in_banks: bool = False
) -> None:
    """Adds the tables of embeddings to a layer, once for columns that share one.

    Args:
        layer: The layer.
        columns: All columns of the layer.
        trainable: Whether training changes the tables. False also applies to columns with trainable=True.
        in_banks: Whether tables of the same width share a parameter. Tables with max_norm do not.
    """
    owners: dict[str, AnyEmbedding] = {}
    counts: Counter[str] = Counter()
    for column in columns:
        if isinstance(column, EmbeddingColumn | SharedEmbeddingColumn):
            name = table_name(column)
            counts[name] += 1
            owner = owners.setdefault(name, column)
            if owner is not column:
                _check_shared(owner, column, name)
    shapes = {
        name: TableShape(
            owner.categorical_column.num_buckets,
            owner.dimension,
            trainable and is_trainable(owner),
            counts[name],
        )
        for name, owner in owners.items()
        if in_banks and owner.max_norm is None
    }
    places = make_banks(shapes, owners)
    for name, owner in owners.items():
        table = table_of(owner, places.get(name))
        if not trainable and name not in places:
            table.requires_grad_(False)
        add_table(layer, name, table)


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
