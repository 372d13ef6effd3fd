"""Modules that turn a batch of features into tensors: the device half of the columns."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from torchest.columns.base import CategoricalColumn, DenseColumn, FeatureColumn
from torchest.columns.checks import column_list
from torchest.columns.embedding import (
    COMBINERS,
    EmbeddingColumn,
    SharedEmbeddingColumn,
    embedding_name,
)
from torchest.columns.encode.stacked import JointDenseColumn
from torchest.columns.features import Features
from torchest.columns.ids import Ids, PaddedIds
from torchest.columns.indicator import IndicatorColumn, as_dense, multi_hot
from torchest.columns.layers.fused_linear import add_product
from torchest.columns.layers.named_modules import Parts, have_hooks
from torchest.columns.layers.table import Table, table_name, table_of
from torchest.columns.layers.table_groups import TableGroups
from torchest.columns.sequence import SequenceCategoricalColumn, SequenceNumericColumn
from torchest.columns.steps import IdSteps, PaddedSteps, Steps
from torchest.utils import checks
from torchest.utils.host_copies import on_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torchest.columns.layers.table import AnyEmbedding

    SequenceDense: TypeAlias = AnyEmbedding | IndicatorColumn | SequenceNumericColumn


class LinearFeatures(Parts):
    """A weighted sum of the columns: the linear model without its head.

    Parameters are called `<column>.weight` and `bias`, whatever the columns' names are; they start at 0.
    The table of an embedding is `<column>.table.weight`.

    Args:
        feature_columns: Dense or categorical columns.
        units: The width of the output.
        sparse_combiner: How the ids of a multivalent categorical column combine: "sum", "mean" or
            "sqrtn".

    Shape:
        - output: [batch, units]

    Raises:
        ValueError: There are no columns, two of one name, or something that is not a column; or the
            combiner is another.

    >>> from torchest import columns
    >>> linear = columns.LinearFeatures([columns.numeric_column("x")])
    >>> linear({"x": torch.tensor([1.0, 2.0])}).shape
    torch.Size([2, 1])
    """

    bias: Tensor

    def __init__(
        self, feature_columns: Iterable[FeatureColumn], units: int = 1, sparse_combiner: str = "sum"
    ) -> None:
        super().__init__()
        check_combiner("sparse_combiner", sparse_combiner)
        self._columns = [
            _without_order(column) for column in in_order(feature_columns, "feature_columns")
        ]
        self.bias = nn.Parameter(
            torch.zeros(checks.whole_number("units", units, at_least=1, at_most=2**31 - 1))
        )
        for column in self._columns:
            self.add_part(column.name, _linear_part(column, units, sparse_combiner))
        # In the order of their embeddings' names: a deep part of the same columns then has the same joint
        # column, which is encoded once.
        given: list[Any] = self._columns
        self._categorical = sorted(
            _places_of(given, CategoricalColumn), key=lambda place: embedding_name(given[place])
        )
        categorical = [given[place] for place in self._categorical]
        tables: list[Any] = [self.part(column.name) for column in categorical]
        self._groups = TableGroups(categorical, tables)
        self._of_dense = _places_of(given, DenseColumn)
        self._dense = JointDenseColumn(tuple(given[place] for place in self._of_dense))

    @property
    def columns(self) -> tuple[FeatureColumn, ...]:
        """The columns in the order of their names, as they are encoded."""
        return tuple(self._columns)

    def forward(self, features: Mapping[str, Any]) -> Tensor:
        """Features by key to [batch, units]."""
        batch = Features.of(features)
        found = self._groups.sums(batch)
        vectors = [each.vectors for each in found]
        done = {self._categorical[place] for each in found for place in each.places}
        weights = self._dense_weights() if batch.joins else None
        if weights:
            values = batch.encoded(self._dense).to(weights[0].dtype)
            logits = add_product(vectors, self.bias, values, weights)
            done.update(self._of_dense)
        else:
            logits = sum(vectors, self.bias)
        rest = [column for place, column in enumerate(self._columns) if place not in done]
        batch.expect(rest)
        for column in rest:
            logits = logits + self.part(column.name)(batch.encoded(column))
        return logits

    def _dense_weights(self) -> list[Tensor] | None:
        """Those of the dense columns; None if a part does more than multiply by a weight of its own."""
        parts = [self.part(column.name) for column in self._dense.columns]
        weights = [part._parameters.get("weight") for part in parts]  # an attribute takes longer
        plain: list[Tensor] = [weight for weight in weights if weight is not None]
        return None if len(plain) < len(parts) or have_hooks(parts) else plain


class _Weights(nn.Module):
    """The weights of a dense column: [width, units]."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, units))

    def forward(self, values: Tensor | Ids) -> Tensor:
        assert isinstance(values, Tensor)
        return values.to(self.weight.dtype) @ self.weight


