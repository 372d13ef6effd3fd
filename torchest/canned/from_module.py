"""model_to_estimator: an estimator of any module, which starts from the module's weights."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from torchest.engine.scope import get_or_create
from torchest.errors import suggest
from torchest.estimator.estimator import Estimator
from torchest.keys import ModeKeys
from torchest.metrics.torchmetrics import is_torch_metric
from torchest.optimizers.resolve import resolve
from torchest.spec import EstimatorSpec
from torchest.utils.checks import shown

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from torchest.heads.base import Labels, RawFeatures
    from torchest.metrics import Metric
    from torchest.optimizers.resolve import OptimizerLike
    from torchest.run_config import RunConfig

    MetricFn: TypeAlias = "Callable[[Output, Labels], object]"

Output: TypeAlias = Any  # of a user's module
_FORMATS = ("safetensors", "checkpoint", "saver")


def model_to_estimator(  # noqa: PLR0913 - what a model, its training and its estimator need
    module: nn.Module,
    optimizer: OptimizerLike | torch.optim.Optimizer,
    loss: Callable[[Output, Labels], Tensor],
    metrics: Mapping[str, MetricFn | Metric] | None = None,
    checkpoint_format: str | None = None,
    model_dir: str | os.PathLike[str] | None = None,
    config: RunConfig | None = None,
    custom_objects: Mapping[str, object] | None = None,
) -> Estimator:
    """Returns an estimator of a copy of a module.

    The estimator starts with the current weights of the module, and never changes the module itself. Parameters that
    do not require gradients stay as they are; a normalisation layer whose parameters are all frozen uses its running
    statistics in training, too, and does not update them (as a Keras layer that is not trainable).

    If the features are a tensor, it is the only argument of the module. If they are a dict, each is passed to the
    argument of `forward` with the same name. A dict of one feature fits any `forward` with one required argument,
    whatever the names. A `forward(features)` gets the dict itself, as column layers do.

    Args:
        module: The model. In a checkpoint its tensors are called `model.<name in the module>`.
        optimizer: An optimizer of the module's parameters; or a name, class or function as for
            `DNNEstimator`, which gets the parameters that require gradients.
        loss: A function from the module's output and the labels to their mean loss, such as
            `nn.CrossEntropyLoss()`. Labels [batch] are passed as [batch, 1] if the output has that shape,
            and integers as floats if the output has their shape.
        metrics: Metrics by name: functions of output and labels that return a value of `torchest.metrics`, or metrics
            of torchmetrics. Labels have the same shape as for `loss`, but keep their dtype.
        checkpoint_format: Has no effect: checkpoints are safetensors.
        model_dir: As for `LinearEstimator`.
        config: As for `LinearEstimator`.
        custom_objects: Must be None or empty: the module needs none.

    Returns:
        An estimator. Its predictions are the module's output: a tensor as "output"; the tensors of a dict, a
        dataclass or a named tuple by their names; those of a tuple as "output_0" and so on.

    Raises:
        TypeError: An argument has another type.
        ValueError: `optimizer` is no optimizer, or one of other parameters; or an argument is invalid.

    >>> import torch, torchest
    >>> net = torch.nn.Linear(1, 1)
    >>> model = torchest.model_to_estimator(net, "SGD", torch.nn.MSELoss())
    >>> x = torch.tensor([[1.0], [2.0]])
    >>> row = next(model.predict(lambda: {"x": x[:1]}))
    >>> bool(row["output"] == net(x[:1]).item())
    True
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module={shown(module)} must be an object of a torch.nn.Module class.")
    if not callable(loss) or isinstance(loss, type):
        raise TypeError(
            f"loss={shown(loss)} must be a function of output and labels, such as torch.nn.BCEWithLogitsLoss()."
        )
    is_format = isinstance(checkpoint_format, str) and checkpoint_format in _FORMATS
    if checkpoint_format is not None and not is_format:
        raise ValueError(
            f"checkpoint_format={shown(checkpoint_format)}: leave it out, checkpoints are safetensors."
        )
    is_empty = isinstance(custom_objects, Mapping) and not custom_objects
    if custom_objects is not None and not is_empty:
        raise ValueError(
            f"custom_objects={shown(custom_objects)} have no effect, as the module needs none: leave them out."
        )
    metric_fns = _checked_metrics(metrics)
    make_optimizer = _optimizer_maker(optimizer, module)
    call = _Call(module)
    original = copy.deepcopy(module)

    def model_fn(features: RawFeatures, labels: Labels, mode: str) -> EstimatorSpec:
        net = get_or_create("model", lambda: copy.deepcopy(original))
        if mode == ModeKeys.TRAIN:
            _set_frozen_norms_to_evaluation(net)
        output = call(net, features)
        predictions = _predictions(output)
        if mode == ModeKeys.PREDICT:
            return EstimatorSpec(mode, predictions=predictions)
        labels, comparable = _fitted(labels, output)
        mean_loss = loss(output, comparable)
        if mode == ModeKeys.EVAL:
            of_batch = {name: metric(output, labels) for name, metric in metric_fns.items()}
            return EstimatorSpec(mode, predictions, mean_loss, eval_metric_ops=of_batch)
        train_op = get_or_create("optimizer", lambda: make_optimizer(net))
        return EstimatorSpec(mode, predictions, mean_loss, train_op)

    return Estimator(model_fn, model_dir, config)


