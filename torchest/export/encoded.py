"""The inputs of a model that uses some columns and features, and their tensors for a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from torchest.columns.base import FeatureColumn
from torchest.columns.model_inputs import FeatureInput, ModelInput, RowsInput, SequenceInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from torchest.columns.features import Features
    from torchest.columns.raw_features import RawFeature


def model_inputs(
    columns: Iterable[FeatureColumn], keys: Iterable[str], raw: Mapping[str, RawFeature]
) -> list[ModelInput]:
    """The inputs of a model.

    Args:
        columns: The columns that it uses.
        keys: The keys of the features that it reads directly; text has no tensors.
        raw: The dtypes and shapes of the features, by key.

    Raises:
        ValueError: The model reads a feature of lists directly, or a column cannot be exported.
    """
    taken: dict[str, int] = {}

    def unique(name: str) -> str:
        taken[name] = taken.get(name, 0) + 1
        return name if taken[name] == 1 else f"{name}:{taken[name]}"

    numbers = (key for key in sorted(keys) if not raw[key].is_text)
    inputs: list[ModelInput] = [_of_feature(unique(key), raw[key]) for key in numbers]
    exported = {column.exported_column for column in columns}
    for column in sorted(exported, key=lambda column: (column.name, type(column).__name__)):
        inputs.append(column.model_input(unique(column.name), raw))
    return inputs or [RowsInput(key, key) for key in raw]


def columns_of(inputs: Iterable[ModelInput]) -> list[FeatureColumn]:
    """The columns among the sources of inputs."""
    return [each.source for each in inputs if isinstance(each.source, FeatureColumn)]


def tensors_of(inputs: Sequence[ModelInput], features: Features) -> list[Tensor]:
    """The tensors of a batch; all sequences are padded to the longest of them."""
    taken = [each.take(features) for each in inputs]
    sequences = [
        (tensors, each.fill)
        for each, tensors in zip(inputs, taken, strict=True)
        if isinstance(each, SequenceInput)
    ]
    steps = max((tensors[0].shape[1] for tensors, _ in sequences), default=0)
    for tensors, fill in sequences:
        inner = [0, 0] * (tensors[0].ndim - 2)
        tensors[0] = F.pad(tensors[0], [*inner, 0, steps - tensors[0].shape[1]], value=fill)
    return [tensor for tensors in taken for tensor in tensors]


def _of_feature(name: str, raw: RawFeature) -> FeatureInput:
    if None in raw.shape:
        raise ValueError(
            f"model_fn reads the feature {raw.key!r} itself, whose rows are lists, which cannot be exported: give "
            "it to a column, or make it a tensor."
        )
    return FeatureInput(raw.key, name, raw.dtype, raw.shape)  # type: ignore[arg-type]
