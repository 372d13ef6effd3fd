"""The names of classes, and the conversion of labels that are names to class ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest.errors import suggest
from torchest.utils import arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pyarrow as pa

    from torchest.heads.base import Labels

    Int64s = npt.NDArray[np.int64]


class LabelVocabulary:
    """The names of the classes: distinct strings, in the order of the class ids."""

    def __init__(self, names: Sequence[str], n_classes: int) -> None:
        if not isinstance(names, (list, tuple)):
            raise ValueError(
                f"label_vocabulary={names!r} is a {type(names).__name__}: give a list or tuple of strings, in the "
                "order of the class ids."
            )
        for name in names:
            if not isinstance(name, str | bytes):
                raise ValueError(
                    f"label_vocabulary has {name!r}, a {type(name).__name__}: its items must be strings. Make names "
                    f"and labels text; or leave it out if labels are class ids from 0 to {n_classes - 1}."
                )
        self.names = tuple(name.encode() if isinstance(name, str) else name for name in names)
        if len(names) != n_classes or len(set(self.names)) != n_classes:
            raise ValueError(
                f"label_vocabulary={list(names)!r} must have n_classes={n_classes} different strings; it has "
                f"{len(set(self.names))}."
            )

    def class_ids(self, labels: Labels) -> Tensor:
        """Returns the class ids of labels with one name per row: int64, [batch] or [batch, 1] as the labels."""
        rows = self.text_rows(labels)
        return torch.from_numpy(self.index(rows.flat)).reshape(rows.shape())

    def text_rows(self, labels: Labels) -> TextRows:
        """Returns labels that are strings, or lists of strings; raises ValueError for others."""
        array = arrays.to_host(labels, "labels")
        if not arrays.is_textual(array):
            kind = str(getattr(array, "dtype", None) or getattr(array, "type", None))
            raise ValueError(
                f"labels must be strings of label_vocabulary={[shown(name) for name in self.names]!r}; they are "
                f"numbers of dtype {kind.removeprefix('torch.')}. Make them text, for example with astype(str); or "
                f"leave label_vocabulary out if labels are class ids from 0 to {len(self.names) - 1}."
            )
        return TextRows.of(array)

    def index(self, flat: pa.LargeBinaryArray) -> Int64s:
        """Returns the class ids of names; raises ValueError for other strings."""
        import pyarrow as pa
        import pyarrow.compute as pc

        indices = pc.index_in(flat, value_set=pa.array(list(self.names), type=pa.large_binary()))
        ids = np.asarray(indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
        unknown = ids < 0
        if unknown.any():
            first = flat[int(unknown.argmax())].as_py()
            example = shown(first) if first is None else repr(shown(first))
            raise ValueError(
                f"labels must be strings of label_vocabulary; found {example} in {unknown.sum()} of {len(ids)} "
                f"labels.{suggest(shown(first), map(shown, self.names))}"
            )
        return ids


@dataclass(frozen=True)
class TextRows:
    """Strings by row.

    Attributes:
        flat: All strings as bytes, row by row.
        counts: Number of strings of each row, int64 [batch]. None for an array of one dimension.
        batch: Number of rows.
    """

    flat: pa.LargeBinaryArray
    counts: Int64s | None
    batch: int

    @classmethod
    def of(cls, array: Any) -> TextRows:
        """Returns the strings of a textual array that `torchest.utils.arrays.to_host` returned."""
        import pyarrow as pa
        import pyarrow.compute as pc

        counts: Any = None
        batch = len(array)
        if isinstance(array, np.ndarray):
            if array.ndim > 1:
                counts = np.full(batch, array[0].size if batch else 0, np.int64)
            array = pa.array(array.reshape(-1).astype(object), type=pa.large_binary())
        elif hasattr(array.type, "value_field"):
            counts = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
            array = array.flatten()
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        return cls(array.cast(pa.large_binary()), counts, batch)

    def shape(self) -> tuple[int, ...]:
        """The shape of the array; raises ValueError if rows have different numbers of strings."""
        if self.counts is None:
            return (self.batch,)
        widths = np.unique(self.counts)
        if len(widths) > 1:
            raise ValueError(
                f"labels are lists of {widths[0]} to {widths[-1]} strings, but must be one string per row."
            )
        return (self.batch, int(widths[0]) if len(widths) else 1)


def shown(value: bytes | None) -> str:
    """The name of a class, for an error message."""
    return "a missing value" if value is None else value.decode(errors="replace")
