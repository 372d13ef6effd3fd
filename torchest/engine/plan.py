"""Training steps whose parts are fixed once: a step then calls few functions, and makes no autograd objects.

A model_fn that is a `PlannedModelFn` may plan the steps of a model. A plan has the numbers of the model_fn itself up to
rounding, and may leave any batch to it: which of the two a step takes depends on its batch alone, so that an
interrupted training resumes with the same bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from torchest.engine.scope import Scope
    from torchest.inputs.batch import Batch
    from torchest.spec import EstimatorSpec, Outputs


class PlannedStep(NamedTuple):
    """The result of a planned step: the fields of an `EstimatorSpec` that hooks may fetch.

    Attributes:
        loss: A scalar.
        predictions: By name, computed if they are fetched.
        rows: The number of examples.
    """

    loss: Tensor
    predictions: Mapping[str, object]
    rows: int


class TrainingPlan(Protocol):
    """The steps of one model, on the CPU, in float32 and in one process.

    Attributes:
        is_open: Whether the user made objects of the model, and so may read and change them between steps.
    """

    is_open: bool

    def step(self, batch: Batch) -> PlannedStep | None:
        """Makes a whole step: loss, gradients, and the update of parameters, slots and counts of steps.

        Returns:
            None if this batch needs the model_fn; nothing has been changed then.
        """

    def show_gradients(self) -> None:
        """Leaves the gradients of the last step in `grad` of parameters that are no tables, for hooks to read."""

    def holds(self) -> bool:
        """Whether what was fixed is still so, and no hook of a module or a parameter wants to be called."""


class PlannedModelFn(ABC):
    """A model_fn that may plan its training steps, and evaluates and predicts without an `EstimatorSpec`."""

    @abstractmethod
    def __call__(self, features: object, labels: object, mode: str) -> EstimatorSpec:
        """Runs on one batch, as any model_fn."""

    @abstractmethod
    def outputs(self, features: object, labels: object, mode: str) -> Outputs | EstimatorSpec:
        """Evaluates or predicts on one batch; has the results of the spec."""

    @abstractmethod
    def plan(self, scope: Scope) -> TrainingPlan | None:
        """Plans the training of the objects in a scope; None if they need the function itself."""

    @abstractmethod
    def make_objects(self) -> None:
        """Makes the objects of a training with `get_or_create`, as the first batch would."""
