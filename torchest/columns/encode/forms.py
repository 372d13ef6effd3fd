"""Describes the arrays of a batch to compiled loops: where they lie in memory, and what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.errors import MissingFeatureError
from torchest.utils.arrays import is_arrow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.features import Features
    from torchest.utils.arrays import ArrowArray, HostArray, NumpyArray

    # The codes of the entries of a dictionary array and of the empty string, for the column with a number.
    CodesOf = Callable[[int, ArrowArray], NumpyArray | None]

_SIGNED, _UNSIGNED, _FLOAT, _TEXT, _CODES = map(
    ord, "iufac"
)  # as in kernels.elements, which loads Numba
# The kinds of Arrow's arrays, and the bytes of an element or an offset.
_KINDS_OF_ARROW = {
    "StringArray": (_TEXT, 4),
    "BinaryArray": (_TEXT, 4),
    "LargeStringArray": (_TEXT, 8),
    "LargeBinaryArray": (_TEXT, 8),
    "FloatArray": (_FLOAT, 4),
    "DoubleArray": (_FLOAT, 8),
    **{f"Int{8 * size}Array": (_SIGNED, size) for size in (1, 2, 4, 8)},
    **{f"UInt{8 * size}Array": (_UNSIGNED, size) for size in (1, 2, 4, 8)},
}


class Forms:
    """The forms of a batch's arrays, in the order of keys; see `torchest.kernels.elements`.

    Attributes:
        table: int64 [keys, FORM]; zeros for a feature that loops cannot read.
        rows: The number of rows.
        arrays: The arrays, which must exist as long as the table is used; None for a missing feature.
        kept: What else must.
    """

    def __init__(self, table: Int64s, rows: int, arrays: list[Any]) -> None:
        self.table = table
        self.rows = rows
        self.arrays = arrays
        self.kept: list[object] = []


class FormsOf:
    """Describes the arrays of some features.

    Args:
        keys: The keys of the features.
        takes_floats: Whether the column of each key takes tensors of floats.
        codes: Encodes the dictionary of an array, given the place of its key; None if it cannot. Defaults to that.
    """

    def __init__(
        self, keys: Sequence[str], takes_floats: Sequence[bool], codes: CodesOf | None = None
    ) -> None:
        from torchest.kernels import arrays, elements

        self._keys = keys
        self._shape = len(keys), elements.FORM
        self._of_arrays = arrays.of_arrays
        self._takes_floats = takes_floats
        self._codes = codes

    def __call__(self, features: Features) -> Forms | None:
        """The forms of a batch; None if there are no rows, or the arrays differ in their number of rows."""
        rows, arrays = features.sources(self._keys) if self._keys else (0, [])
        if not rows:
            return None
        forms = Forms(np.zeros(self._shape, np.int64), rows, arrays)
        described = 0
        if np.ndarray in map(type, arrays):
            described = self._of_arrays(arrays, rows, forms.table)
        if described < 0:
            return None
        if described < self._shape[0]:
            for place, kind in enumerate(forms.table[:, 0].tolist()):
                if not kind and not self._describe(forms, place, features):
                    return None
        return forms

    def _describe(self, forms: Forms, place: int, features: Features) -> bool:
        """Describes a tensor, an Arrow array or what becomes one; returns whether it has as many rows as others."""
        array = forms.arrays[place]
        kind = type(array)
        if kind.__name__ not in _KINDS_OF_ARROW or kind.__module__ != "pyarrow.lib":
            array = _plain(features, self._keys[place], self._takes_floats[place])
            forms.arrays[place] = array
            if array is None:
                return True
            if type(array) is np.ndarray:
                return self._of_arrays([array], forms.rows, forms.table[place : place + 1]) >= 0
        if len(array) != forms.rows:
            return False
        codes = None
        if type(array).__name__ == "DictionaryArray" and self._codes is not None:
            codes = self._codes(place, array)
        if codes is not None:
            forms.table[place] = _form_of_codes(array, codes, forms.kept)
        elif type(array).__name__ in _KINDS_OF_ARROW:
            forms.table[place] = _form_of_arrow(array, forms.kept)
        return True


def _form_of_arrow(array: ArrowArray, kept: list[object]) -> tuple[int, ...]:
    kind, size = _KINDS_OF_ARROW[type(array).__name__]
    valid, *offsets, data = array.buffers()
    kept.append((valid, offsets, data))
    first, at = array.offset, 0 if data is None else data.address
    bits = valid.address if valid is not None and array.null_count else 0
    if offsets:
        return kind, size, at, size, offsets[0].address + first * size, bits, first, 0
    return kind, size, at + first * size, size, 0, bits, first, 0


def _form_of_codes(array: ArrowArray, codes: NumpyArray, kept: list[object]) -> tuple[int, ...]:
    """The form of a dictionary array, whose entries have codes."""
    kept.append(codes)
    _, *places, bits, first, _ = _form_of_arrow(array.indices, kept)
    places[3] = codes.__array_interface__["data"][0]
    return _CODES, *places, bits, first, len(array.dictionary)


def _plain(features: Features, key: str, takes_floats: bool) -> HostArray | None:
    """A feature as a NumPy or Arrow array; None for one that its column has to read, or refuse."""
    try:
        array = features.raw(key)
        if features.is_nested_list(key):
            return None  # a cross takes such keys before others
        if isinstance(array, torch.Tensor):
            is_plain = type(array) is torch.Tensor and (
                takes_floats or not array.is_floating_point()
            )
            return array.numpy() if is_plain else None
    except (MissingFeatureError, TypeError, ValueError, RuntimeError):
        return None
    return array if isinstance(array, np.ndarray) or is_arrow(array) else None
