"""Detects that every process reads the whole input instead of a part."""

from __future__ import annotations

import inspect
from typing import Any

from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data.distributed import DistributedSampler

from torchest.inputs.dataset import Dataset
from torchest.inputs.source import is_one_batch
from torchest.inputs.stages import Shard, all_stages


def seems_whole(input_fn: object, source: object) -> bool:
    """Whether the input of a process seems to be the whole data instead of a part.

    Args:
        input_fn: The user's function. With an argument `input_context` it can read its part.
        source: The result of the function.
    """
    if _asks_for_context(input_fn):
        return False
    if isinstance(source, Dataset):
        return not any(isinstance(stage, Shard) for stage in all_stages(source._stage))
    if isinstance(source, DataLoader):
        is_iterable = isinstance(source.dataset, IterableDataset)
        return not is_iterable and not isinstance(source.sampler, DistributedSampler)
    return is_one_batch(source)


def _asks_for_context(input_fn: Any) -> bool:
    try:
        return "input_context" in inspect.signature(input_fn).parameters
    except ValueError:  # some built-in functions have no signature
        return False
