"""A batch without rows, for a process whose data has ended before that of others."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from torchest.columns.features import Features
from torchest.columns.ids import Ids
from torchest.utils import arrays

if TYPE_CHECKING:
    import torch

Batch = tuple[Any, Any]


@dataclass(frozen=True)
class EmptyBatch:
    """What a batch is made of, without its rows.

    Attributes:
        features: On the host; a dict if they have keys.
        labels: On the host.
    """

    features: Any
    labels: Any

    @classmethod
    def of(cls, batch: Batch) -> EmptyBatch:
        """The first 0 rows of a batch that no model has seen yet."""
        features, labels = batch
        if isinstance(features, Features):
            features = {key: column for key in features for column in _column(features, key)}
        return cls(_without_rows(features), _without_rows(labels))

    def on(self, device: torch.device) -> Batch:
        """A batch for a model."""
        if isinstance(self.features, Mapping):
            return Features(self.features, device), _moved(self.labels, device)
        return _moved(self.features, device), _moved(self.labels, device)


def rows_in(batch: Batch) -> int:
    """The number of rows of a batch."""
    features, labels = batch
    if isinstance(features, Features):
        return features.batch_size if features else _rows(labels)
    return _rows(features)


def _column(features: Features, key: str) -> list[Any]:
    """A column in a list; none if it cannot be read, which matters only to a model that asks for it."""
    with suppress(TypeError, ValueError):
        return [features.raw(key)]
    return []


def _rows(value: Any) -> int:
    while isinstance(value, (Mapping, tuple)) and value:
        value = next(iter(value.values() if isinstance(value, Mapping) else value))
    if isinstance(value, Ids):
        return value.batch_size
    return 1 if value is None else arrays.length(value)


def _without_rows(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_rows(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_without_rows(inner) for inner in value)
    if isinstance(value, Ids):
        return value.rows(0, 0).to("cpu")
    if isinstance(value, Tensor):
        return value[:0].cpu()
    return None if value is None else arrays.slice_rows(value, 0, 0)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Mapping):
        return {key: _moved(inner, device) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_moved(inner, device) for inner in value)
    return value.to(device) if isinstance(value, (Tensor, Ids)) else value