class _Call:
    """Calls a module with the features that its `forward` takes."""

    def __init__(self, module: nn.Module) -> None:
        parameters = inspect.signature(module.forward).parameters.values()
        self._named = [
            p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        self._needed = {p.name for p in parameters if p.default is p.empty} & set(self._named)
        self._takes_all = any(p.kind == p.VAR_KEYWORD for p in parameters)
        self._forward = f"{type(module).__name__}.forward({', '.join(self._named)})"

    def __call__(self, net: nn.Module, features: RawFeatures) -> Output:
        """Returns the output of the module."""
        if not isinstance(features, Mapping):
            return net(*features) if isinstance(features, tuple) else net(features)
        if self._named == ["features"]:
            return net(features)
        if len(features) == 1 and len(self._needed) == 1 and not set(features) & set(self._named):
            return net(*(features[key] for key in features))
        self._check(list(features))
        return net(**{key: features[key] for key in features})

    def _check(self, keys: Sequence[str]) -> None:
        missing = sorted(self._needed.difference(keys))
        if missing:
            raise ValueError(
                f"{self._forward} needs {missing[0]!r}, which is not a feature.{suggest(missing[0], keys)}"
            )
        unknown = sorted(set(keys).difference(self._named))
        if unknown and not self._takes_all:
            raise ValueError(
                f"{self._forward} takes no {unknown[0]!r}, which is a feature.{suggest(unknown[0], self._named)} "
                "Leave the feature out in the input_fn if the module does not need it."
            )


def _optimizer_maker(
    optimizer: OptimizerLike | torch.optim.Optimizer, module: nn.Module
) -> Callable[[nn.Module], torch.optim.Optimizer]:
    """Returns a function that makes the optimizer of a copy of the module."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        make = resolve(optimizer, lr=None)
        return lambda net: make([p for p in net.parameters() if p.requires_grad])
    parameters = dict(module.named_parameters())
    own = {id(parameter) for parameter in parameters.values()}
    if any(id(held) not in own for group in optimizer.param_groups for held in group["params"]):
        raise ValueError(
            "optimizer holds parameters that the module does not have: make it of module.parameters()."
        )
    original_parameters, original = copy.deepcopy((parameters, optimizer))

    def make_copy(net: nn.Module) -> torch.optim.Optimizer:
        memo = {id(original_parameters[name]): own for name, own in net.named_parameters()}
        copied = copy.deepcopy(original, memo)
        copied.load_state_dict(copied.state_dict())  # moves its state to the parameters' device
        return copied

    return make_copy


def _set_frozen_norms_to_evaluation(net: nn.Module) -> None:
    for layer in net.modules():
        if isinstance(layer, _NormBase):
            parameters = list(layer.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                layer.eval()


def _fitted(labels: Labels, output: Output) -> tuple[Labels, Labels]:
    """Labels in the shape of the output, [batch] as [batch, 1]; labels of that shape are converted to floats."""
    if not isinstance(labels, Tensor) or not isinstance(output, Tensor):
        return labels, labels
    if output.shape == (*labels.shape, 1):
        labels = labels.unsqueeze(-1)
    return labels, labels.to(output.dtype) if output.shape == labels.shape else labels


def _predictions(output: Output) -> dict[str, Tensor]:
    if isinstance(output, Tensor):
        return {"output": output}
    tensors = {name: value for name, value in _items(output) if isinstance(value, Tensor)}
    if not tensors:
        raise TypeError(
            f"The module returned a {type(output).__name__}: it must return a tensor, or a dict, dataclass or tuple of "
            "tensors."
        )
    return tensors


def _items(output: Output) -> Iterable[tuple[str, object]]:
    """The items of an output by name, including those that are not tensors."""
    if isinstance(output, Mapping):
        return output.items()
    if dataclasses.is_dataclass(output):
        return [(each.name, getattr(output, each.name)) for each in dataclasses.fields(output)]
    if hasattr(output, "_fields"):  # a named tuple
        return zip(output._fields, output, strict=True)
    if isinstance(output, tuple | list):
        return [(f"output_{place}", value) for place, value in enumerate(output)]
    return []


def _checked_metrics(metrics: Mapping[str, MetricFn | Metric] | None) -> dict[str, MetricFn]:
    if metrics is not None and not isinstance(metrics, Mapping):
        raise TypeError(
            f"metrics={shown(metrics)} must be a dict of metrics by name, such as "
            '{"accuracy": lambda output, labels: torchest.metrics.accuracy(labels, output > 0)}.'
        )
    return {name: _metric_fn(name, metric) for name, metric in (metrics or {}).items()}


def _metric_fn(name: str, metric: Any) -> MetricFn:
    if is_torch_metric(metric):

        def update_copy(output: Output, labels: Labels) -> object:
            of_batch = metric.clone()
            of_batch.update(output, labels)
            return of_batch

        return update_copy
    if callable(metric) and not isinstance(metric, type):
        return metric  # type: ignore[no-any-return]
    raise TypeError(
        f"metrics[{name!r}] is {shown(metric)} but must be a function of output and labels, or a metric "
        "of torchmetrics."
    )
