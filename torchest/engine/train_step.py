"""One training step: loss, gradients, optimizers."""

from __future__ import annotations

import functools
import logging
import math
from collections import ChainMap
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import torch

from torchest.columns.layers.named_modules import has_global_hooks
from torchest.distributed.strategy import Strategy
from torchest.engine.step_values import (
    GRADIENT_NORM,
    LEARNING_RATE,
    StepValues,
    clip_gradients,
    gradient_norm,
    learning_rates,
)
from torchest.engine.without_rows import optimizers_of
from torchest.keys import ModeKeys
from torchest.losses import Reduction
from torchest.optimizers import row_gradients
from torchest.optimizers.base import RowOptimizer
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence

    from torchest.engine.hooks import Session
    from torchest.engine.loss_scale import LossScale
    from torchest.engine.plan import PlannedStep, TrainingPlan
    from torchest.engine.run import Run
    from torchest.inputs.batch import Batch
    from torchest.spec import EstimatorSpec, Outputs

_log = logging.getLogger("torchest")
_running: ContextVar[TrainStep] = ContextVar("torchest_train_step")


def backward(loss: torch.Tensor) -> None:
    """Computes gradients inside a `train_op` that is a function.

    Such a function steps its optimizers itself, and calls this instead of `loss.backward()`. It also synchronises
    gradients if several processes train.

    Args:
        loss: A scalar.

    Raises:
        RuntimeError: Called outside a `train_op`.
    """
    try:
        step = _running.get()
    except LookupError:
        raise RuntimeError(
            "torchest.backward(loss) was called outside a train_op: it works only in a function passed as "
            "EstimatorSpec(train_op=...). Elsewhere, call loss.backward()."
        ) from None
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1 or not loss.requires_grad:
        raise TypeError(
            f"torchest.backward: loss={shown(loss)} must be a scalar tensor that depends on parameters."
        )
    step.backward_at_once(loss)