class _WeightsOfEmbedding(_Weights):
    """The weights of an embedding, [dimension, units], and its table."""

    def __init__(self, column: EmbeddingColumn, units: int) -> None:
        super().__init__(column.dimension, units)
        self.table = table_of(column)

    def forward(self, values: Tensor | Ids) -> Tensor:
        return super().forward(self.table(values))


def check_combiner(argument: str, combiner: object) -> None:
    """Raises ValueError if that is no way to combine ids."""
    checks.one_of(argument, combiner, COMBINERS)


def _check_layer(trainable: Any, name: Any) -> None:
    checks.boolean("trainable", trainable)
    if name is not None:
        checks.text("name", name)


def _linear_part(column: FeatureColumn, units: int, sparse_combiner: str) -> nn.Module:
    if _is_of_sequences(column):
        raise ValueError(
            f"feature_columns: {column.name!r} is a column of sequences, which a linear model cannot take: make it "
            "of a column that is not a sequence column."
        )
    if isinstance(column, CategoricalColumn):
        return Table(column.num_buckets, units, sparse_combiner)
    if isinstance(column, DenseColumn):
        return _Weights(column.width, units)
    if isinstance(column, EmbeddingColumn):
        return _WeightsOfEmbedding(column, units)
    raise ValueError(
        f"feature_columns: {column.name!r} ({type(column).__name__}) has no place in a linear model: give dense and "
        "categorical columns, and embeddings that share no table."
    )


def _places_of(columns: Sequence[FeatureColumn], kind: Any) -> list[int]:
    return [place for place, column in enumerate(columns) if isinstance(column, kind)]


def _without_order(column: FeatureColumn) -> FeatureColumn:
    """A column of the same name for models in which the order of a row's ids does not matter."""
    return column.categorical_column if isinstance(column, SequenceCategoricalColumn) else column


