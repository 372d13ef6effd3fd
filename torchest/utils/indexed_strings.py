"""Strings as indices into a short list, such as class names in predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from torchest.utils.checks import is_list, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class IndexedStrings:
    """An array of byte strings, stored as indices so that it can be on any device.

    Attributes:
        indices: int64, of any shape.
        vocabulary: The string of each index.

    >>> import torch
    >>> IndexedStrings(torch.tensor([[1], [0]]), (b"no", b"yes")).numpy()
    array([[b'yes'],
           [b'no']], dtype=object)
    """

    indices: Tensor
    vocabulary: tuple[bytes, ...]

    @property
    def shape(self) -> torch.Size:
        """The shape of the array."""
        return self.indices.shape

    def __len__(self) -> int:
        return len(self.indices)

    def numpy(self) -> npt.NDArray[np.object_]:
        """The strings, an object array of bytes."""
        strings = np.empty(len(self.vocabulary), dtype=object)
        strings[:] = self.vocabulary
        chosen: npt.NDArray[np.object_] = strings[self.indices.detach().cpu().numpy()]
        return chosen


def indexed_strings(indices: Tensor, vocabulary: Sequence[str | bytes]) -> IndexedStrings:
    """Strings from a short list, for predictions and export outputs, such as names of classes.

    Exported models can compute such text, as with `tf.gather(vocabulary, indices)` in TensorFlow.

    Args:
        indices: Integers [batch, ...], the index of each string.
        vocabulary: The strings, in the order of their indices.

    Raises:
        TypeError: The indices are not a tensor of integers, or the vocabulary is not a list of strings.

    >>> best = torch.tensor([[0.1, 0.9], [0.8, 0.2]]).argmax(1)
    >>> indexed_strings(best, ["no", "yes"]).numpy()
    array([b'yes', b'no'], dtype=object)
    """
    if not isinstance(indices, torch.Tensor) or indices.dtype not in _INTEGERS:
        raise TypeError(
            f"indexed_strings: indices={shown(indices)} must be a tensor of integers, such as scores.argmax(1)."
        )
    words = list(vocabulary) if is_list(vocabulary) else None
    if words is None or not all(isinstance(each, str | bytes) for each in words):
        raise TypeError(
            f"indexed_strings: vocabulary={shown(vocabulary)} must be a list of strings, such as ['no', 'yes']."
        )
    encoded = (each.encode() if isinstance(each, str) else each for each in words)
    return IndexedStrings(indices.long(), tuple(encoded))


_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
