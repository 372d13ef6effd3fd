"""EstimatorSpec, the result of a model_fn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from torchest.errors import suggest
from torchest.export_outputs import ExportOutput, checked_export_outputs
from torchest.keys import MetricKeys, ModeKeys
from torchest.losses import Reduction, reduction_named
from torchest.metrics import Metric
from torchest.metrics.sums import MetricSums
from torchest.metrics.torchmetrics import TorchMetric, is_torch_metric
from torchest.optimizers.resolve import is_without_parameters
from torchest.utils.checks import is_list, shown, text
from torchest.utils.deferred import Deferred
from torchest.utils.predicted_text import is_text

if TYPE_CHECKING:
    TrainOp = torch.optim.Optimizer | Iterable[torch.optim.Optimizer] | Callable[[], object]

_OWN_METRICS = (MetricKeys.LOSS, MetricKeys.GLOBAL_STEP)
_MODES = (ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT)


class _Fields(NamedTuple):
    mode: str
    predictions: Any
    loss: Tensor | None
    train_op: Any
    eval_metric_ops: MutableMapping[str, Any]
    export_outputs: dict[str, ExportOutput] | None
    training_chief_hooks: tuple[Any, ...]
    training_hooks: tuple[Any, ...]
    scaffold: Scaffold | None
    evaluation_hooks: tuple[Any, ...]
    prediction_hooks: tuple[Any, ...]
    loss_reduction: str


class Outputs(NamedTuple):
    """What evaluation and prediction use of an `EstimatorSpec`, under the same names."""

    predictions: MutableMapping[str, Any]
    loss: Tensor | None
    eval_metric_ops: MutableMapping[str, Any]


@dataclass(frozen=True)
class Minimization:
    """A train_op that minimizes a loss of its own, which may be another one than that of the `EstimatorSpec`.

    Attributes:
        optimizer: The optimizer.
        loss: A scalar.
        backward: Computes gradients in a train_op.
    """

    optimizer: torch.optim.Optimizer
    loss: Tensor
    backward: Callable[[Tensor], None]

    def __call__(self) -> None:
        """Makes a step, inside a train_op that is a function."""
        self.optimizer.zero_grad()
        self.backward(self.loss)
        self.optimizer.step()


class Scaffold:
    """Initialization of a new model, for `EstimatorSpec(scaffold=...)`.

    Args:
        init_fn: A function of the scaffold and the session (see `SessionRunHook`), which may for instance load weights.
            It is called once, without gradients, when the first call of model_fn has made all objects and before the
            first checkpoint is written; it is not called if a checkpoint is restored.

    Raises:
        TypeError: `init_fn` cannot be called.

    >>> scaffold = Scaffold(lambda scaffold, session: print("made"))
    >>> scaffold.init_fn(scaffold, None)
    made
    """

    def __init__(self, init_fn: Callable[[Scaffold, Any], object] | None = None) -> None:
        if init_fn is not None and not callable(init_fn):
            raise TypeError(
                f"Scaffold: init_fn={shown(init_fn)} must be a function of (scaffold, session), or None."
            )
        self.init_fn = init_fn


class EstimatorSpec(_Fields):
    """The result of a model_fn for one batch.

    Args:
        mode: The `ModeKeys` that model_fn was called with.
        predictions: A tensor or a dict of tensors by name. Required in PREDICT. They may include text: a feature that
            is text, such as the key of an example, or an array of strings.
        loss: A scalar, or a tensor of shape [1]. Required in TRAIN and EVAL.
        train_op: An optimizer; a list of optimizers, which share one backward pass; a function that computes
            gradients with `torchest.backward(loss)` and steps its optimizers; or the result of `minimize` of an
            optimizer of `torchest.v1.train`. Required in TRAIN.
        eval_metric_ops: Metrics of this batch by name: values of `torchest.metrics`, or metrics of torchmetrics that
            were updated with this batch, which are reset.
        export_outputs: The outputs of an exported model by the names of its signatures: values of `torchest.export`,
            such as `PredictOutput`. With several, one must be called "serving_default". None: the predictions.
        training_chief_hooks: Hooks for training, on the chief only.
        training_hooks: Hooks for training.
        scaffold: Initializes a new model.
        evaluation_hooks: Hooks for evaluation.
        prediction_hooks: Hooks for prediction.
        loss_reduction: How `loss` was reduced over examples, a `torchest.losses.Reduction`: by default the mean.
            Where several processes train together, gradients of means are averaged by numbers of examples, and those
            of sums are added.

    Raises:
        ValueError: The mode requires an argument that is missing, or the loss is not a scalar.
        TypeError: An argument has another type.

    >>> EstimatorSpec(ModeKeys.EVAL, loss=torch.tensor([0.5])).loss
    tensor(0.5000)
    """

    __slots__ = ()

    def __new__(  # noqa: PLR0913
        cls,
        mode: str,
        predictions: object = None,
        loss: Tensor | None = None,
        train_op: TrainOp | None = None,
        eval_metric_ops: Mapping[str, object] | None = None,
        export_outputs: Mapping[str, object] | None = None,
        training_chief_hooks: Iterable[object] | None = None,
        training_hooks: Iterable[object] | None = None,
        scaffold: Scaffold | None = None,
        evaluation_hooks: Iterable[object] | None = None,
        prediction_hooks: Iterable[object] | None = None,
        *,
        loss_reduction: str = Reduction.AUTO,
    ) -> EstimatorSpec:
        """Checks the fields."""
        if not isinstance(mode, str) or mode not in _MODES:
            raise ValueError(
                f"EstimatorSpec: mode={shown(mode)} is not a mode.{suggest(str(mode), _MODES)}"
            )
        first = (
            mode,
            _checked_predictions(predictions, mode),
            _checked_loss(loss, mode),
            _train_op_of(train_op, mode, loss),
        )
        values = (eval_metric_ops, export_outputs, scaffold)
        hooks = (training_chief_hooks, training_hooks, evaluation_hooks, prediction_hooks)
        optional = [each for each in (*values, *hooks) if each is not None]
        if not optional and mode == ModeKeys.TRAIN:  # most steps
            rest: tuple[Any, ...] = ({}, None, (), (), None, (), ())
        else:
            rest = (
                _checked_metrics(eval_metric_ops),
                _checked_export_outputs(export_outputs, predictions, mode),
                _checked_hooks("training_chief_hooks", training_chief_hooks),
                _checked_hooks("training_hooks", training_hooks),
                _checked_scaffold(scaffold),
                _checked_hooks("evaluation_hooks", evaluation_hooks),
                _checked_hooks("prediction_hooks", prediction_hooks),
            )
        return tuple.__new__(cls, (*first, *rest, _checked_reduction(loss_reduction)))

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> EstimatorSpec:  # type: ignore[override]
        """Makes a spec from all fields in order, with the checks of the constructor.

        Raises:
            TypeError: There are more or fewer values than fields, or one is of a wrong type.
            ValueError: As for the constructor.
        """
        values = tuple(iterable)
        if len(values) != len(cls._fields):
            raise TypeError(
                f"EstimatorSpec has {len(cls._fields)} fields, and was made of {len(values)} values."
            )
        return cls(**dict(zip(cls._fields, values, strict=True)))

    def _replace(self, **changes: object) -> EstimatorSpec:
        """A copy with new values of some fields, with the checks of the constructor.

        Raises:
            ValueError: A name is not a field, `mode` changes, or as for the constructor.
            TypeError: As for the constructor.
        """
        for name in changes:
            if name not in self._fields:
                raise ValueError(
                    f"EstimatorSpec has no field {name!r}.{suggest(name, self._fields)}"
                )
        if changes.get("mode", self.mode) != self.mode:
            raise ValueError(
                f"EstimatorSpec: mode={changes['mode']!r} cannot take the place of {self.mode!r}: make a new "
                "EstimatorSpec for another mode."
            )
        return EstimatorSpec(**{**self._asdict(), **changes})

    def __reduce__(self) -> tuple[object, ...]:
        return self._make, (tuple(self),)


def _checked_predictions(predictions: object, mode: str) -> object:
    if predictions is None:
        if mode == ModeKeys.PREDICT:
            raise ValueError(
                "EstimatorSpec: predictions are missing: in PREDICT give a tensor or a dict of tensors."
            )
        return {}
    if isinstance(predictions, Deferred):
        return predictions  # made by a head
    if isinstance(predictions, Mapping):
        for name, value in predictions.items():
            _check_array(f"predictions[{name!r}]", value)
        return dict(predictions)
    _check_array("predictions", predictions)
    return predictions


def _check_array(name: str, value: object) -> None:
    is_array = hasattr(value, "dtype") or (hasattr(value, "shape") and hasattr(value, "numpy"))
    if not is_array and not is_text(value):
        way_out = "Make one with torch.as_tensor."
        if _is_string(value):
            way_out = (
                "Give text as an array with one string per example: np.array([...], dtype=object)."
            )
        raise TypeError(
            f"EstimatorSpec: {name} must be a tensor, not a {type(value).__name__}. {way_out}"
        )


def _is_string(value: object) -> bool:
    """Whether it is a string, or a list that begins with one."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (str, bytes))


