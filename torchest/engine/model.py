"""A model_fn with the objects that it made, which the loop trains, evaluates or predicts with."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch

from torchest.collector import collector_paused
from torchest.engine.check_model import check_training
from torchest.engine.execution import Execution
from torchest.engine.hooks import Session, SessionRunHook, all_of
from torchest.engine.object_state import ObjectState
from torchest.engine.scope import Scope
from torchest.engine.sync_batch_norm import sends_messages
from torchest.engine.without_rows import WithoutRows, optimizers_of
from torchest.keys import ModeKeys
from torchest.utils.freed_memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torchest.checkpoint.directory import Checkpoint
    from torchest.engine.model_fn import ModelFn
    from torchest.engine.plan import TrainingPlan
    from torchest.spec import EstimatorSpec, Outputs

_log = logging.getLogger("torchest")
_PLAIN = Execution()
Result = TypeVar("Result")


class ModelHooks(NamedTuple):
    """The hooks in the first `EstimatorSpec` of a model_fn."""

    training_chief: tuple[SessionRunHook, ...]
    training: tuple[SessionRunHook, ...]
    evaluation: tuple[SessionRunHook, ...]
    prediction: tuple[SessionRunHook, ...]


class RunningModel:
    """A model_fn and its objects.

    One loop uses a model for training. Several threads at once may use another for evaluation and prediction.

    Args:
        model_fn: The function.
        device: The device of the model.
        training: Whether the model is for training.
        initialize: A warm start, called after model_fn made the objects of a model that is not restored. Gets the scope
            and the names of objects that existed before.
        execution: Precision and compilation.

    Attributes:
        scope: The objects.
        state: Saves and restores them.
        steps_itself: Whether `train_op` in the first batch of a training is a function, which steps its optimizers.
        sends_messages: Whether its modules send messages to other processes in training.
        without_rows: The steps of a training without rows; None if model_fn runs for them, too.
    """

    def __init__(
        self,
        model_fn: ModelFn,
        device: torch.device,
        *,
        training: bool,
        initialize: Callable[[Scope, Collection[str]], None] | None = None,
        execution: Execution = _PLAIN,
    ) -> None:
        if device.type == "cpu":
            keep_freed_memory()
        self.scope = Scope(device, training=training)
        self.state = ObjectState(self.scope, is_private=model_fn.is_canned)
        self._model_fn = model_fn
        self._device = device
        self._training = training
        self._initialize = initialize
        self._execution = execution
        self.steps_itself = False
        self.sends_messages = False
        self.without_rows: WithoutRows | None = None
        self._created: dict[str, ModelHooks] = {}
        self._lock = threading.Lock()

    def create(
        self, features: object, labels: object, mode: str, checkpoint: Checkpoint | None
    ) -> ModelHooks:
        """Makes the objects from a first batch and restores them, once for each mode.

        Returns:
            The hooks of the spec of the first batch.
        """
        with self._lock:
            if mode in self._created:
                return self._created[mode]
            _log.info("Calling model_fn.")
            before = set(self.scope.objects)
            with collector_paused(), self.scope.creating():  # which imports and compiles much
                spec = self._run(self._model_fn, features, labels, mode, grad=self._training)
            if mode == ModeKeys.TRAIN:
                check_training(spec, self.scope)
                self.steps_itself = optimizers_of(spec) is None
            hooks = _hooks_of(spec)
            _log.info("Done calling model_fn.")
            modules = self.scope.modules()
            self._execution.prepare(modules[name] for name in modules if name not in before)
            if mode == ModeKeys.TRAIN:
                self.sends_messages = sends_messages(modules.values())
                self.without_rows = (
                    None if self.sends_messages else WithoutRows.of(spec, self.scope)
                )
            self.state.remember_options()
            if checkpoint is not None:
                self.state.restore(checkpoint, training=self._training)
            elif self._initialize is not None:
                on_device = [self._device] if self._device.type == "cuda" else []
                with torch.random.fork_rng(on_device, enabled=not self._training):
                    self._initialize(self.scope, before)
            if (
                checkpoint is None
                and spec.scaffold is not None
                and spec.scaffold.init_fn is not None
            ):
                with torch.no_grad():
                    spec.scaffold.init_fn(spec.scaffold, Session(self.state, 0))
            self._created[mode] = hooks
            return hooks

    def __call__(self, features: object, labels: object, mode: str) -> EstimatorSpec:
        """Runs model_fn on one batch."""
        if mode == ModeKeys.TRAIN:
            return self._run(self._model_fn, features, labels, mode, grad=True)
        with self._inference():
            return self._run(self._model_fn, features, labels, mode, grad=False)

    def outputs(self, features: object, labels: object, mode: str) -> Outputs | EstimatorSpec:
        """Evaluates or predicts on one batch: the results of a call, in less time."""
        with self._inference():
            return self._run(self._model_fn.outputs, features, labels, mode, grad=False)

    def _inference(self) -> torch.inference_mode:
        # torch_xla 2.9 cannot make views in inference mode
        return torch.inference_mode(self._device.type != "xla")

    def plan(self) -> TrainingPlan | None:
        """Plans the training steps; None if model_fn has to run in each of them."""
        is_plain = self._execution == _PLAIN and not torch.is_autocast_enabled("cpu")
        return self._model_fn.plan(self.scope) if is_plain and self._device.type == "cpu" else None

    def trace(self, features: object) -> EstimatorSpec:
        """Runs model_fn for predictions in float32, so that torch can trace it."""
        with torch.set_grad_enabled(False):
            return self.scope.call(self._model_fn, features, None, ModeKeys.PREDICT)

    def _run(
        self,
        function: Callable[..., Result],
        features: object,
        labels: object,
        mode: str,
        *,
        grad: bool,
    ) -> Result:
        if torch.is_grad_enabled() is grad and not self._execution.changes(self._device):
            try:  # the usual case, without contexts
                return self.scope.call(function, features, labels, mode)
            finally:
                if torch.is_grad_enabled() is not grad:  # model_fn left it so
                    torch.set_grad_enabled(grad)
        with torch.set_grad_enabled(grad), self._execution.autocast(self._device):
            return self.scope.call(function, features, labels, mode)


def _hooks_of(spec: EstimatorSpec) -> ModelHooks:
    return ModelHooks(
        all_of(SessionRunHook, "training_chief_hooks", spec.training_chief_hooks),
        all_of(SessionRunHook, "training_hooks", spec.training_hooks),
        all_of(SessionRunHook, "evaluation_hooks", spec.evaluation_hooks),
        all_of(SessionRunHook, "prediction_hooks", spec.prediction_hooks),
    )