class DenseFeatures(Parts):
    """Dense columns side by side, in the order of their names: the input of a deep model.

    The tables of embeddings are parameters of this module, called `<categorical column>.weight`, or
    `<name of the table>.weight` where columns share one. A bucketized column counts as its indicator.

    Args:
        feature_columns: Numeric, bucketized, indicator and embedding columns.
        trainable: Whether training changes the tables; if not, of no column.
        name: What the user calls the layer.

    Attributes:
        width: The width of the output.
        output_widths: That of each column by its name, in the order of the output.

    Shape:
        - output: [batch, width]

    Raises:
        ValueError: There are no columns, two of one name, or one that is not dense.

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
        _check_layer(trainable, name)
        self.name = name
        self._columns = [_checked_dense(as_dense(column)) for column in ordered]
        self.output_widths = {
            given.name: _width(column) for given, column in zip(ordered, self._columns, strict=True)
        }
        self.width = sum(self.output_widths.values())
        _add_tables(self, self._columns, trainable)
        self._embedded = _places_of(self._columns, EmbeddingColumn | SharedEmbeddingColumn)
        embedded: list[Any] = [self._columns[place] for place in self._embedded]
        self._groups = TableGroups(
            [column.categorical_column for column in embedded],
            [_table(self, column) for column in embedded],
        )
        self._of_dense = tuple(_places_of(self._columns, DenseColumn))
        dense: list[Any] = [self._columns[place] for place in self._of_dense]
        self._dense = JointDenseColumn(tuple(dense))
        self._layout = _Layout(list(self.output_widths.values()))

    def forward(self, features: Mapping[str, Any]) -> Tensor:
        """Features by key to [batch, width]."""
        return torch.cat(self.blocks(features), 1)

    def blocks(self, features: Mapping[str, Any]) -> list[Tensor]:
        """The output in pieces, [batch, n] each, as they are had: what reads it need not wait for one copy more."""
        batch = Features.of(features)
        sources, contents = self._together(batch)
        rest, pieces = self._layout.of(contents)
        columns = [self._columns[place] for place in rest]
        batch.expect(columns)
        sources.extend(self._values(column, batch) for column in columns)
        return [piece.of(sources[piece.source]) for piece in pieces]

    def _together(self, batch: Features) -> tuple[list[Tensor], list[_Content]]:
        """What could be had together: matrices, and what lies in each of them."""
        found = self._groups.look_up(batch)
        sources = [each.vectors.flatten(1) for each in found]
        contents = [
            _Content(tuple(map(self._embedded.__getitem__, each.places)), each.vectors.shape[2])
            for each in found
        ]
        if batch.joins and self._of_dense:
            sources.append(batch.encoded(self._dense))
            contents.append(_Content(self._of_dense))
        return sources, contents

    def _values(self, column: DenseColumn | AnyEmbedding, batch: Features) -> Tensor:
        if isinstance(column, DenseColumn):
            dense: Tensor = batch.encoded(column)
            return dense
        combined: Tensor = _table(self, column)(batch.encoded(column.categorical_column))
        return combined


class _Content(NamedTuple):
    """What lies in a matrix: the places of columns, side by side, and how wide each is; None: as it says itself."""

    places: tuple[int, ...]
    width: int | None = None


class _Piece(NamedTuple):
    """Columns `start` to `end` of one of several matrices; all of them where there is no end."""

    source: int
    start: int = 0
    end: int | None = None

    def of(self, matrix: Tensor) -> Tensor:
        is_all = self.start == 0 and self.end in (None, matrix.shape[1])
        return matrix if is_all else matrix[:, self.start : self.end]


class _Layout:
    """In which pieces of which matrices columns lie, one after the other; nearly always as in the batch before.

    Args:
        widths: What columns say that they are wide.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        self._widths = widths
        self._last: tuple[list[_Content], list[int], list[_Piece]] = ([], [], [])

    def of(self, contents: list[_Content]) -> tuple[list[int], list[_Piece]]:
        """The places of columns that are in no matrix, and the pieces, if each of those has a matrix of its own.

        Args:
            contents: Of the matrices, in their order.
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
        """Where in the matrices each column is, by its place."""
        parts: dict[int, _Piece] = {}
        for source, (places, width) in enumerate(contents):
            start = 0
            for place in places:
                end = start + (self._widths[place] if width is None else width)
                parts[place] = _Piece(source, start, end)
                start = end
        return parts


def _joined(of_columns: Mapping[int, _Piece]) -> list[_Piece]:
    """The pieces in the order of the columns; those that follow each other in a matrix in one."""
    pieces: list[_Piece] = []
    for _, piece in sorted(of_columns.items()):
        last = pieces[-1] if pieces else None
        if last is not None and (last.source, last.end) == (piece.source, piece.start):
            pieces[-1] = last._replace(end=piece.end)
        else:
            pieces.append(piece)
    return pieces


class SequenceFeatures(Parts):
    """Columns of sequences step by step, side by side in the order of their names.

    Parameters are called as those of `DenseFeatures`.

    Args:
        feature_columns: Sequence numeric columns, and embeddings and indicators of sequence
            categorical ones.
        trainable: Whether training changes the tables; if not, of no column.
        name: What the user calls the layer.

    Attributes:
        width: The width of the output.
        output_widths: That of each column by its name, in the order of the output.

    Shape:
        - output: [batch, time, width], and the lengths of the rows, int64 [batch]. Time is the width of the
          matrices that were given, padding included, or the length of the longest list, whichever is greatest.
          Behind its last step a row has zeros, and the default value of numeric columns.

    Raises:
        ValueError: There are no columns, two of one name, or one that is not of sequences; or, for a
            batch, columns whose lengths differ.

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
        _check_layer(trainable, name)
        self.name = name
        self._columns = [_checked_sequence(column) for column in ordered]
        self.output_widths = {column.name: _width(column) for column in self._columns}
        self.width = sum(self.output_widths.values())
        _add_tables(self, self._columns, trainable)

    def forward(self, features: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
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
        """A vector for each step of several ids: combined as the column combines those of a row."""
        if isinstance(column, IndicatorColumn):
            return multi_hot(ids, column.width)
        vectors: Tensor = _table(self, column)(ids)
        return vectors

    def _vectors_of(self, column: AnyEmbedding | IndicatorColumn, ids: Tensor) -> Tensor:
        """A vector for each id, in one more dimension than the ids have."""
        if not isinstance(column, IndicatorColumn):
            return _table(self, column).vectors(ids)
        places = torch.arange(column.width, device=ids.device)
        return (ids.unsqueeze(-1) == places).to(torch.float32)


def _add_tables(layer: Parts, columns: Iterable[FeatureColumn], trainable: bool) -> None:
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


def _table(layer: Parts, column: AnyEmbedding) -> Table:
    table = layer.part(table_name(column))
    assert isinstance(table, Table)
    return table


def _width(column: DenseColumn | SequenceDense) -> int:
    if isinstance(column, EmbeddingColumn | SharedEmbeddingColumn):
        return column.dimension
    return column.width


def _is_of_sequences(column: FeatureColumn) -> bool:
    if isinstance(column, SequenceNumericColumn | SequenceCategoricalColumn):
        return True
    inner = getattr(column, "categorical_column", None)
    return isinstance(inner, FeatureColumn) and _is_of_sequences(inner)


def _checked_dense(column: FeatureColumn) -> DenseColumn | AnyEmbedding:
    if _is_of_sequences(column):
        raise ValueError(
            f"feature_columns: {column.name!r} is a column of sequences: give it to SequenceFeatures, or make it of "
            "a column that is not a sequence column."
        )
    if isinstance(column, DenseColumn | EmbeddingColumn | SharedEmbeddingColumn):
        return column
    raise ValueError(
        f"feature_columns: {column.name!r} ({type(column).__name__}) is not dense: give embedding_column or "
        "indicator_column of it."
    )


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
    """Whether steps are those of a traced model: a matrix that did not come from the host."""
    return isinstance(steps, PaddedSteps) and on_host(steps.lengths) is steps.lengths


def _padding(column: SequenceDense) -> float:
    return column.default_value if isinstance(column, SequenceNumericColumn) else 0.0


def check_equal_lengths(columns: Sequence[FeatureColumn], lengths: Sequence[Tensor]) -> None:
    """Raises ValueError unless the sequences of columns have as many steps as each other.

    Args:
        columns: The columns.
        lengths: Of the sequences of each column, int64 [batch], on the host.
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
        f"{int(others[row])} in row {row} of a batch: sequences that are read together need as many steps."
    )


def in_order(columns: Iterable[FeatureColumn], argument: str) -> list[FeatureColumn]:
    """Columns in the order of their names, which is the order of outputs and does not depend on the user's.

    Args:
        columns: What the user gave.
        argument: The name of the argument that the user gave it as.

    Raises:
        ValueError: There are none, two have one name, or one is not a column.
    """
    listed = column_list(columns, argument)
    if not listed:
        raise ValueError(
            f"{argument} is empty: give at least one column, such as columns.numeric_column('age')."
        )
    names = sorted(column.name for column in listed)
    for name, following in itertools.pairwise(names):
        if name == following:
            raise ValueError(f"{argument} has two columns called {name!r}: leave one of them out.")
    return sorted(listed, key=lambda column: column.name)
