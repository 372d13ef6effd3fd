"""Dense columns side by side: the input of a deep model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from torchest.columns.base import DenseColumn, FeatureColumn
from torchest.columns.embedding import EmbeddingColumn, SharedEmbeddingColumn
from torchest.columns.encode.stacked import StackedDenseColumn
from torchest.columns.features import Features
from torchest.columns.indicator import as_dense
from torchest.columns.layers.arguments import check_layer, in_order, is_of_sequences
from torchest.columns.layers.bank_look_ups import BankLookUps
from torchest.columns.layers.embeddings import add_tables, table_in, width_of
from torchest.columns.layers.named_modules import Parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torchest.columns.layers.table import AnyEmbedding


class DenseFeatures(Parts):
    """Dense columns side by side, in the order of their names: the input of a deep model.

    In `state_dict`, the table of an embedding is `<categorical column>.weight`, or `<name of the table>.weight` where
    columns share one. Tables of one width are one parameter, `tables_<width>.weight`; `part(name)` is the module of a
    table. A bucketized column counts as its indicator.

    Args:
        feature_columns: Numeric, bucketized, indicator and embedding columns.
        trainable: Whether training changes the tables. False also applies to columns with trainable=True.
        name: A name for the layer.

    Attributes:
        width: The width of the output.
        output_widths: The width of each column by name, in the order of the output.

    Shape:
        - output: [batch, width]

    Raises:
        ValueError: There are no columns, two have the same name, or one is not dense.

    >>> from torchest import columns
    >>> town = columns.categorical_column_with_vocabulary_list("town", ["Cherbourg", "Southampton"])
    >>> dense = columns.DenseFeatures(
    ...     [columns.embedding_column(town, 3), columns.numeric_column("age")]
    ... )
    >>> dense({"age": [22, 38], "town": ["Southampton", ""]}).shape
    torch.Size([2, 4])
    >>> dense.output_widths
    {'age': 1, 'town_embedding': 3}
    """

    def __init__(
        self,
        feature_columns: Iterable[FeatureColumn],
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__()
        ordered = in_order(feature_columns, "feature_columns")
        check_layer(trainable, name)
        self.name = name
        self._columns = [_checked_dense(as_dense(column)) for column in ordered]
        self.output_widths = {
            column.name: width_of(dense)
            for column, dense in zip(ordered, self._columns, strict=True)
        }
        self.width = sum(self.output_widths.values())
        add_tables(self, self._columns, trainable, in_banks=True)
        embedded = {
            place: column
            for place, column in enumerate(self._columns)
            if isinstance(column, EmbeddingColumn | SharedEmbeddingColumn)
        }
        self._embedded = list(embedded)
        self._banks = BankLookUps(
            [column.categorical_column for column in embedded.values()],
            [table_in(self, column) for column in embedded.values()],
        )
        dense = {
            place: column
            for place, column in enumerate(self._columns)
            if isinstance(column, DenseColumn)
        }
        self._of_dense = tuple(dense)
        self._dense = StackedDenseColumn(tuple(dense.values()))
        self._layout = _Layout(list(self.output_widths.values()))

    def forward(self, features: Mapping[str, object]) -> Tensor:
        """Features by key to [batch, width]."""
        return torch.cat(self.blocks(features), 1)

    def blocks(self, features: Mapping[str, object]) -> list[Tensor]:
        """The output in blocks [batch, n], without the copy that concatenates them."""
        batch = Features.of(features)
        sources, contents = self._stacked(batch)
        rest, pieces = self._layout.of(contents)
        columns = [self._columns[place] for place in rest]
        batch.expect(columns)
        sources.extend(self._values(column, batch) for column in columns)
        return [piece.of(sources[piece.source]) for piece in pieces]

    def _stacked(self, batch: Features) -> tuple[list[Tensor], list[_Content]]:
        """The matrices of stacked columns, and the columns in each of them."""
        look_ups = self._banks.look_up(batch)
        sources = [each.vectors.flatten(1) for each in look_ups]
        contents = [
            _Content(tuple(map(self._embedded.__getitem__, each.places)), each.vectors.shape[2])
            for each in look_ups
        ]
        if batch.allows_stacking and self._of_dense:
            sources.append(batch.encoded(self._dense))
            contents.append(_Content(self._of_dense))
        return sources, contents

    def _values(self, column: DenseColumn | AnyEmbedding, batch: Features) -> Tensor:
        if isinstance(column, DenseColumn):
            dense: Tensor = batch.encoded(column)
            return dense
        combined: Tensor = table_in(self, column)(batch.encoded(column.categorical_column))
        return combined


class _Content(NamedTuple):
    """The positions of the columns in a matrix, and the width of each; None for the column's own width."""

    places: tuple[int, ...]
    width: int | None = None


class _Piece(NamedTuple):
    """Columns `start` to `end` of one of several matrices; without an end, all of them."""

    source: int
    start: int = 0
    end: int | None = None

    def of(self, matrix: Tensor) -> Tensor:
        is_all = self.start == 0 and self.end in (None, matrix.shape[1])
        return matrix if is_all else matrix[:, self.start : self.end]


class _Layout:
    """The matrix and the place of each column in it, in order; cached, since batches rarely differ.

    Args:
        widths: The widths of the columns.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        self._widths = widths
        self._last: tuple[list[_Content], list[int], list[_Piece]] = ([], [], [])

    def of(self, contents: list[_Content]) -> tuple[list[int], list[_Piece]]:
        """The positions of columns in no matrix, and the pieces, if each of those columns gets its own matrix.

        Args:
            contents: The contents of the matrices, in order.
        """
        last, rest, pieces = self._last
        if last != contents or not pieces:
            together = {place for content in contents for place in content.places}
            rest = [place for place in range(len(self._widths)) if place not in together]
            alone = enumerate(rest, len(contents))
            of_columns = {place: _Piece(source) for source, place in alone}
            pieces = _joined({**of_columns, **self._parts(contents)})
            self._last = contents, rest, pieces
        return rest, pieces

    def _parts(self, contents: Iterable[_Content]) -> dict[int, _Piece]:
        """The piece of each column, by its position."""
        parts: dict[int, _Piece] = {}
        for source, (places, width) in enumerate(contents):
            start = 0
            for place in places:
                end = start + (self._widths[place] if width is None else width)
                parts[place] = _Piece(source, start, end)
                start = end
        return parts


def _joined(of_columns: Mapping[int, _Piece]) -> list[_Piece]:
    """The pieces in the order of the columns, with adjacent pieces of a matrix joined."""
    pieces: list[_Piece] = []
    for _, piece in sorted(of_columns.items()):
        last = pieces[-1] if pieces else None
        if last is not None and (last.source, last.end) == (piece.source, piece.start):
            pieces[-1] = last._replace(end=piece.end)
        else:
            pieces.append(piece)
    return pieces


def _checked_dense(column: FeatureColumn) -> DenseColumn | AnyEmbedding:
    if is_of_sequences(column):
        raise ValueError(
            f"feature_columns: {column.name!r} is a sequence column: give it to SequenceFeatures, or make it of "
            "a column that is not a sequence column."
        )
    if isinstance(column, DenseColumn | EmbeddingColumn | SharedEmbeddingColumn):
        return column
    raise ValueError(
        f"feature_columns: {column.name!r} ({type(column).__name__}) is not dense: give embedding_column or "
        "indicator_column of it."
    )