class TrainStep:
    """Runs one step on the batches that it is called with: one, unless gradients are accumulated.

    Args:
        run: The run with the model and the strategy.
        session: Gets the values of each step, and counts steps and examples.
        clip_norm: See `RunConfig`.
        loss_scale: Scales losses; None for all precisions but float16.
    """

    def __init__(
        self,
        run: Run,
        session: Session,
        clip_norm: float | None = None,
        loss_scale: LossScale | None = None,
    ) -> None:
        self._model = run.model
        self._strategy = run.strategy
        self._session = session
        self._clip_norm = clip_norm
        self._loss_scale = loss_scale
        # whether code of the user has objects of the model, which it may read and change between steps
        self._is_open = False
        self._plan: TrainingPlan | None = None
        session.on_access = self._open
        self._is_first = True
        self._is_planned = False  # the last step
        self._reduction = Reduction.AUTO
        self._values: dict[str, Any] = {}  # of this step, which cannot be had after it
        # of the last batch with rows
        self._values_of_batch: Callable[[], Mapping[str, object]] = dict
        scope = run.model.scope
        self._schedulers = list(scope.schedulers().values())
        optimizers = scope.optimizers().values()
        self._without_rows = [each for each in optimizers if not isinstance(each, RowOptimizer)]
        self._parameters = [
            parameter for module in scope.modules().values() for parameter in module.parameters()
        ]
        self._tables = {
            key: [each.rows for each in parts if each.rows is not None]
            for key, parts in self._model.scope.stored_parameters().items()
            if any(each.rows is not None for each in parts)
        }
        for optimizer in optimizers:
            if isinstance(optimizer, RowOptimizer):
                optimizer.tables = self._tables

    def __call__(self, batches: Sequence[Batch]) -> EstimatorSpec | PlannedStep | None:
        """Trains on one or more batches, whose losses have equal weights."""
        if self._is_first:
            self._plan, self._is_first = self._planned(), False
        if self._plan is not None and len(batches) == 1:
            step = self._follow(self._plan, batches[0])
            if step is not None:
                return step
        self._is_planned = False
        row_gradients.clear(self._parameters)
        self._values = self._learning_rates()
        self._session.origin_of_nan = ""
        spec = self._run(batches[0])
        optimizers = self._optimizers_of(spec)
        has_stepped = True
        if optimizers is None:
            assert spec is not None  # model_fn has run
            loss = self._call(spec)
        else:
            for optimizer in optimizers:
                _forget_gradients(optimizer)
            own = self._backward(spec, len(batches))
            for batch in batches[1:]:
                further = self._run(batch)
                own = own + self._backward(further, len(batches))
                spec = further or spec
            loss = self._strategy.add_up(own)
            self._densify()
            has_stepped = self._optimize(optimizers)
        for scheduler in self._schedulers if has_stepped else ():
            scheduler.step()
        self._session.global_step += 1
        values = {**self._values, "loss": loss}
        if spec is not None:
            self._values_of_batch = functools.partial(values_of, spec)
        self._session.values = StepValues(values, self._values_of_batch)
        self._strategy.end_step()
        return spec

    def _planned(self) -> TrainingPlan | None:
        """The plan of the steps; None if each of them runs model_fn and autograd."""
        strategy = self._strategy
        kind = type(strategy)
        is_local = (
            kind.forward is Strategy.forward
            and kind.backward is Strategy.backward
            and kind.add_up is Strategy.add_up
            and strategy.world_size == 1
        )
        if not is_local or self._clip_norm is not None:
            return None
        plan = self._model.plan()
        if plan is not None:
            self._is_open |= plan.is_open
            _log.info("Training steps run in compiled loops, without autograd.")
        return plan

    def _follow(self, plan: TrainingPlan, batch: Batch) -> PlannedStep | None:
        """Makes a planned step; None if this step needs model_fn."""
        session = self._session
        if GRADIENT_NORM in session.fetched_names or has_global_hooks():
            return None
        if self._is_open and not plan.holds():
            return None
        values = self._learning_rates()
        self._strategy.begin_batch()
        step = plan.step(batch)
        if step is None:
            return None
        self._is_planned = True
        if self._is_open:
            plan.show_gradients()
        for scheduler in self._schedulers:
            scheduler.step()
        session.origin_of_nan = ""
        session.examples += step.rows
        session.global_step += 1
        session.values = StepValues({**values, "loss": step.loss}, lambda: step.predictions)
        self._strategy.end_step()
        return step

    def _open(self) -> None:
        """Shows the gradients of the last step, and those of all steps from now on."""
        if self._is_planned and not self._is_open and self._plan is not None:
            self._plan.show_gradients()
        self._is_open = True

    def _run(self, batch: Batch) -> EstimatorSpec | None:
        """Runs model_fn; None for no rows beside those of other processes."""
        self._strategy.begin_batch()
        if self._model.without_rows and self._strategy.world_size > 1 and batch.rows == 0:
            return None
        with self._session.collecting():
            spec = self._strategy.forward(
                lambda: self._model(batch.features, batch.labels, ModeKeys.TRAIN)
            )
        assert spec.loss is not None  # the spec checks it
        self._session.origin_of_nan += self._origin_of_nan(spec.loss, batch)
        self._session.examples += batch.rows
        self._reduction = spec.loss_reduction
        return spec

    def _optimizers_of(self, spec: EstimatorSpec | None) -> Sequence[torch.optim.Optimizer] | None:
        """The optimizers of a step; None if train_op is a function."""
        without_rows = self._model.without_rows
        if spec is None:
            assert without_rows is not None
            return without_rows.optimizers
        optimizers = optimizers_of(spec)
        if without_rows is not None and not self._strategy.all_have_batches:
            without_rows.check(optimizers)
        return optimizers

    def _backward(self, spec: EstimatorSpec | None, batches: int) -> torch.Tensor:
        """Adds the gradients of one of the batches of a step; returns its contribution to the loss."""
        if spec is None:
            assert self._model.without_rows is not None
            loss = self._model.without_rows.loss
        else:
            assert spec.loss is not None  # the spec checks it
            loss = spec.loss
        loss = loss if batches == 1 else loss / batches
        if self._loss_scale is not None:
            loss = self._loss_scale.scaled(loss)
        return self._strategy.backward(loss, self._reduction)

    def backward_at_once(self, loss: torch.Tensor) -> None:
        """Computes the gradients over all processes, in a train_op that is a function."""
        self._strategy.backward_at_once(loss, self._reduction)
        self._densify()
        if GRADIENT_NORM in self._session.fetched_names:
            self._values[GRADIENT_NORM] = gradient_norm(self._parameters, self._tables)

    def _densify(self) -> None:
        """Makes row gradients dense for optimizers that do not support them."""
        for parameter in _parameters_of(self._without_rows):
            row_gradients.densify(parameter)

    def _origin_of_nan(self, loss: torch.Tensor, batch: Batch) -> str:
        """The origin of a loss of NaN, on the CPU only, so as not to wait for a device."""
        if loss.device.type != "cpu" or not math.isnan(loss.item()) or batch.rows == 0:
            return ""
        if self._model.sends_messages:  # which the other processes would not expect
            return ""
        if self._session.origin_of_nan:  # of an earlier batch of the step
            return ""
        from torchest.engine.find_nan import first_non_finite

        return first_non_finite(self._model, batch, ModeKeys.TRAIN)

    def _learning_rates(self) -> dict[str, Any]:
        """The learning rates if a hook fetches one, read before schedulers change them at the end of the step."""
        if not self._session.fetched_names:
            return {}
        is_fetched = any(name.endswith(LEARNING_RATE) for name in self._session.fetched_names)
        return dict(learning_rates(self._model.scope.optimizers())) if is_fetched else {}

    def _optimize(self, optimizers: Sequence[torch.optim.Optimizer]) -> bool:
        """Steps the optimizers. Returns whether they stepped."""
        if self._loss_scale is not None:
            self._loss_scale.unscale(optimizers)
        if self._clip_norm is not None or GRADIENT_NORM in self._session.fetched_names:
            parameters = list(_parameters_of(optimizers))
            norm = self._values[GRADIENT_NORM] = gradient_norm(parameters, self._tables)
            if self._clip_norm is not None:
                clip_gradients(parameters, self._clip_norm, norm)
        if self._loss_scale is not None:
            return self._loss_scale.step()
        for optimizer in optimizers:
            optimizer.step()
        return True

    def _call(self, spec: EstimatorSpec) -> torch.Tensor:
        """Calls a train_op that is a function; returns the loss over the batches of all processes."""
        assert spec.loss is not None  # the spec checks it
        token = _running.set(self)
        try:
            spec.train_op()
        finally:
            _running.reset(token)
        return self._strategy.total(spec.loss, spec.loss_reduction)


def _parameters_of(optimizers: Iterable[torch.optim.Optimizer]) -> Iterator[torch.Tensor]:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            yield from group["params"]


def _forget_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Calls `zero_grad`; that of torch itself takes many times as long, as it notes its time for a profiler."""
    if getattr(optimizer.zero_grad, "__func__", None) is not torch.optim.Optimizer.zero_grad:
        optimizer.zero_grad(set_to_none=True)
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def values_of(spec: Outputs | EstimatorSpec) -> MutableMapping[str, Any]:
    """The values of a step by the names that hooks fetch; predictions come last."""
    loss = {} if spec.loss is None else {"loss": spec.loss}
    return ChainMap(loss, spec.eval_metric_ops, predictions_of(spec))


def predictions_of(spec: Outputs | EstimatorSpec) -> MutableMapping[str, Any]:
    """The predictions of a step by the names that hooks fetch."""
    predictions = spec.predictions
    named = predictions if isinstance(predictions, Mapping) else {"predictions": predictions}
    # a ChainMap only reads its maps, though its type requires mutable ones
    return cast("MutableMapping[str, Any]", named)
