"""Lists of any length in matrices of few widths, for devices that compile every shape anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.columns.ids import Ids
from torchest.columns.steps import PaddedSteps, Steps

if TYPE_CHECKING:
    from torch import Tensor

    from torchest.columns.base import Encoding

_NARROWEST = 8


def in_few_shapes(encoding: Encoding) -> Encoding:
    """An encoding whose shapes depend on nothing but the number of rows, and on the longest row by powers of two."""
    if isinstance(encoding, Ids) and encoding.offsets is not None:
        return encoding.padded(_width(encoding.offsets.diff()))
    if isinstance(encoding, Steps):
        lengths = encoding.lengths
        return PaddedSteps(encoding.padded(0.0, _width(lengths)), lengths)
    return encoding


def _width(lengths: Tensor) -> int:
    """The least power of two that is enough, and at least 8."""
    longest = max(_NARROWEST, int(lengths.max()) if len(lengths) else 0)
    return 1 << (longest - 1).bit_length()
