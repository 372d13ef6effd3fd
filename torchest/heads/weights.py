"""The weights of examples, from a column of the features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from torch import Tensor

from torchest.columns.base import FeatureColumn
from torchest.columns.features import Features
from torchest.errors import MissingFeatureError, suggest
from torchest.heads.labels import kind_of
from torchest.utils import arrays

if TYPE_CHECKING:
    from torchest.heads.base import RawFeatures

WeightColumn: TypeAlias = str | FeatureColumn | None


def weights_of(
    features: RawFeatures, weight_column: WeightColumn, logits: Tensor, losses_per_example: int
) -> Tensor | None:
    """Returns the weights of the examples, [batch, ..., 1] or [batch, ..., losses_per_example]."""
    if weight_column is None:
        return None
    name, weights, on_host = _read(features, weight_column)
    leading = logits.shape[:-1]
    if weights.shape == leading:
        weights = weights.unsqueeze(-1)
    if weights.shape[:-1] != leading or weights.shape[-1] not in (1, losses_per_example):
        raise ValueError(
            f"weight_column {name!r} has shape {list(weights.shape)}, but for logits of shape {list(logits.shape)} its "
            f"shape must be {[*leading, 1]} or {list(leading)}: one weight per example."
        )
    wrong = ~((on_host >= 0) & (on_host < math.inf))
    if wrong.any():
        raise ValueError(
            f"weight_column {name!r} has the weight {on_host[wrong][0].item():g}; found {int(wrong.sum())} such in "
            f"{len(on_host)} rows. Weights must be finite numbers of at least 0."
        )
    return weights.to(logits.device, logits.dtype, non_blocking=True)


def _read(features: RawFeatures, weight_column: str | FeatureColumn) -> tuple[str, Tensor, Tensor]:
    """The name of a weight column, its values, and their copy on the host if there is one."""
    if not isinstance(features, Mapping):
        raise ValueError(
            f"weight_column={weight_column!r} needs features that are a dict; they are {kind_of(features)}. "
            "Pass the features to the head."
        )
    features = Features.of(features)
    if not isinstance(weight_column, str):
        encoded: Tensor = features.encoded(weight_column)
        return weight_column.name, encoded, encoded
    if weight_column not in features:
        raise MissingFeatureError(
            f"weight_column {weight_column!r} is not among the features.{suggest(weight_column, features)}"
        )
    _check_not_used(features, weight_column)
    value = features[weight_column]
    if not isinstance(value, Tensor):
        raise ValueError(
            f"weight_column {weight_column!r} holds strings or lists of unequal lengths: give the key of a feature "
            "with one number per example."
        )
    return weight_column, value, arrays.to_tensor(features.raw(weight_column), weight_column)


def _check_not_used(features: Features, key: str) -> None:
    """Raises if a column of the model reads the weights, which is nearly always an oversight."""
    for used in features.usage.columns:
        for column in used.members:
            if key in column.feature_keys:
                raise ValueError(
                    f"weight_column {key!r} is also read by the feature column {column.name!r}, so that the model sees "
                    f"how much each example counts. Leave that column out; or, if it is meant, say so by "
                    f"weight_column=columns.numeric_column({key!r})."
                )
