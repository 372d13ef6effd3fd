"""An estimator of any module, with the weights that it has.

net = torchvision.models.mobilenet_v2(num_classes=1)
model = torchest.model_to_estimator(
    net,
    optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-4),
    loss=torch.nn.BCEWithLogitsLoss(),
    metrics={"accuracy": lambda output, labels: metrics.accuracy(labels, output > 0)},
)
model.train(input_fn, steps=100)
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from torchest.engine.scope import get_or_create
from torchest.errors import suggest
from torchest.estimator import Estimator
from torchest.keys import ModeKeys
from torchest.metrics.torchmetrics import is_torch_metric
from torchest.optimizers.resolve import resolve
from torchest.spec import EstimatorSpec
from torchest.utils.checks import shown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from torchest.optimizers.resolve import MakeOptimizer
    from torchest.run_config import RunConfig

_log = logging.getLogger("torchest")
_FORMATS = (None, "safetensors", "checkpoint", "saver")


def model_to_estimator(  # noqa: PLR0913 - what a model, its training and its estimator need
    module: nn.Module,
    optimizer: Any,
    loss: Callable[[Any, Any], Tensor],
    metrics: Mapping[str, Any] | None = None,
    checkpoint_format: str | None = None,
    model_dir: str | os.PathLike[str] | None = None,
    config: RunConfig | None = None,
    custom_objects: Mapping[str, Any] | None = None,
) -> Estimator:
    """An estimator that trains, evaluates and asks a copy of a module.

    The estimator starts from the weights that the module has now, and never changes the module itself.
    Parameters that do not require gradients stay as they are; a normalisation layer whose parameters are all
    frozen uses its running statistics in training, too, and leaves them as they are (as a layer of Keras
    that is not trainable does).

    Features that are a tensor are the module's only argument. Of a dict of features each goes to the argument of
    `forward` that its key names; a dict of one feature goes to a `forward` that needs one argument,
    whatever their names are; and a `forward(features)` gets the dict itself, as column layers take it.

    Args:
        module: The model. In a checkpoint its tensors are called `model.<name in the module>`.
        optimizer: An optimizer of the module's parameters; or a name, class or function as `DNNEstimator`
            takes it, which gets the parameters that require gradients.
        loss: A function of the module's output and the labels, such as `nn.CrossEntropyLoss()`, that gives
            their mean loss. Labels [batch] reach it as [batch, 1] if the output is of that shape, and
            integers as floats if the output is of their shape.
        metrics: By name: functions of output and labels that give a value of `torchest.metrics`; or
            metrics of torchmetrics. Labels have the shape that `loss` gets, and their own dtype.
        checkpoint_format: Checkpoints are safetensors, whatever it is.
        model_dir: Where checkpoints and events go. None: `config.model_dir`, or a temporary directory.
        config: How to run.
        custom_objects: Not needed, as the module is there; must be None or empty.

    Returns:
        An estimator. Its predictions are the module's output: as "output" if that is a tensor, and else the tensors
        in it: of a dict, a dataclass or a named tuple by their names, of a tuple as "output_0" and so on.

    Raises:
        TypeError: An argument is of another type than said above.
        ValueError: `optimizer` is no optimizer, or one of other parameters; or an argument has a value that
            means nothing.

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
    if checkpoint_format is not None and not (
        isinstance(checkpoint_format, str) and checkpoint_format in _FORMATS
    ):
        raise ValueError(
            f"checkpoint_format={shown(checkpoint_format)}: leave it out, checkpoints are safetensors."
        )
    if custom_objects is not None and not (
        isinstance(custom_objects, Mapping) and not custom_objects
    ):
        raise ValueError(
            f"custom_objects={shown(custom_objects)} mean nothing here, as the module is there: leave them out."
        )
    measured = _checked_metrics(metrics)
    make_optimizer = _optimizer_maker(optimizer, module)
    call = _Call(module)
    original = copy.deepcopy(module)

    def model_fn(features: Any, labels: Any, mode: str) -> EstimatorSpec:
        net = get_or_create("model", lambda: copy.deepcopy(original))
        if mode == ModeKeys.TRAIN:
            _rest_frozen_norms(net)
        output = call(net, features)
        predictions = _predictions(output)
        if mode == ModeKeys.PREDICT:
            return EstimatorSpec(mode, predictions=predictions)
        labels = _in_shape(labels, output)
        return EstimatorSpec(
            mode,
            predictions=predictions,
            loss=loss(output, _in_dtype(labels, output)),
            train_op=get_or_create("optimizer", lambda: make_optimizer(net))
            if mode == ModeKeys.TRAIN
            else None,
            eval_metric_ops={name: metric(output, labels) for name, metric in measured.items()}
            if mode == ModeKeys.EVAL
            else None,
        )

    return Estimator(model_fn, model_dir, config)


