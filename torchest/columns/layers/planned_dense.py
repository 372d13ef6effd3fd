"""The input matrix of a deep model, and the gradients of its tables, in a few compiled loops without autograd.

The numbers are those of `DenseFeatures`, bit for bit.
"""

from __future__ import annotations

import operator
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchest.columns.embedding import EmbeddingColumn, SharedEmbeddingColumn
from torchest.columns.encode.stacked import StackedColumn
from torchest.columns.layers.dense import DenseFeatures
from torchest.columns.layers.embeddings import table_in
from torchest.columns.layers.named_modules import have_hooks
from torchest.columns.layers.table import Table
from torchest.columns.layers.table_bank import TableBank

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from torchest.columns.encode.stacked import StackedDenseColumn, StackedIds
    from torchest.columns.features import Column, Features

    Booleans = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float32]
    Int64s = npt.NDArray[np.int64]

_parameters_of = operator.attrgetter("_parameters")
_attributes_of = operator.attrgetter("__dict__")
_ALL_PRESENT = np.empty((0, 0), np.bool_)


class _Rows(NamedTuple):
    """Rows of a table, int64 [batch, n], and which of them count, [batch, n]; [0, 0] if all do."""

    rows: Int64s
    present: Booleans


class _LookUp:
    """Columns that look up in one parameter.

    Args:
        weight: The parameter.
        stacked: The columns; their rows are those of the parameter.
        starts: The place of each in the matrix.
    """

    def __init__(self, weight: Tensor, stacked: StackedColumn, starts: list[int]) -> None:
        self.weight = weight
        self.stacked = stacked
        self.starts = np.array(starts, np.int64)
        self._table: Floats = weight.detach().numpy()
        self._places = np.empty(0, np.int32)
        self._distinct = np.empty(0, np.int64)
        self._sums: Floats = np.empty((0, weight.shape[1]), np.float32)

    def rows(self, batch: Features) -> _Rows | None:
        """The rows of a batch; None if an example has several ids of one column, or a weight."""
        ids: StackedIds = batch.encoded(self.stacked)
        if len(ids.places) != len(self.starts):
            return None
        present = _ALL_PRESENT if ids.present is None else ids.present.contiguous().numpy()
        return _Rows(ids.rows.contiguous().numpy(), present)

    def write(self, rows: _Rows, matrix: Floats) -> bool:
        """Writes vectors into a matrix; returns whether all rows are in the table."""
        from torchest.kernels import look_ups

        return look_ups.look_up(self._table, *rows, self.starts, matrix)

    def row_gradients(self, rows: _Rows, gradient: Floats, first: int) -> tuple[Int64s, Floats]:
        """The distinct rows of a batch, and the gradient of each; valid until the next call.

        Args:
            rows: Those of the batch.
            gradient: That of the matrix, from its column `first` on.
            first: See above.
        """
        from torchest.kernels import look_ups

        size = rows.rows.size
        if size > len(self._distinct):
            self._places = np.empty(2 << size.bit_length(), np.int32)
            self._distinct = np.empty(size, np.int64)
            self._sums = np.empty((size, self._sums.shape[1]), np.float32)
        places = self._places[: 2 << size.bit_length()]
        starts = self.starts - first
        count = look_ups.add_up_by_row(*rows, starts, gradient, places, self._distinct, self._sums)
        return self._distinct[:count], self._sums[:count]


class PlannedDense:
    """The columns of a `DenseFeatures`, as `plan_dense` plans them.

    Args:
        layer: The layer.
        look_ups: All look-ups of its embeddings.
        dense: All other columns; None if there are none.
        pieces: The place in the matrix of parts of the dense columns, as start and end.

    Attributes:
        tables: The parameters of the look-ups.
        first: The first column of the matrix that depends on them; the width of the matrix if there are none.
        end: The column after the last one that does.
    """

    def __init__(
        self,
        layer: DenseFeatures,
        look_ups: list[_LookUp],
        dense: StackedDenseColumn | None,
        pieces: Mapping[int, tuple[int, int]],
    ) -> None:
        self._layer = layer
        self._identities = _identities(layer)
        self._look_ups = look_ups
        self._dense = dense
        self._pieces = pieces
        self._matrix: Floats = np.empty((0, layer.width), np.float32)
        self._rows: dict[_LookUp, _Rows] = {}
        self._not_needed = _columns_of_layer(layer)
        self.tables = [each.weight for each in self._look_ups]
        starts = [int(each.starts.min()) for each in self._look_ups]
        ends = [int(each.starts.max()) + each.weight.shape[1] for each in self._look_ups]
        self.first, self.end = min(starts, default=layer.width), max(ends, default=layer.width)

    def matrix(self, batch: Features) -> Floats | None:
        """The matrix of a batch, [batch, width], valid until the next call; None if the layer has to compute it."""
        looked_up = {each: each.rows(batch) for each in self._look_ups}
        values = None if self._dense is None else batch.encoded(self._dense)
        if not all(looked_up.values()) or not (values is None or _is_plain_matrix(values)):
            return None
        batch.usage.columns.difference_update(self._not_needed)
        if values is not None and not looked_up:
            numbers: Floats = values.contiguous().numpy()
            return numbers
        self._rows = {each: rows for each, rows in looked_up.items() if rows is not None}
        sizes = {len(rows.rows) for rows in self._rows.values()}
        sizes |= set() if values is None else {len(values)}
        if len(sizes) > 1:
            return None
        (size,) = sizes
        if size > len(self._matrix):
            self._matrix = np.empty((size, self._layer.width), np.float32)
        matrix = self._matrix[:size]
        if not all(each.write(rows, matrix) for each, rows in self._rows.items()):
            return None
        if values is not None:
            numbers = values.numpy()
            for place, (start, end) in self._pieces.items():
                matrix[:, place : place + end - start] = numbers[:, start:end]
        return matrix

    def row_gradients(self, gradient: Floats) -> list[tuple[Int64s, Floats]]:
        """For each of `tables`, the distinct rows of the last batch, and their gradients.

        Args:
            gradient: The gradient of columns `first` to `end` of the matrix.
        """
        return [each.row_gradients(rows, gradient, self.first) for each, rows in self._rows.items()]

    def holds(self) -> bool:
        """Whether the layer has the parameters that were planned, and no hooks."""
        return _identities(self._layer) == self._identities


