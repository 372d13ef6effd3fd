"""The parameters of a model by their names in checkpoints; for a table bank, the rows of each table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torchest.columns.layers.table import Table
from torchest.columns.layers.table_bank import TableBank

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


class StoredParameter(NamedTuple):
    """A parameter as stored in checkpoints: a whole one, or the rows of one table in a bank.

    Attributes:
        name: The name.
        parameter: The parameter.
        rows: The rows of the table; None for the whole parameter.
    """

    name: str
    parameter: nn.Parameter
    rows: slice | None

    @property
    def value(self) -> Tensor:
        """The parameter, or its rows."""
        return self.parameter if self.rows is None else self.parameter[self.rows]


def stored_parameters(module: nn.Module) -> Iterator[StoredParameter]:
    """The parameters of a module by their names in its `state_dict`, each once."""
    known: set[tuple[int, int]] = set()
    for path, part in module.named_modules():
        for name, parameter, rows in _own_parameters(part):
            key = id(parameter), rows.start if rows else 0
            if key not in known:
                known.add(key)
                yield StoredParameter(f"{path}.{name}" if path else name, parameter, rows)


def dissolve_banks(module: nn.Module) -> None:
    """Gives every table of a module its own parameter, in the same memory."""
    for part in list(module.modules()):
        if isinstance(part, Table):
            part.leave_bank()
        for name, child in list(part.named_children()):
            if isinstance(child, TableBank):
                del part._modules[name]


def _own_parameters(part: nn.Module) -> Iterator[tuple[str, nn.Parameter, slice | None]]:
    if isinstance(part, TableBank):
        return
    if isinstance(part, Table) and (place := part.bank_rows) is not None:
        yield "weight", place.bank.weight, place.rows
    for name, parameter in part.named_parameters(recurse=False):
        yield name, parameter, None
