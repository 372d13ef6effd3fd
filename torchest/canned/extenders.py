"""Estimators that are made of others: `add_metrics` and `forward_features`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from torchest.errors import suggest
from torchest.estimator.estimator import Estimator
from torchest.export_outputs import PredictOutput
from torchest.keys import ModeKeys
from torchest.utils.checks import listed, shown

if TYPE_CHECKING:
    from torchest.heads.base import Labels, RawFeatures
    from torchest.run_config import RunConfig
    from torchest.spec import EstimatorSpec

_ARGUMENTS = ("features", "labels", "predictions", "config")


def add_metrics(estimator: Estimator, metric_fn: Callable[..., Mapping[str, object]]) -> Estimator:
    """Returns an estimator whose `evaluate` computes further metrics.

    Args:
        estimator: An estimator, which is not changed; the new one has its `model_dir`, `config` and model.
        metric_fn: A function of any of `features`, `labels`, `predictions` and `config`, which returns
            metrics of one batch by name: values of `torchest.metrics`, or metrics of torchmetrics. They
            replace metrics of the same name.

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
    names = _argument_names(metric_fn)
    original = estimator.model_fn

    def model_fn(
        features: RawFeatures, labels: Labels, mode: str, config: RunConfig
    ) -> EstimatorSpec:
        spec = original(features, labels, mode, config)
        if mode != ModeKeys.EVAL:
            return spec
        by_name = isinstance(spec.predictions, Mapping)
        available = {
            "features": features,
            "labels": labels,
            "predictions": dict(spec.predictions) if by_name else spec.predictions,
            "config": config,
        }
        added = metric_fn(**{name: available[name] for name in names})
        if not isinstance(added, Mapping):
            raise TypeError(
                f"add_metrics: metric_fn returned a {type(added).__name__}, but must return a dict of metrics by name."
            )
        return spec._replace(eval_metric_ops={**spec.eval_metric_ops, **added})

    return Estimator(model_fn, config=estimator.config, warm_start_from=estimator.warm_start_from)


def forward_features(estimator: Estimator, keys: str | Sequence[str] | None = None) -> Estimator:
    """Returns an estimator whose predictions include features, such as the keys of examples.

    Exports have them, too, in the signatures whose outputs are predictions.

    Args:
        estimator: An estimator, which is not changed; the new one has its `model_dir`, `config` and model.
        keys: The key of a feature, or several; None for all features.

    Raises:
        TypeError: `estimator` is no estimator.
        ValueError: `keys` is neither a string nor a list of strings; in prediction, there is no such feature, or a
            prediction of the same name.

    >>> import torchest
    >>> from torchest import columns
    >>> model = torchest.LinearRegressor([columns.numeric_column("x")])
    >>> model = torchest.forward_features(model, "customer")
    >>> row = next(iter(model.predict(lambda: {"x": [1.0], "customer": ["b7"]})))
    >>> row["customer"]
    b'b7'
    """
    if not isinstance(estimator, Estimator):
        raise TypeError(
            f"forward_features: estimator={shown(estimator)} must be a torchest.Estimator."
        )
    wanted = None if keys is None else _keys(keys)
    original = estimator.model_fn

    def model_fn(
        features: RawFeatures, labels: Labels, mode: str, config: RunConfig
    ) -> EstimatorSpec:
        spec = original(features, labels, mode, config)
        if mode != ModeKeys.PREDICT:
            return spec
        forwarded = _forwarded(features, wanted, spec.predictions)
        outputs = {
            name: PredictOutput({**output.outputs, **forwarded})
            if isinstance(output, PredictOutput)
            else output
            for name, output in (spec.export_outputs or {}).items()
        }
        return spec._replace(predictions={**spec.predictions, **forwarded}, export_outputs=outputs)

    return Estimator(model_fn, config=estimator.config, warm_start_from=estimator.warm_start_from)


def _keys(keys: str | Sequence[str]) -> list[str]:
    names = [keys] if isinstance(keys, str) else listed("keys", keys, "keys of features")
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"keys={shown(keys)} must be the key of a feature, or a list of keys.")
    return names


def _forwarded(
    features: RawFeatures, keys: Sequence[str] | None, predictions: object
) -> dict[str, object]:
    if not isinstance(features, Mapping) or not isinstance(predictions, Mapping):
        what = "features" if not isinstance(features, Mapping) else "predictions"
        raise TypeError(f"forward_features: the {what} of the model must be a dict, to have keys.")
    wanted = list(features) if keys is None else keys
    for key in wanted:
        if key not in features:
            raise ValueError(
                f"forward_features: keys has {key!r}, but there is no such feature.{suggest(key, features)}"
            )
        if key in predictions:
            raise ValueError(
                f"forward_features: keys has {key!r}, but there is a prediction of this name: rename the feature, or "
                "leave it out of keys."
            )
    return {key: features[key] for key in wanted}


def _argument_names(metric_fn: object) -> list[str]:
    if not callable(metric_fn):
        raise TypeError(
            f"add_metrics: metric_fn={shown(metric_fn)} must be a function of any of {', '.join(_ARGUMENTS)}."
        )
    names = list(inspect.signature(metric_fn).parameters)
    for name in names:
        if name not in _ARGUMENTS:
            hint = suggest(name, _ARGUMENTS)
            raise ValueError(f"add_metrics: metric_fn takes {name!r}, which is not passed.{hint}")
    return names
