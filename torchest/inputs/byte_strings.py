"""Byte strings that lie in a buffer, as an Arrow array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def strings_at(data: npt.NDArray[np.uint8], places: npt.NDArray[np.int64]) -> Any:
    """The strings that begin and end at places, copied out of a buffer.

    Args:
        data: The buffer, uint8.
        places: Where each string begins and ends, [n, 2]; none begins before the last one ended.

    Returns:
        An Arrow array of type large_binary [n].

    >>> strings_at(np.frombuffer(b"one, two", np.uint8), np.array([[0, 3], [5, 8]])).to_pylist()
    [b'one', b'two']
    """
    import pyarrow as pa

    if not len(places):
        return pa.array([], pa.large_binary())
    buffers: Any = [None, pa.py_buffer(places.tobytes()), pa.py_buffer(data.data)]
    # Every second string is one of them; the others are what lies in between.
    count = 2 * len(places) - 1
    with_gaps: Any = pa.Array.from_buffers(pa.large_binary(), count, buffers)
    return with_gaps.take(pa.array(np.arange(0, count, 2)))