def _checked_loss(loss: object, mode: str) -> Tensor | None:
    if loss is None:
        if mode != ModeKeys.PREDICT:
            name = "TRAIN" if mode == ModeKeys.TRAIN else "EVAL"
            raise ValueError(f"EstimatorSpec: loss is missing: in {name} give a scalar tensor.")
        return None
    if not isinstance(loss, Tensor):
        raise TypeError(
            f"EstimatorSpec: loss must be a scalar tensor, not a {type(loss).__name__}."
        )
    if loss.numel() != 1:
        raise ValueError(
            f"EstimatorSpec: loss has shape {list(loss.shape)}, but must be a scalar: reduce it, for example with "
            "loss.mean()."
        )
    return loss if loss.dim() == 0 else loss.reshape(())


def _checked_reduction(reduction: str) -> str:
    if reduction is Reduction.AUTO:  # most specs
        return reduction
    return reduction_named("EstimatorSpec: loss_reduction", reduction)


def _train_op_of(train_op: object, mode: str, loss: object) -> TrainOp | None:
    if isinstance(train_op, Minimization) and train_op.loss is loss:
        train_op = train_op.optimizer  # the loop computes gradients of the spec's loss
    if train_op is not None:
        return checked_train_op("EstimatorSpec: train_op", train_op)
    if mode == ModeKeys.TRAIN:
        raise ValueError(
            "EstimatorSpec: train_op is missing: in TRAIN give an optimizer, a list of optimizers, or a function."
        )
    return None


