"""Lists of any length in matrices of few widths, for devices that compile every shape anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.columns.ids import Ids, room
from torchest.columns.steps import PaddedSteps, Steps

if TYPE_CHECKING:
    from torch import Tensor

    from torchest.columns.ids import Time
    from torchest.utils.tensor_group import Encoding

_NARROWEST = 8


def with_bucketed_width(encoding: Encoding) -> Encoding:
    """An encoding whose shapes depend on nothing but the number of rows, and on the longest list by powers of two."""
    if isinstance(encoding, Ids) and encoding.offsets is not None:
        return encoding.padded(_width(encoding.offsets.diff(), encoding.time))
    if isinstance(encoding, Steps):
        lengths = encoding.lengths
        return PaddedSteps(encoding.padded(0.0, _width(lengths, encoding.time)), lengths)
    return encoding


def _width(lengths: Tensor, time: Time | None) -> int:
    """That of sequences given as a matrix; else the least power of two that is enough, and at least 8."""
    if time is not None and time.is_fixed:
        return time.steps
    longest = max(_NARROWEST, room(lengths, time))
    return 1 << (longest - 1).bit_length()
