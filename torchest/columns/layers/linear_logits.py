"""The logits of a linear model in compiled loops, without autograd."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchest.optimizers.row_gradients import suit_loops

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from torchest.columns.base import CategoricalColumn
    from torchest.columns.encode.stacked import StackedDenseColumn, StackedIds
    from torchest.columns.features import Features
    from torchest.columns.ids import Ids
    from torchest.columns.layers.bank_look_ups import BankLookUp
    from torchest.columns.layers.named_modules import PartsAsFound

    Floats = npt.NDArray[np.float32]
    Int64s = npt.NDArray[np.int64]
    Booleans = npt.NDArray[np.bool_]

_ALL_PRESENT = np.empty((0, 0), np.bool_)
_SMALL = 1 << 20  # multiplications of dense columns; a linear algebra library is better at more


class Looked(NamedTuple):
    """The rows of a table that a batch looks up, [batch, n], and which of them count; [0, 0] if all do."""

    rows: Int64s
    present: Booleans


class Computed(NamedTuple):
    """Logits [batch, units], and what they were computed of: rows of each table, and numbers [batch, width]."""

    logits: Floats
    looked_up: list[Looked]
    values: Floats


class LinearLogits:
    """The parameters of a linear model, which are found once. Threads may share it.

    All sums are those of `LinearFeatures`, in the same order; look-ups with missing ids apart, which torch adds up in
    an order of its own.

    Args:
        parts: The parts of all columns.
        look_ups: Those of the model's banks.
        alone: Columns whose tables have parameters of their own, and these.
        dense: The dense columns.
        weights: Of the dense columns.
        bias: [units].

    Attributes:
        tables: The parameters of banks and of single tables.
        fits: Whether the compiled loops support the parameters.
    """

    def __init__(
        self,
        parts: PartsAsFound,
        look_ups: Sequence[BankLookUp],
        alone: Mapping[CategoricalColumn, Tensor],
        dense: StackedDenseColumn,
        weights: Sequence[Tensor],
        bias: Tensor,
    ) -> None:
        self._parts = parts
        self.look_ups = look_ups
        self.weights = weights
        self.tables = [*(each.bank.weight for each in look_ups), *alone.values()]
        self._columns = tuple(alone)
        self._tensors = [bias, *weights, *self.tables]
        shapes = [(column.width, *bias.shape) for column in dense.columns]
        self.fits = (
            bias.dtype == torch.float32
            and suit_loops(self._tensors)
            and bias.ndim == 1
            and [tuple(weight.shape) for weight in weights] == shapes
            and all(table.shape[1:] == bias.shape for table in self.tables)
        )
        if not self.fits:
            return
        from torchest.kernels import linear, products

        self._add_rows, self._add_product = linear.add_rows, products.add_product
        self._memory = list(map(Tensor.data_ptr, self._tensors))
        self._dense = dense if weights else None
        self._bias = bias.detach().numpy()
        self._arrays = [table.detach().numpy() for table in self.tables]
        self._addresses = np.array(list(map(Tensor.data_ptr, weights)), np.int64)
        self._sizes = np.array(list(map(Tensor.numel, weights)), np.int64)

    def holds(self, bias: Tensor) -> bool:
        """Whether the model still has these parameters, at the same place, and no hooks."""
        banks = [each.bank.weight for each in self.look_ups]
        tensors = [bias, *self.weights, *banks, *self.tables[len(banks) :]]
        return (
            all(map(operator.is_, tensors, self._tensors))
            and self._parts.are_there()
            and (not self.fits or list(map(Tensor.data_ptr, tensors)) == self._memory)
        )

    def __call__(self, features: Features) -> Computed | None:
        """The logits of a batch; None if the model itself has to compute them."""
        if not self.fits:
            return None
        looked_up = self._looked_up(features)
        if looked_up is None:
            return None
        values = None if self._dense is None else features.encoded(self._dense)
        if values is not None and not self._suits(values):
            return None
        batch = len(looked_up[0].rows if values is None else values)
        logits = np.empty((batch, len(self._bias)), np.float32)
        logits[:] = self._bias
        for table, (rows, present) in zip(self._arrays, looked_up, strict=True):
            if len(rows) != batch or not self._add_rows(table, rows, present, logits):
                return None
        if values is None:
            return Computed(logits, looked_up, np.empty((batch, 0), np.float32))
        numbers = values.contiguous().numpy()
        self._add_product(numbers, self._addresses, self._sizes, logits)
        return Computed(logits, looked_up, numbers)

    def _looked_up(self, features: Features) -> list[Looked] | None:
        """The rows of each table; None if a column has several ids in a row, or weights."""
        looked_up = []
        for look_up in self.look_ups:
            stacked: StackedIds = features.encoded(look_up.stacked)
            if len(stacked.places) != len(look_up.places):
                return None
            present = stacked.present
            of_bank = _ALL_PRESENT if present is None else present.contiguous().numpy()
            looked_up.append(Looked(stacked.rows.contiguous().numpy(), of_bank))
        for column in self._columns:
            ids: Ids = features.encoded(column)
            if ids.offsets is not None or ids.weights is not None:
                return None
            rows = ids.values.unsqueeze(1).contiguous().numpy()
            all_present = rows.min(initial=0) >= 0
            # a missing id looks up id 0
            looked = (rows, _ALL_PRESENT) if all_present else (np.maximum(rows, 0), rows >= 0)
            looked_up.append(Looked(*looked))
        return looked_up

    def _suits(self, values: Any) -> bool:
        """Whether the numbers of a batch are as always, and not too many."""
        return (
            type(values) is Tensor
            and values.is_cpu
            and values.dtype == torch.float32
            and not values.requires_grad
            and values.numel() * len(self._bias) <= _SMALL
        )
