"""Pads lists to few widths, for devices that compile each shape."""

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
    """Pads an encoding to a shape that depends only on the number of rows and a power of two."""
    if isinstance(encoding, Ids) and encoding.offsets is not None:
        return encoding.padded(_width(encoding.offsets.diff(), encoding.time))
    if isinstance(encoding, Steps):
        lengths = encoding.lengths
        return PaddedSteps(encoding.padded(0.0, _width(lengths, encoding.time)), lengths)
    return encoding


def _width(lengths: Tensor, time: Time | None) -> int:
    """The width of a matrix of sequences; for lists, the least sufficient power of two, at least 8."""
    if time is not None and time.is_fixed:
        return time.steps
    longest = max(_NARROWEST, room(lengths, time))
    return 1 << (longest - 1).bit_length()
