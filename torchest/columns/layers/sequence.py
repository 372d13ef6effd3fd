"""Sequence columns step by step: the input of a recurrent model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.columns.embedding import EmbeddingColumn, SharedEmbeddingColumn
from torchest.columns.features import Features
from torchest.columns.ids import Ids, PaddedIds
from torchest.columns.indicator import IndicatorColumn, multi_hot
from torchest.columns.layers.arguments import check_layer, in_order
from torchest.columns.layers.embeddings import add_tables, table_in, width_of
from torchest.columns.layers.named_modules import Parts
from torchest.columns.sequence import SequenceCategoricalColumn, SequenceNumericColumn
from torchest.columns.steps import IdSteps, PaddedSteps, Steps
from torchest.utils.host_copies import on_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torchest.columns.base import FeatureColumn
    from torchest.columns.layers.embeddings import SequenceDense
    from torchest.columns.layers.table import AnyEmbedding


class SequenceFeatures(Parts):
    """The steps of sequence columns, concatenated in the order of the columns' names.

    Parameters have the same names in `state_dict` as those of `DenseFeatures`.

    Args:
        feature_columns: Sequence numeric columns, and embeddings and indicators of sequence
            categorical ones.
        trainable: Whether training changes the tables. False also applies to columns with trainable=True.
        name: A name for the layer.

    Attributes:
        width: The width of the output.
        output_widths: The width of each column by name, in the order of the output.

    Shape:
        - output: [batch, time, width], and the lengths of the rows, int64 [batch]. Time is the width of the widest
          matrix, including padding, or the length of the longest list, whichever is greater. After its last step a row
          has zeros, or the default value of numeric columns.

    Raises:
        ValueError: There are no columns, two have the same name, or one is not a sequence column; or, for a batch, the
            columns differ in their lengths.

    >>> from torchest import columns
    >>> watched = columns.sequence_categorical_column_with_identity("watched", 9)
    >>> layer = columns.SequenceFeatures([columns.embedding_column(watched, 4)])
    >>> output, lengths = layer({"watched": [[3, 5, 1], [2]]})
    >>> output.shape, lengths
    (torch.Size([2, 3, 4]), tensor([3, 1]))
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
        self._columns = [_checked_sequence(column) for column in ordered]
        self.output_widths = {column.name: width_of(column) for column in self._columns}
        self.width = sum(self.output_widths.values())
        add_tables(self, self._columns, trainable)

    def forward(self, features: Mapping[str, object]) -> tuple[Tensor, Tensor]:
        """Features by key to [batch, time, width] and lengths [batch]."""
        batch = Features.of(features)
        batch.expect(self._columns)
        batch.usage.together.add(tuple(self._columns))
        steps = [self._steps(column, batch) for column in self._columns]
        first = steps[0].lengths
        # in a model that is traced nothing can depend on values, and all matrices have one width
        time = None if any(map(_is_traced, steps)) else max(part.room for part in steps)
        if time is not None:
            check_equal_lengths(self._columns, [on_host(part.lengths) for part in steps])
        padded = [
            part.padded(_padding(column), time)
            for column, part in zip(self._columns, steps, strict=True)
        ]
        return torch.cat(padded, 2), first

    def _steps(self, column: SequenceDense, batch: Features) -> Steps | PaddedSteps:
        if isinstance(column, SequenceNumericColumn):
            steps: Steps | PaddedSteps = batch.encoded(column)
            return steps
        ids: Ids | IdSteps | PaddedIds = batch.encoded(column.categorical_column)
        if isinstance(ids, IdSteps):
            return Steps(self._vectors_of_bags(column, ids.ids), ids.offsets, ids.time)
        if isinstance(ids, PaddedIds):
            assert ids.lengths is not None
            return PaddedSteps(self._vectors_of(column, ids.values), ids.lengths)
        assert ids.offsets is not None
        return Steps(self._vectors_of(column, ids.values), ids.offsets, ids.time)

    def _vectors_of_bags(self, column: AnyEmbedding | IndicatorColumn, ids: Ids) -> Tensor:
        """A vector for each step with several ids, combined by the combiner of the column."""
        if isinstance(column, IndicatorColumn):
            return multi_hot(ids, column.width)
        vectors: Tensor = table_in(self, column)(ids)
        return vectors

    def _vectors_of(self, column: AnyEmbedding | IndicatorColumn, ids: Tensor) -> Tensor:
        """A vector for each id, along a new last dimension."""
        if not isinstance(column, IndicatorColumn):
            return table_in(self, column).vectors(ids)
        places = torch.arange(column.width, device=ids.device)
        return (ids.unsqueeze(-1) == places).to(torch.float32)


def _checked_sequence(column: FeatureColumn) -> SequenceDense:
    if isinstance(column, SequenceNumericColumn):
        return column
    if isinstance(column, EmbeddingColumn | SharedEmbeddingColumn | IndicatorColumn) and isinstance(
        column.categorical_column, SequenceCategoricalColumn
    ):
        return column
    raise ValueError(
        f"feature_columns: {column.name!r} ({type(column).__name__}) has no steps: give only "
        "sequence_numeric_column, and embedding_column or indicator_column of a sequence_categorical_column."
    )


def _is_traced(steps: Steps | PaddedSteps) -> bool:
    """Whether steps belong to a traced model: a matrix that is not from the host."""
    return isinstance(steps, PaddedSteps) and on_host(steps.lengths) is steps.lengths


def _padding(column: SequenceDense) -> float:
    return column.default_value if isinstance(column, SequenceNumericColumn) else 0.0


def check_equal_lengths(columns: Sequence[FeatureColumn], lengths: Sequence[Tensor]) -> None:
    """Raises ValueError unless the sequences of all columns have equal lengths.

    Args:
        columns: The columns.
        lengths: The lengths of each column's sequences, int64 [batch], on the host.
    """
    for column, others in zip(columns[1:], lengths[1:], strict=True):
        if not torch.equal(lengths[0], others):
            raise _unequal_lengths(columns[0], lengths[0], column, others)


def _unequal_lengths(
    first: FeatureColumn, lengths: Tensor, second: FeatureColumn, others: Tensor
) -> ValueError:
    row = int((lengths != others).nonzero()[0])
    return ValueError(
        f"Columns {first.name!r} and {second.name!r} have sequences of differing lengths, {int(lengths[row])} and "
        f"{int(others[row])} in row {row} of a batch: sequences that are read together must have equal lengths."
    )