def checked_train_op(what: str, train_op: object) -> TrainOp:
    """An optimizer, a list of them, or a function.

    Args:
        what: The argument as the user wrote it.
        train_op: Its value.

    Raises:
        TypeError: It is something else.
    """
    if is_without_parameters(train_op):
        raise TypeError(
            f"{what} is {_a(train_op)} without parameters: make one with those of the model by "
            "torchest.get_or_create('optimizer', lambda: ...)."
        )
    if isinstance(train_op, torch.optim.Optimizer):
        return train_op
    if callable(train_op) and not isinstance(train_op, (type, torch.nn.Module)):
        return train_op
    if isinstance(train_op, (list, tuple)):
        others = [each for each in train_op if not isinstance(each, torch.optim.Optimizer)]
        if train_op and not others:
            return list(train_op)
        actual = f"a list with a {type(others[0]).__name__}" if others else "an empty list"
    else:
        actual = _a(train_op)
    raise TypeError(
        f"{what} must be a torch.optim.Optimizer, a list of them, or a function; it is {actual}."
    )


def _checked_export_outputs(
    export_outputs: object, predictions: object, mode: str
) -> dict[str, ExportOutput] | None:
    if mode == ModeKeys.PREDICT:
        return checked_export_outputs(export_outputs, predictions)
    if not isinstance(export_outputs, Mapping | None):
        raise TypeError(
            f"EstimatorSpec: export_outputs must be a dict of export outputs by name, not {_a(export_outputs)}."
        )
    return None if export_outputs is None else dict(export_outputs)


def _checked_hooks(name: str, hooks: object) -> tuple[Any, ...]:
    if hooks is None:
        return ()
    if not is_list(hooks):
        raise TypeError(
            f"EstimatorSpec: {name} must be a list of hooks, not {_a(hooks)}. Write [hook]."
        )
    return tuple(hooks)


def _a(value: object) -> str:
    """The kind of a value, for messages."""
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def _checked_scaffold(scaffold: object) -> Scaffold | None:
    if not isinstance(scaffold, Scaffold | None):
        raise TypeError(
            f"EstimatorSpec: scaffold is a {type(scaffold).__name__} but must be a torchest.Scaffold, such as "
            "Scaffold(init_fn=...), or None."
        )
    return scaffold


def _checked_metrics(metrics: object) -> MutableMapping[str, object]:
    if metrics is None:
        return {}
    if isinstance(metrics, MetricSums):
        return metrics  # made by a head
    if not isinstance(metrics, Mapping):
        raise TypeError(
            f"EstimatorSpec: eval_metric_ops must be a dict of metrics by name, not a {type(metrics).__name__}."
        )
    for name in metrics:
        text("EstimatorSpec: a name of eval_metric_ops", name, empty=True)
        if name in _OWN_METRICS:
            raise ValueError(
                f"EstimatorSpec: eval_metric_ops has {name!r}, which every evaluation computes itself: give this "
                "metric another name."
            )
    return {name: _checked_metric(name, value) for name, value in metrics.items()}


def _checked_metric(name: str, value: object) -> object:
    if isinstance(value, Metric):
        return value
    if is_torch_metric(value):
        return TorchMetric.of_batch(value)
    if not all(callable(getattr(value, method, None)) for method in ("merge", "compute")):
        raise TypeError(
            f"EstimatorSpec: eval_metric_ops[{name!r}] is a {type(value).__name__}, not a metric. Use a value of "
            "torchest.metrics, such as metrics.mean(values), or a metric of torchmetrics."
        )
    return value