class _Call:
    """Gives a module its arguments from a batch of features.

    Args:
        module: A module of the class that is to be called.
    """

    def __init__(self, module: nn.Module) -> None:
        parameters = inspect.signature(module.forward).parameters.values()
        self._named = [
            p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        self._needed = {p.name for p in parameters if p.default is p.empty} & set(self._named)
        self._takes_all = any(p.kind == p.VAR_KEYWORD for p in parameters)
        self._forward = f"{type(module).__name__}.forward({', '.join(self._named)})"

    def __call__(self, net: nn.Module, features: Any) -> Any:
        """Calls a module."""
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
                f"{self._forward} needs {missing[0]!r}, which is no feature.{suggest(missing[0], keys)}"
            )
        unknown = sorted(set(keys).difference(self._named))
        if unknown and not self._takes_all:
            raise ValueError(
                f"{self._forward} takes no {unknown[0]!r}, which is a feature.{suggest(unknown[0], self._named)} "
                "Leave the feature out in the input_fn if the module does not need it."
            )


def _optimizer_maker(optimizer: Any, module: nn.Module) -> Callable[[nn.Module], Any]:
    """A function that makes the optimizer of a copy of the module."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        make: MakeOptimizer = resolve(optimizer, lr=None)
        return lambda net: make([p for p in net.parameters() if p.requires_grad])
    parameters = dict(module.named_parameters())
    own = {id(parameter) for parameter in parameters.values()}
    if any(id(held) not in own for group in optimizer.param_groups for held in group["params"]):
        raise ValueError(
            "optimizer holds parameters that the module has not: make it of module.parameters()."
        )
    kept_parameters, kept = copy.deepcopy((parameters, optimizer))

    def make_copy(net: nn.Module) -> torch.optim.Optimizer:
        instead = {id(kept_parameters[name]): own for name, own in net.named_parameters()}
        made = copy.deepcopy(kept, instead)
        made.load_state_dict(made.state_dict())  # moves its state to the parameters' device
        return made

    return make_copy


def _rest_frozen_norms(net: nn.Module) -> None:
    for layer in net.modules():
        if isinstance(layer, _NormBase):
            parameters = list(layer.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                layer.eval()


def _in_shape(labels: Any, output: Any) -> Any:
    """Labels [batch] as [batch, 1], if the output is of that shape."""
    both = isinstance(labels, Tensor) and isinstance(output, Tensor)
    return labels.unsqueeze(-1) if both and output.shape == (*labels.shape, 1) else labels


def _in_dtype(labels: Any, output: Any) -> Any:
    """Labels of the output's shape as floats: they are compared with it number by number."""
    both = isinstance(labels, Tensor) and isinstance(output, Tensor)
    return labels.to(output.dtype) if both and output.shape == labels.shape else labels


def _predictions(output: Any) -> Any:
    if isinstance(output, Tensor):
        return {"output": output}
    found = {name: value for name, value in _parts(output) if isinstance(value, Tensor)}
    if not found:
        raise TypeError(
            f"The module gave a {type(output).__name__}: it must give a tensor, or a dict, dataclass or tuple of "
            "tensors."
        )
    return found


def _parts(output: Any) -> Iterable[tuple[str, Any]]:
    """What an output has, by name; what is no tensor, such as the states that are only given on request, too."""
    if isinstance(output, Mapping):
        return output.items()
    if dataclasses.is_dataclass(output):
        return [(each.name, getattr(output, each.name)) for each in dataclasses.fields(output)]
    if hasattr(output, "_fields"):  # a named tuple
        return zip(output._fields, output, strict=True)
    if isinstance(output, (tuple, list)):
        return [(f"output_{place}", value) for place, value in enumerate(output)]
    return []


def _checked_metrics(metrics: Mapping[str, Any] | None) -> dict[str, Callable[[Any, Any], Any]]:
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise TypeError(
            f"metrics={shown(metrics)} must be a dict of metrics by name, such as "
            '{"accuracy": lambda output, labels: torchest.metrics.accuracy(labels, output > 0)}.'
        )
    return {name: _metric(name, metric) for name, metric in metrics.items()}


def _metric(name: str, metric: Any) -> Callable[[Any, Any], Any]:
    if is_torch_metric(metric):
        return lambda output, labels: _updated(metric.clone(), output, labels)
    if callable(metric) and not isinstance(metric, type):
        return metric  # type: ignore[no-any-return]
    raise TypeError(
        f"metrics[{name!r}] is {shown(metric)} and must be a function of output and labels, or a metric "
        "of torchmetrics."
    )


def _updated(metric: Any, output: Any, labels: Any) -> Any:
    metric.update(output, labels)
    return metric
