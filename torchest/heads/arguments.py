"""Checks of arguments that several heads take; they raise ValueError."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchest.errors import suggest
from torchest.keys import ModeKeys
from torchest.utils.checks import is_number, listed, one_of, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torchest.metrics.values import Metric

_MODES = (ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT)


def probability_thresholds(thresholds: Sequence[float] | None) -> tuple[float, ...]:
    """Returns thresholds between 0 and 1."""
    items = listed("thresholds", thresholds, "numbers between 0 and 1, such as [0.25, 0.5]")
    for threshold in items:
        if not is_number(threshold) or not 0 < threshold < 1:
            raise ValueError(
                f"thresholds={shown(items)} must be numbers between 0 and 1; {threshold!r} is not."
            )
    return tuple(items)


def check_mode(mode: object) -> None:
    """Raises unless `mode` is a mode, or None."""
    if mode is not None:
        one_of("mode", mode, _MODES)


def scalars(regularization_losses: Sequence[Tensor] | None) -> list[Tensor] | None:
    """Returns regularization losses as scalar tensors; None for None."""
    if regularization_losses is None:
        return None
    items = listed("regularization_losses", regularization_losses, "scalar tensors")
    for item in items:
        is_scalar = isinstance(item, Tensor) and item.numel() == 1 and not item.is_complex()
        if not is_scalar and not is_number(item):
            raise ValueError(
                f"regularization_losses={shown(items)} must be scalar tensors; {shown(item)} is not."
            )
    return [torch.as_tensor(item).reshape(()) for item in items]


def wanted_keys(keys: object, available: Collection[Any], head: str) -> list[Any]:
    """Returns the keys of predictions to compute, by default all that are available."""
    items = listed("keys", keys, "keys of predictions")
    for key in items:
        if not any(type(key) is type(each) and key == each for each in available):
            raise ValueError(
                f"{head}: keys has {shown(key)}, which is not a prediction.{suggest(str(key), map(str, available))}"
            )
    return items or list(available)


def check_predictions(predictions: object, *keys: str) -> None:
    """Raises unless `predictions` is a dict with these keys."""
    if not isinstance(predictions, Mapping):
        raise ValueError(
            f"predictions={shown(predictions)} must be a dict, as head.predictions(logits) gives them."
        )
    for key in keys:
        if key not in predictions:
            raise ValueError(
                f"predictions={shown(dict(predictions))} have no {key!r}: give all that head.predictions(logits) gives."
            )


def merged(eval_metrics: Mapping[str, Metric], more: Mapping[str, Metric]) -> dict[str, Metric]:
    """Returns the metrics so far, merged with those of one more batch."""
    if not isinstance(eval_metrics, Mapping):
        raise ValueError(
            f"eval_metrics={shown(eval_metrics)} must be a dict of metrics, as head.metrics() gives them."
        )
    for key, metric in eval_metrics.items():
        if key not in more:
            raise ValueError(
                f"eval_metrics has {key!r}, which is not a metric of this head.{suggest(str(key), more)}"
            )
        if not hasattr(metric, "merge"):
            raise ValueError(f"eval_metrics[{key!r}]={shown(metric)} must be a metric.")
    return {key: metric.merge(more[key]) for key, metric in eval_metrics.items()}
