"""Detects that every process reads the whole input instead of a part, by the first batches of all."""

from __future__ import annotations

import hashlib
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler

from torchest.utils import arrays
from torchest.utils.nested import named_leaves

if TYPE_CHECKING:
    from torchest.inputs.batch import Batch

_ROWS = 100  # of a batch that tell it from others


def digest(batch: Batch) -> int:
    """A number of 63 bits for the first rows of a batch that no model has used yet; equal for equal rows."""
    total = hashlib.blake2b(digest_size=8)
    features, labels = batch.first_rows(_ROWS)
    for name, leaf in named_leaves([features, labels]):
        total.update(name.encode())
        total.update(_bytes(leaf))
    return int.from_bytes(total.digest(), "big") >> 1


def shuffles_by_itself(input_fn: object, source: object) -> bool:
    """Whether the input is a DataLoader that draws from all rows, in another order in each process.

    Args:
        input_fn: The user's function. With an argument `input_context` it can read its part.
        source: The result of the function.
    """
    is_loader = isinstance(source, DataLoader) and isinstance(source.sampler, RandomSampler)
    return is_loader and not _asks_for_context(input_fn)


def _bytes(leaf: Any) -> bytes:
    if isinstance(leaf, Tensor):
        dense: Tensor = leaf.detach().to_dense()
        return dense.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(leaf, np.ndarray):
        return repr(leaf.tolist()).encode() if leaf.dtype == object else leaf.tobytes()
    return repr(leaf.to_pylist() if arrays.is_arrow(leaf) else leaf).encode()


def _asks_for_context(input_fn: Any) -> bool:
    try:
        return "input_context" in inspect.signature(input_fn).parameters
    except ValueError:  # some built-in functions have no signature
        return False
