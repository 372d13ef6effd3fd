"""Tables of one width as one: they share storage, and a batch looks up in all of them at once."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from torchest.columns.encode.stacked import JointColumn, JointIds, RowOrderColumn
from torchest.columns.layers.named_modules import have_hooks
from torchest.optimizers import row_gradients
from torchest.optimizers.shared_storage import SharedStorage, can_share, storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torchest.columns.base import CategoricalColumn
    from torchest.columns.features import Features
    from torchest.columns.layers.table import Table
    from torchest.optimizers.row_gradients import RowOrder


@dataclass(frozen=True, eq=False)
class Found:
    """What was looked up at once.

    Attributes:
        places: Whose vectors they are: numbers of columns, in the order of the vectors.
        vectors: [batch, number of places, dimension]; or their sums over the places, [batch, dimension].
    """

    places: list[int]
    vectors: Tensor


class TableGroups:
    """Columns with their tables, grouped by all that tables in one storage have in common.

    Groups are made at the first look-up, and again when parameters have been moved, frozen or exchanged
    since. A table that shortens its vectors to a norm, has hooks or shares storage elsewhere is in no group.

    Args:
        columns: Categorical columns.
        tables: The table of each; several columns may have the same.
    """

    def __init__(self, columns: Sequence[CategoricalColumn], tables: Sequence[Table]) -> None:
        self._columns = tuple(columns)
        self._tables = tuple(tables)
        self._weights: list[Tensor | None] = []
        self._groups: list[_Group] = []

    def look_up(self, batch: Features) -> list[Found]:
        """The vectors of all columns that can be looked up together in this batch."""
        return self._each(batch, _Group.look_up)

    def sums(self, batch: Features) -> list[Found]:
        """As `look_up`, with the sums of the vectors over the columns of a group: [batch, dimension]."""
        return self._each(batch, _Group.sums)

    def _each(
        self, batch: Features, find: Callable[[_Group, Features], Found | None]
    ) -> list[Found]:
        if not batch.joins:
            return []
        weights: list[Tensor | None] = [table._parameters.get("weight") for table in self._tables]
        same = len(self._weights) == len(weights) and all(map(operator.is_, weights, self._weights))
        if not same or not all(group.storage.holds() for group in self._groups):
            self._regroup(weights)
        return [found for group in self._groups if (found := find(group, batch)) is not None]

    def _regroup(self, weights: list[Tensor | None]) -> None:
        for group in self._groups:
            for member in group.storage.members:
                row_gradients.pending(member)  # what hangs on the storage comes down
        self._groups = []  # and lets go of the storage
        alike: dict[Any, list[int]] = {}
        for place, (table, weight) in enumerate(zip(self._tables, weights, strict=True)):
            # rows beyond a table's own would be those of another one in the same storage
            has_all_rows = weight is not None and len(weight) >= self._columns[place].num_buckets
            if weight is not None and has_all_rows and _can_join(table, weight):
                key = (weight.shape[1], weight.dtype, weight.device, weight.requires_grad)
                alike.setdefault(key, []).append(place)
        self._groups = [
            self._group(places, weights) for places in alike.values() if len(places) > 1
        ]
        self._weights = weights

    def _group(self, places: list[int], weights: list[Tensor | None]) -> _Group:
        of_places = [weight for place in places if (weight := weights[place]) is not None]
        storage = SharedStorage(list({id(weight): weight for weight in of_places}.values()))
        starts = dict(zip(map(id, storage.members), storage.starts, strict=True))
        joint = JointColumn(
            tuple(self._columns[place] for place in places),
            tuple(starts[id(weight)] for weight in of_places),
        )
        return _Group(places, storage, joint, RowOrderColumn(joint, len(storage.tensor)))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_groups": [], "_weights": []}  # a copy makes its own


@dataclass(frozen=True, eq=False)
class _Group:
    places: list[int]
    storage: SharedStorage
    joint: JointColumn
    order: RowOrderColumn

    def look_up(self, batch: Features) -> Found | None:
        ids: JointIds = batch.encoded(self.joint)
        if not ids.places:
            return None
        vectors = row_gradients.look_up(self.storage.tensor, ids.rows, self._order(batch))
        if ids.there is not None:
            vectors = vectors * ids.there.to(vectors.dtype).unsqueeze(2)
        return Found([self.places[place] for place in ids.places], vectors)

    def sums(self, batch: Features) -> Found | None:
        ids: JointIds = batch.encoded(self.joint)
        if ids.there is not None:
            found = self.look_up(batch)
            return None if found is None else Found(found.places, found.vectors.sum(1))
        if not ids.places:
            return None
        table = self.storage.tensor
        sums = row_gradients.look_up_sums(table, ids.rows, self._order(batch))
        return Found([self.places[place] for place in ids.places], sums)

    def _order(self, batch: Features) -> RowOrder | None:
        is_trained = self.storage.tensor.requires_grad and torch.is_grad_enabled()
        return batch.encoded(self.order) if is_trained else None


def _can_join(table: Table, weight: Tensor) -> bool:
    elsewhere = storage_of(weight)
    return (
        table.max_norm is None
        and isinstance(weight, nn.Parameter)
        and weight.is_contiguous()
        and can_share(weight)
        and not have_hooks((table,))
        and (elsewhere is None or not elsewhere.holds())
    )
