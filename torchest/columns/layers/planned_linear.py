"""The training step of a linear model in a few compiled loops, without autograd.

All sums are those of `LinearFeatures` and its gradients, in the same order; look-ups with missing ids apart, which
torch adds up in an order of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from torchest.columns.layers.linear import LinearFeatures, Weights
from torchest.columns.layers.named_modules import have_hooks
from torchest.columns.layers.table import Table
from torchest.columns.layers.table_bank import TableBank
from torchest.optimizers.planned import plan_update

if TYPE_CHECKING:
    import numpy.typing as npt

    from torchest.columns.encode.stacked import StackedIds
    from torchest.columns.features import Features
    from torchest.columns.layers.bank_look_ups import BankLookUp
    from torchest.optimizers.planned import PlannedUpdate

    Floats = npt.NDArray[np.float32]
    Int64s = npt.NDArray[np.int64]
    Booleans = npt.NDArray[np.bool_]

_ALL_PRESENT = np.empty((0, 0), np.bool_)
_SMALL = 1 << 20  # multiplications of dense columns; a linear algebra library is better at more


class RowSums:
    """Sums of gradients by row, in memory that is used again in each step."""

    def __init__(self) -> None:
        self._places = np.empty(0, np.int32)
        self._distinct = np.empty(0, np.int64)
        self._sums = np.empty((0, 0), np.float32)

    def of(self, rows: Int64s, present: Booleans, gradient: Floats) -> tuple[Int64s, Floats]:
        """The distinct rows, and the sum of the gradients of each; valid until the next call.

        Args:
            rows: [batch, n].
            present: Which of them count, [batch, n]; [0, 0] if all do.
            gradient: The gradient of all rows of an example, [batch, units].
        """
        from torchest.kernels import linear

        size = rows.size
        if size > len(self._distinct) or gradient.shape[1] != self._sums.shape[1]:
            self._places = np.empty(2 << size.bit_length(), np.int32)
            self._distinct = np.empty(size, np.int64)
            self._sums = np.empty((size, gradient.shape[1]), np.float32)
        places = self._places[: 2 << size.bit_length()]
        count = linear.add_up_by_row(rows, present, gradient, places, self._distinct, self._sums)
        return self._distinct[:count], self._sums[:count]


class _Looked(NamedTuple):
    rows: Int64s
    present: Booleans


class PlannedLinear:
    """A linear model and its optimizer.

    Args:
        model: See `plan_linear`.
        look_ups: Those of its banks.
        weights: Of the dense columns.
        update: Of its optimizer.
    """

    def __init__(
        self,
        model: LinearFeatures,
        look_ups: list[BankLookUp],
        weights: list[Tensor],
        update: PlannedUpdate,
    ) -> None:
        self._model = model
        self._look_ups = look_ups
        self._tables = [each.bank.weight.detach().numpy() for each in look_ups]
        self._orders = {each.order for each in look_ups}
        self._dense = model._dense if weights else None
        self._bias = model.bias.detach().numpy()
        self._addresses = np.array(list(map(Tensor.data_ptr, weights)), np.int64)
        self._sizes = np.array(list(map(Tensor.numel, weights)), np.int64)
        self._update = update
        self._gradient = update.gradients.reshape(-1, len(self._bias))  # of weights and bias
        self._sums = [RowSums() for _ in look_ups]
        self._looked_up: list[_Looked] = []
        self._values = np.empty((0, 0), np.float32)

    def forward(self, features: Features) -> Floats | None:
        """The logits [batch, units]; None if the model itself has to compute them."""
        from torchest.kernels import linear, products

        if not self._update.begin():
            return None
        self._looked_up = []
        for look_up in self._look_ups:
            ids: StackedIds = features.encoded(look_up.stacked)
            if len(ids.places) != len(look_up.places):
                return None  # several ids in one row
            present = _ALL_PRESENT if ids.present is None else ids.present.contiguous().numpy()
            self._looked_up.append(_Looked(ids.rows.contiguous().numpy(), present))
        values = None if self._dense is None else features.encoded(self._dense)
        if values is not None and not self._suits(values):
            return None
        batch = len(values) if values is not None else len(self._looked_up[0].rows)
        logits = np.empty((batch, len(self._bias)), np.float32)
        logits[:] = self._bias
        for table, (rows, present) in zip(self._tables, self._looked_up, strict=True):
            if len(rows) != batch or not linear.add_rows(table, rows, present, logits):
                return None
        if values is None:
            self._values = np.empty((batch, 0), np.float32)
        else:
            self._values = values.contiguous().numpy()
            products.add_product(self._values, self._addresses, self._sizes, logits)
        features.usage.columns.difference_update(self._orders)  # not needed from now on
        return logits

    def update(self, gradient: Floats) -> None:
        """Updates the parameters of the last logits by their gradient, [batch, units]."""
        from torchest.kernels import products

        products.multiply_transposed(self._values, gradient, self._gradient)
        sums = [
            each.of(rows, present, gradient)
            for each, (rows, present) in zip(self._sums, self._looked_up, strict=True)
        ]
        self._update.finish(sums)

    def holds(self) -> bool:
        """Whether the model has the parameters and slots that were found, and no hooks."""
        tables = [each.bank for each in self._look_ups]
        return (
            _is_plain(self._model)
            and [each.bank for each in self._model._banks.current()] == tables
            and self._update.holds()
        )

    def _suits(self, values: Any) -> bool:
        """Whether the numbers of a batch are as always, and not too many."""
        return (
            type(values) is Tensor
            and values.dtype == torch.float32
            and not values.requires_grad
            and values.numel() * len(self._bias) <= _SMALL
        )


def plan_linear(model: nn.Module, optimizer: object) -> PlannedLinear | None:
    """Plans the training of a linear model.

    Args:
        model: The model.
        optimizer: The optimizer of all its parameters.

    Returns:
        None if the model has parts of other kinds or hooks, or the optimizer cannot be planned.
    """
    if not isinstance(model, LinearFeatures) or not _is_plain(model):
        return None
    weights = model._dense_weights()
    look_ups = model._banks.current()
    banks = [each.bank for each in look_ups]
    parameters = [*(weights or ()), model.bias]
    update = plan_update(optimizer, parameters, [bank.weight for bank in banks])
    done = sum(len(each.places) for each in look_ups) + len(model._of_dense)
    if update is None or weights is None or done < len(model.columns):
        return None
    return PlannedLinear(model, look_ups, weights, update)


def _is_plain(model: LinearFeatures) -> bool:
    """Whether the modules are of torchest's classes, as they were made, and have no hooks."""
    modules = list(model.modules())
    return {type(each) for each in modules[1:]} <= {Table, TableBank, Weights} and not have_hooks(
        modules
    )
