"""Tables of one width as one parameter: a step needs one look-up, one sum and one update for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from torchest.optimizers.row_gradients import new_empty

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torchest.columns.layers.named_modules import Parts


class TableBank(nn.Module):
    """The rows of several tables of a layer as one parameter.

    The tables are modules of the same layer. They read their rows in the bank, and save and load them under their own
    names; the bank itself is in no `state_dict`.

    Args:
        rows: The number of rows of all tables.
        dimension: The width of a vector.
        trainable: Whether training changes the tables.
        name: The name of the bank in its layer.

    Shape:
        - weight: [rows, dimension], uninitialised
    """

    def __init__(self, rows: int, dimension: int, trainable: bool, name: str) -> None:
        super().__init__()
        self.name = name
        self.weight = nn.Parameter(new_empty(torch.empty(0), [rows, dimension]), trainable)

    def convert(self, like: object) -> None:
        """Takes over the dtype and device of a tensor, as `load_state_dict(..., assign=True)` does."""
        weight = self.weight
        if not isinstance(like, Tensor) or (like.dtype, like.device) == (
            weight.dtype,
            weight.device,
        ):
            return
        if weight.is_meta:  # rows that are not loaded have no values
            rows = torch.full_like(weight, torch.nan, dtype=like.dtype, device=like.device)
        else:
            rows = weight.detach().to(like)
        self.weight = nn.Parameter(rows, weight.requires_grad)

    def _save_to_state_dict(self, *_: object) -> None:
        """Leaves saving to the tables."""

    def _load_from_state_dict(self, *_: object) -> None:
        """Leaves loading to the tables."""


class BankRows(NamedTuple):
    """The rows of one table in a bank."""

    bank: TableBank
    rows: slice


class TableShape(NamedTuple):
    """The properties of a table that say whether, and where, it lies in a bank."""

    rows: int
    dimension: int
    trainable: bool
    columns: int = 1  # that look up in it


def make_banks(tables: Mapping[str, TableShape], names: Collection[str]) -> dict[str, BankRows]:
    """Makes a bank for the tables of one dimension, if two or more columns look up in them.

    Args:
        tables: By name, in the order of their rows.
        names: Names of modules, which banks may not use.

    Returns:
        The bank and rows of each table that is in one.
    """
    alike: dict[tuple[int, bool], list[str]] = {}
    for name, table in tables.items():
        alike.setdefault((table.dimension, table.trainable), []).append(name)
    places: dict[str, BankRows] = {}
    for (dimension, trainable), members in alike.items():
        if sum(tables[name].columns for name in members) > 1:
            bank_name = f"{'' if trainable else 'frozen_'}tables_{dimension}"
            while bank_name in names:
                bank_name += "_"
            rows = sum(tables[name].rows for name in members)
            bank = TableBank(rows, dimension, trainable, bank_name)
            start = 0
            for name in members:
                places[name] = BankRows(bank, slice(start, start + tables[name].rows))
                start += tables[name].rows
    return places


def add_table(layer: Parts, name: str, table: nn.Module) -> None:
    """Adds a table to a layer, after the bank with its rows, if there is one."""
    bank_rows: BankRows | None = getattr(table, "bank_rows", None)
    if bank_rows is not None:
        layer.add_part(bank_rows.bank.name, bank_rows.bank)
    layer.add_part(name, table)
