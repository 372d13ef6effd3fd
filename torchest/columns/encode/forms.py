"""Describes the arrays of a batch to compiled loops: where they lie in memory, and what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.errors import MissingFeatureError
from torchest.utils.arrays import is_arrow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torchest.columns.features import Features
    from torchest.utils.arrays import ArrowArray, HostArray, NumpyArray

    # The codes of the entries of a dictionary array and of the empty string, for the column with a number.
    CodesOf = Callable[[int, ArrowArray], NumpyArray | None]

_KINDS_OF_ARROW = {
    "StringArray": ("a", 4),
    "BinaryArray": ("a", 4),
    "LargeStringArray": ("a", 8),
    "LargeBinaryArray": ("a", 8),
    "FloatArray": ("f", 4),
    "DoubleArray": ("f", 8),
    **{f"Int{8 * size}Array": ("i", size) for size in (1, 2, 4, 8)},
    **{f"UInt{8 * size}Array": ("u", size) for size in (1, 2, 4, 8)},
}


class Forms:
    """The forms of arrays in the order of columns' keys; see `torchest.kernels.elements`.

    Attributes:
        table: int64 [keys, FORM]; zeros for a feature that loops cannot read.
        rows: The number of rows.
        arrays: The arrays, which must exist as long as the table is used; None for a missing feature.
    """

    def __init__(self, features: Features, keys: Sequence[str], rows: int) -> None:
        from torchest.kernels.elements import FORM

        self.rows = rows
        self.arrays: list[Any] = features.given(keys)
        self.table = np.zeros((len(keys), FORM), np.int64)
        self._kept: list[object] = []

    def describe_arrays(self) -> int:
        """Describes the NumPy arrays; returns their number, −1 if one of them has another number of rows."""
        from torchest.kernels import elements

        objects = np.fromiter(self.arrays, object, len(self.arrays))
        address = objects.__array_interface__["data"][0]
        return elements.of_arrays(address, id(np.ndarray), self.rows, self.table)

    def describe_others(
        self, features: Features, keys: Sequence[str], takes_floats: Sequence[bool], codes: CodesOf
    ) -> bool:
        """Describes tensors, Arrow arrays, and what becomes one of these or a NumPy array."""
        others = [place for place, kind in enumerate(self.table[:, 0].tolist()) if not kind]
        for place in others:
            self.arrays[place] = _plain(features, keys[place], takes_floats[place])
        if np.ndarray in {type(self.arrays[place]) for place in others} and (
            self.describe_arrays() < 0
        ):
            return False
        for place in others:
            array = self.arrays[place]
            if type(array) is not np.ndarray and array is not None:
                self._describe_arrow(place, array, codes)
        return True

    def _describe_arrow(self, place: int, array: ArrowArray, codes: CodesOf) -> None:
        from torchest.kernels import elements

        name = type(array).__name__
        of_entries = codes(place, array) if name == "DictionaryArray" else None
        entries = 0
        if of_entries is not None:
            entries, array = len(array.dictionary), array.indices
            kind, size = "c", array.type.bit_width // 8
        elif name in _KINDS_OF_ARROW:
            kind, size = _KINDS_OF_ARROW[name]
        else:
            return
        buffers = array.buffers()
        self._kept.append((buffers, of_entries))
        valid = buffers[0].address if buffers[0] is not None and array.null_count else 0
        data = 0 if buffers[-1] is None else buffers[-1].address
        offset, second = array.offset * size, 0
        if kind == "a":
            second = buffers[1].address + offset
        else:
            data += offset
        if of_entries is not None:
            second = of_entries.__array_interface__["data"][0]
        form = ord(kind), size, data, size, second, valid, array.offset, entries
        assert len(form) == elements.FORM
        self.table[place] = form


def forms_of(
    features: Features,
    keys: Sequence[str],
    takes_floats: Sequence[bool],
    codes: CodesOf = lambda _, __: None,
) -> Forms | None:
    """The forms of features.

    Args:
        features: The batch.
        keys: The keys of the features.
        takes_floats: Whether the column of each key takes tensors of floats.
        codes: Encodes the dictionary of an array, given its place; None if it cannot.

    Returns:
        None if there are no rows, or if the arrays differ in their number of rows.
    """
    rows = features.rows_of(keys[0]) if keys else 0
    if not rows:
        return None
    forms = Forms(features, keys, rows)
    found = forms.describe_arrays()
    if found < 0:
        return None
    if found < len(keys) and not forms.describe_others(features, keys, takes_floats, codes):
        return None
    features.note_read(keys)
    return forms


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
