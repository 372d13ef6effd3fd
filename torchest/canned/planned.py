"""Planned training steps of canned estimators: their parts add up to logits, of which a head computes the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from torchest.columns.features import Features
from torchest.columns.layers.planned_linear import plan_linear
from torchest.engine.plan import PlannedStep
from torchest.heads.planned_loss import planned_loss
from torchest.models.dnn import DNNModel
from torchest.models.linear import LinearModel
from torchest.models.planned_dnn import plan_dnn
from torchest.utils.deferred import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from torchest.heads.base import Head
    from torchest.heads.planned_loss import PlannedLoss
    from torchest.inputs.batch import Batch

    Floats = npt.NDArray[np.float32]
    Planner = Callable[[nn.Module, object], "PlannedPart | None"]


class PlannedPart(Protocol):
    """The training of a module that computes logits, with its optimizer."""

    def forward(self, features: Features) -> Floats | None:
        """The logits of a batch, [batch, units]; None if the module itself has to compute them.

        Nothing that a step or a checkpoint could see is changed.
        """

    def update(self, gradient: Floats) -> None:
        """Updates parameters, slots and counts of steps by the gradient of the last logits, which it may not change."""

    def show_gradients(self) -> None:
        """See `TrainingPlan.show_gradients`."""

    def holds(self) -> bool:
        """Whether the plan still fits the module and the optimizer; see `TrainingPlan.holds`."""


_PLANNERS: dict[type[nn.Module], Planner] = {LinearModel: plan_linear, DNNModel: plan_dnn}


class CannedPlan:
    """The training steps of the sum of some parts under a head.

    Args:
        parts: The parts.
        head: The head.
        loss: The loss of the head.
        is_open: See `TrainingPlan`.
    """

    def __init__(
        self, parts: Sequence[PlannedPart], head: Head, loss: PlannedLoss, *, is_open: bool
    ) -> None:
        self._parts = tuple(parts)
        self.is_open = is_open
        self._head = head
        self._loss = loss

    def step(self, batch: Batch) -> PlannedStep | None:
        """Makes a step; see `TrainingPlan.step`."""
        features = batch.features
        if type(features) is not Features or not features.allows_stacking:
            return None
        logits = None
        for part in self._parts:
            of_part = part.forward(features)
            if of_part is None:
                return None
            logits = of_part if logits is None else logits + of_part
        assert logits is not None  # there is a part
        result = self._loss(batch.labels, logits, features)
        if result is None:
            return None
        loss, gradient = result
        for part in self._parts:
            part.update(gradient)
        head, on_host = self._head, logits
        predictions = Deferred(lambda: head.predictions(torch.from_numpy(on_host)))
        return PlannedStep(torch.tensor(loss), predictions, len(logits))

    def show_gradients(self) -> None:
        """Shows the gradients of all parts."""
        for part in self._parts:
            part.show_gradients()

    def holds(self) -> bool:
        """Whether the plan still fits all parts."""
        return all(part.holds() for part in self._parts)


def plan_parts(
    parts: Sequence[tuple[nn.Module, object]], head: Head, *, is_open: bool
) -> CannedPlan | None:
    """Plans the training of modules, each with its optimizer; None if one of them cannot be planned."""
    loss = planned_loss(head)
    planned: list[PlannedPart] = []
    for module, optimizer in parts:
        planner = _PLANNERS.get(type(module))
        part = None if planner is None or loss is None else planner(module, optimizer)
        if part is None:
            return None
        planned.append(part)
    return None if loss is None else CannedPlan(planned, head, loss, is_open=is_open)
