"""The linear model of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from torchest.columns.base import CategoricalColumn, DenseColumn, FeatureColumn
from torchest.columns.embedding import EmbeddingColumn, embedding_name
from torchest.columns.encode.stacked import StackedDenseColumn
from torchest.columns.features import Features
from torchest.columns.layers.arguments import check_combiner, in_order, is_of_sequences
from torchest.columns.layers.bank_look_ups import BankLookUps
from torchest.columns.layers.fused_linear import add_product
from torchest.columns.layers.linear_logits import LinearLogits
from torchest.columns.layers.named_modules import Parts, PartsAsFound, have_hooks
from torchest.columns.layers.table import Table, table_of
from torchest.columns.layers.table_bank import TableShape, add_table, make_banks
from torchest.columns.sequence import SequenceCategoricalColumn
from torchest.utils import checks
from torchest.utils.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torchest.columns.ids import Ids
    from torchest.columns.layers.table_bank import BankRows


class LinearFeatures(Parts):
    """A weighted sum of the columns: the linear model without its head.

    `state_dict` has `<column>.weight` and `bias`, which are initially 0. The table of an embedding is
    `<column>.table.weight`. The tables of categorical columns are one parameter, `tables_<units>.weight`; `part(name)`
    is the module of a column.

    Args:
        feature_columns: Dense or categorical columns.
        units: The width of the output.
        sparse_combiner: How the ids of a multivalent categorical column combine: "sum", "mean" or
            "sqrtn".

    Shape:
        - output: [batch, units]

    Raises:
        ValueError: There are no columns, two have the same name, or one is not a column; or the combiner is unknown.

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
        units = checks.whole_number("units", units, at_least=1, at_most=2**31 - 1)
        self.bias = nn.Parameter(torch.zeros(units))
        # In the order of their embeddings' names: a deep part of the same columns then has the same stacked
        # column, which is encoded once.
        columns = self._columns
        by_place = {
            place: column
            for place, column in enumerate(columns)
            if isinstance(column, CategoricalColumn)
        }
        self._categorical = sorted(by_place, key=lambda place: embedding_name(by_place[place]))
        categorical = [by_place[place] for place in self._categorical]
        shapes = {
            column.name: TableShape(column.num_buckets, units, True) for column in categorical
        }
        places = make_banks(shapes, [column.name for column in columns])
        for column in columns:
            part = _linear_part(column, units, sparse_combiner, places.get(column.name))
            add_table(self, column.name, part)
        parts = map(self.part, (column.name for column in categorical))
        tables = [part for part in parts if isinstance(part, Table)]
        self._banks = BankLookUps(categorical, tables)
        dense = {
            place: column for place, column in enumerate(columns) if isinstance(column, DenseColumn)
        }
        self._of_dense = list(dense)
        self._dense_names = [column.name for column in dense.values()]
        self._dense = StackedDenseColumn(tuple(dense.values()))
        self._logits: LinearLogits | None = None

    @property
    def columns(self) -> tuple[FeatureColumn, ...]:
        """The columns in the order of their names, as they are encoded."""
        return tuple(self._columns)

    def forward(self, features: Mapping[str, object]) -> Tensor:
        """Features by key to [batch, units]."""
        batch = Features.of(features)
        if not torch.is_grad_enabled() and batch.allows_stacking and not is_traced():
            in_loops = self.logits_in_loops()
            computed = None if in_loops is None else in_loops(batch)
            if computed is not None:
                return torch.from_numpy(computed.logits)
        look_ups = self._banks.sums(batch)
        vectors = [each.vectors for each in look_ups]
        done = {self._categorical[place] for each in look_ups for place in each.places}
        weights = self._dense_weights() if batch.allows_stacking else None
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

    def logits_in_loops(self) -> LinearLogits | None:
        """The logits of the present parameters in compiled loops; None if parts are of other kinds or have hooks."""
        if self._logits is not None and self._logits.holds(self.bias):
            return self._logits
        look_ups, weights = self._banks.current(), self._dense_weights()
        done = sum(len(each.places) for each in look_ups) + len(self._of_dense)
        alone = {} if done == len(self._columns) else self._tables_alone()
        if weights is None or done + len(alone) < len(self._columns):
            return None
        parts = PartsAsFound(self, (column.name for column in self._columns))
        dense = self._dense
        self._logits = LinearLogits(parts, look_ups, alone, dense, weights, self.bias)
        return self._logits

    def _tables_alone(self) -> dict[CategoricalColumn, Tensor]:
        """Columns whose tables have parameters of their own, and no hooks."""
        alone: dict[CategoricalColumn, Tensor] = {}
        for column in self._columns:
            part = self.part(column.name)
            is_alone = type(part) is Table and part.bank_rows is None and not have_hooks((part,))
            if is_alone and isinstance(column, CategoricalColumn):
                weight = part._parameters["weight"]
                assert weight is not None  # which a bank would have
                alone[column] = weight
        return alone

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_logits": None}  # a copy makes its own

    def _dense_weights(self) -> list[Tensor] | None:
        """The weights of the dense columns; None if a part does more than multiply by its weight."""
        parts: list[Any] = list(map(self._modules.get, self._dense_names))
        if not set(map(type, parts)) <= {Weights} or have_hooks(parts):
            return None
        weights = [each._parameters.get("weight") for each in parts]  # an attribute takes longer
        return None if any(weight is None for weight in weights) else weights


class Weights(nn.Module):
    """The weights of a dense column: [width, units]."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, units))

    def forward(self, values: Tensor | Ids) -> Tensor:
        """Numbers [batch, width] to [batch, units]."""
        assert isinstance(values, Tensor)
        return values.to(self.weight.dtype) @ self.weight


class _WeightsOfEmbedding(Weights):
    """The weights of an embedding, [dimension, units], and its table."""

    def __init__(self, column: EmbeddingColumn, units: int) -> None:
        super().__init__(column.dimension, units)
        self.table = table_of(column)

    def forward(self, values: Tensor | Ids) -> Tensor:
        return super().forward(self.table(values))


def _linear_part(
    column: FeatureColumn, units: int, sparse_combiner: str, bank_rows: BankRows | None
) -> nn.Module:
    if is_of_sequences(column):
        raise ValueError(
            f"feature_columns: {column.name!r} is a sequence column, which a linear model cannot use: make it "
            "of a column that is not a sequence column."
        )
    if isinstance(column, CategoricalColumn):
        return Table(column.num_buckets, units, sparse_combiner, bank_rows=bank_rows)
    if isinstance(column, DenseColumn):
        return Weights(column.width, units)
    if isinstance(column, EmbeddingColumn):
        return _WeightsOfEmbedding(column, units)
    raise ValueError(
        f"feature_columns: {column.name!r} ({type(column).__name__}) cannot be used in a linear model: give dense and "
        "categorical columns, and embeddings that share no table."
    )


def _without_order(column: FeatureColumn) -> FeatureColumn:
    """A column of the same name for models that ignore the order of a row's ids."""
    return column.categorical_column if isinstance(column, SequenceCategoricalColumn) else column
