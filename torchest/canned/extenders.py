"""add_metrics: an estimator with more metrics than it was made with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torchest.errors import suggest
from torchest.estimator import Estimator
from torchest.keys import ModeKeys
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from torchest.spec import EstimatorSpec

_ARGUMENTS = ("features", "labels", "predictions", "config")


def add_metrics(estimator: Estimator, metric_fn: Callable[..., Mapping[str, Any]]) -> Estimator:
    """An estimator whose `evaluate` gives further metrics.

    Args:
        estimator: Is left as it is; the new one has its `model_dir`, `config` and model.
        metric_fn: A function of any of `features`, `labels`, `predictions` and `config`, which returns
            metrics of one batch by name: values of `torchest.metrics`, or metrics of torchmetrics. A
            metric of a name that the estimator has already takes its place.

    Returns:
        The new estimator.

    Raises:
        TypeError: `estimator` is no estimator, or `metric_fn` cannot be called.
        ValueError: `metric_fn` takes another argument.

    >>> import torch, torchest
    >>> from torchest import columns
    >>> def mean_square(predictions):
    ...     return {"mean_square": torchest.metrics.mean(predictions["predictions"].square())}
    >>> model = torchest.LinearRegressor([columns.numeric_column("x")])
    >>> model = torchest.add_metrics(model, mean_square)
    >>> model.evaluate(lambda: ({"x": [1.0]}, [2.0]), steps=1)["mean_square"]
    np.float32(0.0)
    """
    if not isinstance(estimator, Estimator):
        raise TypeError(f"add_metrics: estimator={shown(estimator)} must be a torchest.Estimator.")
    taken = _taken(metric_fn)
    original = estimator.model_fn

    def model_fn(features: Any, labels: Any, mode: str, config: Any) -> EstimatorSpec:
        spec = original(features, labels, mode, config)
        if mode != ModeKeys.EVAL:
            return spec
        found = spec.predictions
        available = {
            "features": features,
            "labels": labels,
            "predictions": dict(found) if isinstance(found, Mapping) else found,
            "config": config,
        }
        added = metric_fn(**{name: available[name] for name in taken})
        if not isinstance(added, Mapping):
            raise TypeError(
                f"add_metrics: metric_fn returned a {type(added).__name__}, and must return a dict of metrics by name."
            )
        return spec._replace(eval_metric_ops={**spec.eval_metric_ops, **added})

    return Estimator(model_fn, config=estimator.config, warm_start_from=estimator.warm_start_from)


def _taken(metric_fn: Any) -> list[str]:
    if not callable(metric_fn):
        raise TypeError(
            f"add_metrics: metric_fn={shown(metric_fn)} must be a function of any of {', '.join(_ARGUMENTS)}."
        )
    names = list(inspect.signature(metric_fn).parameters)
    for name in names:
        if name not in _ARGUMENTS:
            raise ValueError(
                f"add_metrics: metric_fn takes {name!r}, which it is not given.{suggest(name, _ARGUMENTS)}"
            )
    return names
