"""The training step of a linear model in a few compiled loops, without autograd.

All sums are those of the gradients of `LinearFeatures`, in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.columns.layers.linear import LinearFeatures, Weights
from torchest.columns.layers.named_modules import have_hooks
from torchest.columns.layers.table import Table
from torchest.columns.layers.table_bank import TableBank
from torchest.optimizers.planned import plan_update

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import nn

    from torchest.columns.features import Features
    from torchest.columns.layers.linear_logits import Computed, LinearLogits
    from torchest.optimizers.planned import PlannedUpdate

    Floats = npt.NDArray[np.float32]
    Int64s = npt.NDArray[np.int64]
    Booleans = npt.NDArray[np.bool_]


class RowSums:
    """Sums of gradients by row, in memory that is used again in each step."""

    def __init__(self) -> None:
        from torchest.kernels import linear

        self._add_up = linear.add_up_by_row
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
        size = rows.size
        if size > len(self._distinct) or gradient.shape[1] != self._sums.shape[1]:
            self._places = np.empty(2 << size.bit_length(), np.int32)
            self._distinct = np.empty(size, np.int64)
            self._sums = np.empty((size, gradient.shape[1]), np.float32)
        places = self._places[: 2 << size.bit_length()]
        count = self._add_up(rows, present, gradient, places, self._distinct, self._sums)
        return self._distinct[:count], self._sums[:count]


class PlannedLinear:
    """A linear model and its optimizer.

    Args:
        model: See `plan_linear`.
        logits: Its logits.
        update: Of its optimizer.
    """

    def __init__(self, model: LinearFeatures, logits: LinearLogits, update: PlannedUpdate) -> None:
        from torchest.kernels import products

        self._multiply_transposed = products.multiply_transposed
        self._model = model
        self._logits = logits
        self._orders = {each.order for each in logits.look_ups}
        self._update = update
        self._gradient = update.gradients.reshape(-1, len(model.bias))  # of weights and bias
        self._sums = [RowSums() for _ in logits.tables]
        self._computed: Computed | None = None

    def forward(self, features: Features) -> Floats | None:
        """The logits [batch, units]; None if the model itself has to compute them."""
        if not self._update.begin():
            return None
        self._computed = computed = self._logits(features)
        if computed is None:
            return None
        features.usage.columns.difference_update(self._orders)  # not needed from now on
        return computed.logits

    def update(self, gradient: Floats) -> None:
        """Updates the parameters of the last logits by their gradient, [batch, units]."""
        assert self._computed is not None
        _, looked_up, values = self._computed
        self._multiply_transposed(values, gradient, self._gradient)
        sums = [
            each.of(rows, present, gradient)
            for each, (rows, present) in zip(self._sums, looked_up, strict=True)
        ]
        self._update.finish(sums)

    def show_gradients(self) -> None:
        """Leaves the last gradients of dense columns and of the bias in their `grad`."""
        self._update.show_gradients()

    def holds(self) -> bool:
        """Whether the model has the parameters and slots that were planned, and no hooks."""
        return (
            not have_hooks((self._model,))
            and self._model.logits_in_loops() is self._logits  # which looks at the parts
            and self._update.holds()
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
    logits = model.logits_in_loops()
    if logits is None or not logits.fits:
        return None
    update = plan_update(optimizer, [*logits.weights, model.bias], logits.tables)
    return None if update is None else PlannedLinear(model, logits, update)


def _is_plain(model: LinearFeatures) -> bool:
    """Whether the modules are of torchest's classes, as they were made, and have no hooks."""
    modules = list(model.modules())
    return {type(each) for each in modules[1:]} <= {Table, TableBank, Weights} and not have_hooks(
        modules
    )
