"""Text in predictions and export outputs: its accepted forms, and its conversion for `predict`.

>>> import numpy as np
>>> text_to_numpy(np.array(["a", None, b"c"], dtype=object))
array([b'a', b'', b'c'], dtype=object)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from torchest.utils import arrays
from torchest.utils.arrow_types import is_list
from torchest.utils.indexed_strings import IndexedStrings

if TYPE_CHECKING:
    from torchest.utils.arrays import ArrowArray, NumpyArray


@dataclass(frozen=True, eq=False)
class FeatureText:
    """Stands for a text feature while a model is traced, when only its key is known.

    Attributes:
        key: The key of the feature.
    """

    key: str


def is_text(value: object) -> bool:
    """Whether a prediction is text: an Arrow or NumPy array of strings, or a placeholder for one."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "OSTU"
    return isinstance(value, IndexedStrings | FeatureText) or (
        arrays.is_arrow(value) and arrays.is_textual(value)
    )


def text_to_numpy(value: object) -> NumpyArray:
    """Text as an object array of bytes, as in TensorFlow.

    Args:
        value: A value for which `is_text` is true, on the host. Objects that are not text stay unchanged.

    Returns:
        Missing strings become empty. Rows that are lists become a matrix, padded with empty strings.
    """
    if isinstance(value, IndexedStrings):
        return value.numpy()
    if not isinstance(value, np.ndarray):
        return _of_arrow(value)
    shape: tuple[int, ...] = value.shape
    try:
        flat = arrays.to_host(value.reshape(-1))
    except arrays.NotUnderstoodError:
        return value
    if not arrays.is_textual(flat):
        return value
    text: NumpyArray = flat.astype(object) if isinstance(flat, np.ndarray) else _of_arrow(flat)
    return text.reshape(shape)


def _of_arrow(array: ArrowArray) -> NumpyArray:
    import pyarrow as pa

    if is_list(array.type):
        return _of_lists(array)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    as_bytes: NumpyArray = array.cast(pa.large_binary()).fill_null(b"").to_numpy(False)
    return as_bytes


def _of_lists(array: ArrowArray) -> NumpyArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    flat = _of_arrow(array.flatten())  # without the values of missing lists
    lengths = np.asarray(pc.list_value_length(array).fill_null(0))
    is_matrix = pa.types.is_fixed_size_list(array.type)
    width = array.type.list_size if is_matrix else int(lengths.max(initial=0))
    if len(flat) == len(array) * width:
        return flat.reshape(len(array), width, *flat.shape[1:])
    filled = np.full((len(array), width, *flat.shape[1:]), b"", object)
    filled[np.arange(width) < lengths[:, None]] = flat
    return filled