def plan_dense(layer: DenseFeatures) -> PlannedDense | None:
    """Plans the input matrix of a deep model; None if the layer has hooks, or tables with max_norm."""
    if type(layer) is not DenseFeatures or _identities(layer) is None:
        return None
    places = np.cumsum([0, *layer.output_widths.values()]).tolist()
    by_weight: dict[Tensor, list[int]] = {}
    weights = _weights_and_starts(layer)
    for place, (weight, _) in weights.items():
        by_weight.setdefault(weight, []).append(place)
    look_ups = [
        _LookUp(weight, _stacked(layer, members), [places[each] for each in members])
        for weight, members in by_weight.items()
    ]
    pieces: dict[int, tuple[int, int]] = {}
    start = 0
    for place in layer._of_dense:
        end = start + places[place + 1] - places[place]
        pieces[places[place]] = start, end
        start = end
    return PlannedDense(layer, look_ups, layer._dense if pieces else None, _joined(pieces))


def _stacked(layer: DenseFeatures, places: list[int]) -> StackedColumn:
    """The columns at some positions, which look up in one parameter."""
    for look_up in layer._banks.current():
        if [layer._embedded[each] for each in look_up.places] == places:
            return look_up.stacked  # which other parts of a model may also encode
    starts = _weights_and_starts(layer)
    columns = (layer._columns[place] for place in places)
    categorical = tuple(
        column.categorical_column
        for column in columns
        if isinstance(column, EmbeddingColumn | SharedEmbeddingColumn)
    )
    return StackedColumn(categorical, tuple(starts[place][1] for place in places))


def _weights_and_starts(layer: DenseFeatures) -> dict[int, tuple[Tensor, int]]:
    """The parameter that each embedding looks up in, and its first row there, by the position of the column."""
    by_place: dict[int, tuple[Tensor, int]] = {}
    for place in layer._embedded:
        column = layer._columns[place]
        assert isinstance(column, EmbeddingColumn | SharedEmbeddingColumn)
        table = table_in(layer, column)
        rows = table.bank_rows
        by_place[place] = (table.weight, 0) if rows is None else (rows.bank.weight, rows.rows.start)
    return by_place


def _columns_of_layer(layer: DenseFeatures) -> set[Column]:
    """The encodings that the layer itself reads and the plan does not, so that they are not made ahead."""
    orders: set[Column] = {each.order for each in layer._banks.current()}
    alone = {
        column.categorical_column
        for column in layer._columns
        if isinstance(column, EmbeddingColumn | SharedEmbeddingColumn)
    }
    return orders | alone


def _joined(pieces: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Pieces by their places, with adjacent ones joined."""
    joined: dict[int, tuple[int, int]] = {}
    last = -1
    for place, (start, end) in sorted(pieces.items()):
        if last >= 0 and last + joined[last][1] - joined[last][0] == place:
            joined[last] = joined[last][0], end
        else:
            joined[place] = start, end
            last = place
    return joined


def _identities(layer: DenseFeatures) -> list[int] | None:
    """The identities of tables and their parameters; None if there are hooks, or tables with max_norm.

    Hooks of a session make each step ask for it: without a loop of Python.
    """
    parts: list[Any] = list(layer._modules.values())
    if not set(map(type, parts)) <= {Table, TableBank} or have_hooks([layer, *parts]):
        return None
    if any(map(dict.get, map(_attributes_of, parts), repeat("max_norm"))):
        return None
    parameters = map(dict.get, map(_parameters_of, parts), repeat("weight"), repeat(True))
    return [*map(id, parts), *map(id, parameters)]


def _is_plain_matrix(values: object) -> bool:
    return type(values) is Tensor and values.dtype == torch.float32 and not values.requires_grad
