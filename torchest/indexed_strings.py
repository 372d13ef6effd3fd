"""Strings that are given by their place in a short list: class names of predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class IndexedStrings:
    """An array of byte strings, kept as numbers so that it can lie on any device.

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

    def numpy(self) -> npt.NDArray[Any]:
        """The strings, an object array of bytes."""
        strings = np.empty(len(self.vocabulary), dtype=object)
        strings[:] = self.vocabulary
        found: npt.NDArray[Any] = strings[self.indices.detach().cpu().numpy()]
        return found
