"""Writes a checkpoint in a thread while training goes on.

That needs to know of every change of the model before it happens. So it is for canned estimators without hooks or
listeners of the user, with large tables of which optimizers change rows. Such tables keep their old rows
(`checkpoint/old_rows.py`); everything else is copied. If it is much, training waits instead.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from torchest.checkpoint.old_rows import OldRows
from torchest.columns.layers.table import Table
from torchest.columns.layers.table_bank import TableBank
from torchest.optimizers.base import RowOptimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt
    from torch.optim import Optimizer

    from torchest.checkpoint.directory import Contents
    from torchest.engine.scope import Scope

_SMALL = 1 << 20  # bytes of a table that is rather copied


class ChangingTable(NamedTuple):
    """A parameter, its old rows, and the optimizer that changes it."""

    parameter: Tensor
    old: OldRows
    optimizer: RowOptimizer


def changing_tables(scope: Scope) -> list[ChangingTable]:
    """The large tables of which each step changes some rows, and their slots; nothing has changed them yet."""
    tables = {id(parameter) for parameter in _tables(scope)}
    changing: list[ChangingTable] = []
    for optimizer in scope.optimizers().values():
        for group in optimizer.param_groups:
            if not isinstance(optimizer, RowOptimizer) or not optimizer.changes_rows_only(group):
                continue
            if _has_users_hooks(optimizer):
                continue
            for parameter in group["params"]:
                if id(parameter) in tables:
                    slots = optimizer.state.get(parameter, {}).values()
                    same = [slot for slot in slots if _has_rows_of(slot, parameter)]
                    changing.append(
                        ChangingTable(parameter, OldRows([parameter, *same]), optimizer)
                    )
    return changing


def _has_users_hooks(optimizer: Optimizer) -> bool:
    """Whether a step calls functions of the user, which may change parameters; schedulers change none."""
    hooks = (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)
    return not all(
        getattr(hook, "__module__", "").startswith("torchest.")
        for each in hooks
        for hook in each.values()
    )


def _tables(scope: Scope) -> Iterator[Tensor]:
    for module in scope.modules().values():
        for part in module.modules():
            if type(part) in (Table, TableBank):
                for parameter in part.parameters(recurse=False):
                    if parameter.nbytes >= _SMALL and _has_rows_of(parameter, parameter):
                        yield parameter


def _has_rows_of(tensor: object, table: Tensor) -> bool:
    return (
        isinstance(tensor, Tensor)
        and tensor.device.type == "cpu"
        and tensor.is_contiguous()
        and tensor.shape[:1] == table.shape[:1]
    )


class Saving:
    """A thread that writes a checkpoint, until `end`.

    Args:
        contents: From `Contents.beside_training`.
        tables: Whose rows may change meanwhile.
        write: Writes the contents.
    """

    def __init__(
        self,
        contents: Contents,
        tables: list[ChangingTable],
        write: Callable[[Contents], object],
    ) -> None:
        self._old = {id(table.parameter): table.old for table in tables}
        self._optimizers = [table.optimizer for table in tables]
        self._error: BaseException | None = None
        for optimizer in self._optimizers:
            optimizer.before_change = self._before_change

        def run() -> None:
            try:
                write(contents)
            except BaseException as error:  # raised by `end`
                self._error = error

        self._thread = threading.Thread(target=run, name="torchest-checkpoint")
        self._thread.start()

    @property
    def is_written(self) -> bool:
        """Whether the thread has ended."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Waits until the checkpoint is written, or writing it has failed."""
        self._thread.join()
        for optimizer in self._optimizers:
            optimizer.before_change = None

    def end(self) -> None:
        """Waits, and raises the error of the thread."""
        self.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _before_change(self, parameter: Tensor, rows: npt.NDArray[np.int64] | None) -> None:
        if id(parameter) not in self._old:
            return
        if rows is None:
            self.wait()
        elif not self.is_written:
            self._old[id(parameter)].keep(rows)
