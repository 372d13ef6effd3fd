"""Byte strings in a buffer, as an Arrow array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from torchest.utils.arrays import ArrowArray


def strings_at(data: npt.NDArray[np.uint8], places: npt.NDArray[np.int64]) -> ArrowArray:
    """Copies the strings at given positions in a buffer.

    Args:
        data: The buffer, uint8.
        places: Where each string starts and stops, ascending, [n, 2].

    Returns:
        An Arrow array of type large_binary [n].

    >>> strings_at(np.frombuffer(b"one, two", np.uint8), np.array([[0, 3], [5, 8]])).to_pylist()
    [b'one', b'two']
    """
    import pyarrow as pa

    if not len(places):
        return pa.array([], pa.large_binary())
    buffers: ArrowArray = [None, pa.py_buffer(places.tobytes()), pa.py_buffer(data.data)]
    count = 2 * len(places) - 1  # with the gaps between the strings
    with_gaps: ArrowArray = pa.Array.from_buffers(pa.large_binary(), count, buffers)
    return with_gaps.take(pa.array(np.arange(0, count, 2)))
