"""One batch of features and labels, on the device of a model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

from torchest.columns.features import Features
from torchest.columns.ids import Ids
from torchest.inputs.structure import Structure, map_leaves
from torchest.utils import arrays
from torchest.utils.host_copies import to_device
from torchest.utils.nested import named_leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from torchest.utils.arrays import HostArray


class Batch(NamedTuple):
    """Features and labels of the same rows.

    Attributes:
        features: `Features` where they have keys; else a tensor, a text array, `Ids`, or a tuple of these.
        labels: None, or the same kinds in dicts and tuples.
    """

    features: Structure
    labels: Structure

    @property
    def rows(self) -> int:
        """The number of rows; 1 if neither features nor labels determine it."""
        for part in self:
            if isinstance(part, Features) and part:
                return part.batch_size
            for _, leaf in named_leaves(part):
                if leaf is not None:
                    return leaf.batch_size if isinstance(leaf, Ids) else arrays.length(leaf)
        return 1

    def to(self, device: torch.device) -> Batch:
        """Moves the batch to a device: numbers become tensors there, text and ragged lists stay on the host.

        Raises:
            ValueError: A comparison of features with `==` was given as labels.
        """
        features, labels = self
        if type(features) is dict:  # as most are
            placed: Structure = Features(features, device=device)
        elif isinstance(features, Features):
            placed = features.to(device)
        elif isinstance(features, Mapping):
            placed = Features(features, device=device)
        else:
            placed = _to(device, features, "features")
        if type(labels) is list and len(labels) == 1:
            _refuse_comparison(placed, labels[0])
        return Batch(placed, None if labels is None else _to(device, labels, "labels"))

    def first_rows(self, count: int) -> Batch:
        """The first rows, at most so many, on the host, of a batch that no model has used yet."""
        features = self.features
        if isinstance(features, Features):
            features = {key: column for key in features for column in _readable(features, key)}

        def first(leaf: Ids | HostArray | None, _: str) -> Ids | HostArray | None:
            if leaf is None:
                return None
            if isinstance(leaf, Ids):
                return leaf.rows(0, min(count, leaf.batch_size)).to("cpu")
            rows = arrays.slice_rows(leaf, 0, count)
            return rows.cpu() if isinstance(rows, Tensor) else rows

        return Batch(map_leaves(first, features), map_leaves(first, self.labels))


def _to(device: torch.device, value: object, name: str) -> Structure:
    if value is None:
        return None
    is_numbers = type(value) is np.ndarray and value.ndim and value.dtype.kind in "biuf"
    if is_numbers or (type(value) is Tensor and value.ndim):  # as most labels are
        return to_device(arrays.to_tensor(value, name), device)  # type: ignore[arg-type]

    def moved(leaf: object, name: str) -> Ids | HostArray | None:
        if leaf is None:
            return None
        if isinstance(leaf, Ids):
            return leaf.to(device, non_blocking=True)
        array = arrays.to_host(leaf, name)
        if arrays.is_textual(array) or arrays.is_ragged(array):
            return array
        return to_device(arrays.to_tensor(array, name), device)

    return map_leaves(moved, value, name)


def _refuse_comparison(features: object, label: object) -> None:
    hint = arrays.comparison_hint(label)
    if hint and isinstance(features, Features) and features.batch_size > 1:
        raise ValueError(
            f"labels are [{label}] for {features.batch_size} rows: give one for each row{hint}."
        )


def _readable(features: Features, key: str) -> Iterator[HostArray]:
    """The column; empty if it cannot be read, which matters only to a model that reads it."""
    with suppress(TypeError, ValueError):
        yield features.raw(key)
