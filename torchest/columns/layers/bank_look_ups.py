"""Looks up the columns of a table bank in one operation."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import torch

from torchest.columns.encode.stacked import RowOrderColumn, StackedColumn, StackedIds
from torchest.columns.layers.named_modules import have_hooks
from torchest.optimizers import row_gradients
from torchest.utils.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from torchest.columns.base import CategoricalColumn
    from torchest.columns.features import Features
    from torchest.columns.layers.table import Table
    from torchest.columns.layers.table_bank import BankRows, TableBank
    from torchest.optimizers.row_gradients import RowOrder

_parameters_of = operator.attrgetter("_parameters")


@dataclass(frozen=True, eq=False)
class LookedUp:
    """The vectors of several columns.

    Attributes:
        places: The positions of the columns, in the order of the vectors.
        vectors: [batch, number of columns, dimension]; or their sums over the columns, [batch, dimension].
    """

    places: list[int]
    vectors: Tensor


class BankLookUps:
    """Looks up the columns of a layer, with one operation for each bank.

    A table that has hooks or a parameter of its own is not included: the layer calls it separately.

    Args:
        columns: Categorical columns.
        tables: The table of each column; columns may share one.
    """

    def __init__(self, columns: Sequence[CategoricalColumn], tables: Sequence[Table]) -> None:
        self._columns = tuple(columns)
        self._tables = tuple(tables)
        self._own: list[int] | None = None  # the parameter of each table when `_in_banks` was made
        self._in_banks: list[BankRows | None] = []
        self._look_ups: list[BankLookUp] = []

    def look_up(self, batch: Features) -> list[LookedUp]:
        """The vectors of all columns that banks can look up in this batch."""
        return self._each(batch, BankLookUp.look_up)

    def sums(self, batch: Features) -> list[LookedUp]:
        """Like `look_up`, with vectors summed over the columns of a bank: [batch, dimension]."""
        return self._each(batch, BankLookUp.sums)

    def _each(
        self, batch: Features, look_up: Callable[[BankLookUp, Features], LookedUp | None]
    ) -> list[LookedUp]:
        if not batch.allows_stacking or is_traced():
            return []
        results = (look_up(each, batch) for each in self.current())
        return [result for result in results if result is not None]

    def current(self) -> list[BankLookUp]:
        """The look-ups of the tables that are in banks now and have no hooks."""
        # in each step, for each table: without a loop of Python
        parameters = map(_parameters_of, self._tables)
        own = list(map(id, map(dict.get, parameters, repeat("weight"), repeat(True))))
        is_hooked = have_hooks(self._tables)
        if is_hooked or own != self._own:
            in_banks = [
                None if is_hooked and have_hooks((table,)) else table.bank_rows
                for table in self._tables
            ]
            if in_banks != self._in_banks:
                self._in_banks, self._look_ups = in_banks, self._by_bank(in_banks)
            self._own = None if is_hooked else own  # last, as other threads may look at it
        return self._look_ups

    def _by_bank(self, in_banks: Sequence[BankRows | None]) -> list[BankLookUp]:
        by_bank: dict[TableBank, dict[int, int]] = {}
        for place, of_table in enumerate(in_banks):
            if of_table is not None:
                by_bank.setdefault(of_table.bank, {})[place] = of_table.rows.start
        return [self._of_bank(bank, starts) for bank, starts in by_bank.items()]

    def _of_bank(self, bank: TableBank, starts: Mapping[int, int]) -> BankLookUp:
        """The look-up of some columns, from the first row of each in the bank."""
        columns = tuple(self._columns[place] for place in starts)
        stacked = StackedColumn(columns, tuple(starts.values()))
        return BankLookUp(list(starts), bank, stacked, RowOrderColumn(stacked, len(bank.weight)))

    def __getstate__(self) -> dict[str, object]:
        return {
            **vars(self),
            "_look_ups": [],
            "_in_banks": [],
            "_own": None,
        }  # a copy makes its own


@dataclass(frozen=True, eq=False)
class BankLookUp:
    """The look-up of the columns whose tables are in one bank."""

    places: list[int]
    bank: TableBank
    stacked: StackedColumn
    order: RowOrderColumn

    def look_up(self, batch: Features) -> LookedUp | None:
        """The vectors of a batch; None if no column can be looked up."""
        ids: StackedIds = batch.encoded(self.stacked)
        if not ids.places:
            return None
        vectors = row_gradients.look_up(self.bank.weight, ids.rows, self._order(batch))
        if ids.present is not None:
            vectors = vectors * ids.present.to(vectors.dtype).unsqueeze(2)
        return LookedUp([self.places[place] for place in ids.places], vectors)

    def sums(self, batch: Features) -> LookedUp | None:
        """Like `look_up`, summed over the columns."""
        ids: StackedIds = batch.encoded(self.stacked)
        if ids.present is not None:
            result = self.look_up(batch)
            return None if result is None else LookedUp(result.places, result.vectors.sum(1))
        if not ids.places:
            return None
        sums = row_gradients.look_up_sums(self.bank.weight, ids.rows, self._order(batch))
        return LookedUp([self.places[place] for place in ids.places], sums)

    def _order(self, batch: Features) -> RowOrder | None:
        is_trained = self.bank.weight.requires_grad and torch.is_grad_enabled()
        return batch.encoded(self.order) if is_trained else None
