"""Converts a raw feature to the values that a column reads: numbers, integers or text.

`subject` starts the messages of errors: the column that reads the feature, such as "Column 'age'".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, overload

import numpy as np
import torch
from torch import Tensor

from torchest.columns.encode.cells import Cells
from torchest.columns.encode.strings import DictionaryCache, Text
from torchest.utils import arrays

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pyarrow as pa

    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.features import Features
    from torchest.utils.arrays import ArrowArray, HostArray, NumpyArray


# A one-dimensional numpy or Arrow array.
FlatArray: TypeAlias = "NumpyArray | ArrowArray"
# The same, or the text of one.
Flat: TypeAlias = "FlatArray | Text"


def numbers(features: Features, key: str, subject: str) -> Tensor:
    """The numbers of a feature, in any shape, with NaN for missing ones.

    Integers, floats and booleans (0 and 1) are numbers.

    Raises:
        TypeError: The feature holds other values.
        ValueError: It is sparse, or its rows have differing lengths.
    """
    array = features.raw(key)
    if isinstance(array, Tensor) and (array.layout != torch.strided or array.is_nested):
        raise ValueError(
            f"{subject} needs a dense tensor, not a sparse or nested one: convert it first, for example with "
            "to_dense()."
        )
    tensor = arrays.to_tensor(array, key)
    if tensor.is_complex():
        raise TypeError(
            f"{subject} needs real numbers, but its feature is complex: give its real and its imaginary part as "
            "features of their own, tensor.real and tensor.imag."
        )
    return tensor


@overload
def cells(
    features: Features, key: str, subject: str, *, numeric: Literal[True]
) -> Cells[FlatArray]: ...


@overload
def cells(features: Features, key: str, subject: str) -> Cells[Flat]: ...


def cells(
    features: Features, key: str, subject: str, *, numeric: bool = False
) -> Cells[Flat] | Cells[FlatArray]:
    """The values of a feature by row, any number in each.

    Rows may be the rows of a matrix, the lists of an Arrow array, or those of a sparse or nested
    tensor.

    Args:
        features: The batch.
        key: The key of the feature.
        subject: The start of the messages of errors.
        numeric: Whether to accept floats, and to flatten further dimensions.

    Raises:
        ValueError: The feature has more than two dimensions, or is a tensor of floats.
    """
    text = None if numeric else features.text(key)
    if text is not None:
        whole: Cells[Flat] = Cells(text)
        return whole
    array = features.raw(key)
    if numeric and isinstance(array, Tensor | np.ndarray) and _is_dense(array) and array.ndim > 2:
        array = array.flatten(1) if isinstance(array, Tensor) else array.reshape(len(array), -1)
    if isinstance(array, Tensor):
        if array.dtype.is_floating_point and not numeric:
            raise ValueError(
                f"{subject} needs integers or text, but its feature is a tensor of "
                f"{str(array.dtype).removeprefix('torch.')}: {_WAYS_OUT['text or integers']}"
            )
        return _cells_of_tensor(array, subject)
    if isinstance(array, np.ndarray):
        return _cells_of_matrix(array, subject)
    return _cells_of_arrow(array, subject)


def steps(features: Features, key: str) -> tuple[HostArray, Int64s] | None:
    """The steps of a feature with several values per step, and the starts of rows; None if it has at most one per step.

    Such a feature is an array [batch, steps, values], or lists of lists of lists.
    """
    array = features.raw(key)
    if isinstance(array, Tensor | np.ndarray):
        if array.ndim != 3 or (isinstance(array, Tensor) and array.is_nested):
            return None
        batch, each, width = array.shape
        if isinstance(array, Tensor) and not _is_dense(array):
            row, step, place = array.coalesce().indices()
            shape = (batch * each, width)
            places = torch.stack([row * each + step, place])
            flat = torch.sparse_coo_tensor(
                places, array.coalesce().values(), shape, check_invariants=True
            )
            return flat, np.arange(batch + 1) * each
        return array.reshape(batch * each, width), np.arange(batch + 1) * each
    import pyarrow.compute as pc
    import pyarrow.types as pt

    lists: ArrowArray = array
    of_row: pa.DataType | None = getattr(lists.type, "value_type", None)
    if of_row is None or not pt.is_nested(of_row):
        return None
    counts = pc.list_value_length(lists)
    offsets = np.concatenate([[0], np.cumsum(counts.fill_null(0), dtype=np.int64)])
    return lists.flatten(), offsets


def row_shape(features: Features, key: str) -> tuple[int, ...] | None:
    """The shape of the rows of a feature, padding included; None if they are lists."""
    array = features.raw(key)
    if isinstance(array, Tensor | np.ndarray):
        is_nested = isinstance(array, Tensor) and array.is_nested
        return None if is_nested else tuple(array.shape[1:])
    import pyarrow.types as pt

    shape: list[int] = []
    kind = array.type
    while pt.is_fixed_size_list(kind):
        shape.append(kind.list_size)
        kind = kind.value_type
    return None if pt.is_nested(kind) else tuple(shape)


def is_matrix(features: Features, key: str) -> bool:
    """Whether the feature is a matrix, and not lists."""
    if features.is_nested_list(key):
        return False  # also where those of this batch happen to be of one length
    array = features.raw(key)
    if isinstance(array, Tensor | np.ndarray):
        return _is_dense(array)
    import pyarrow.types as pt

    return not pt.is_nested(array.type) or pt.is_fixed_size_list(array.type)


def _is_dense(array: Tensor | NumpyArray) -> bool:
    return isinstance(array, np.ndarray) or (array.layout == torch.strided and not array.is_nested)


def integers(array: Flat, subject: str) -> Int64s:
    """Converts an array to integers, with −1 for missing ones.

    Booleans are 0 and 1. Floats that are whole numbers are integers too, since pandas and NumPy convert integers with a
    NaN among them to floats.

    Raises:
        ValueError: The array holds other values.
    """
    if isinstance(array, Text):
        raise _unsuitable(subject, array, "integers")
    flat = array if isinstance(array, np.ndarray) else _integers_of_arrow(array)
    if flat.dtype.kind in "iub":
        if flat.dtype == np.uint64 and flat.max(initial=0) > np.iinfo(np.int64).max:
            raise ValueError(
                f"{subject} got {flat.max()}, which is beyond the range of int64: give it as text."
            )
        return flat.astype(np.int64, copy=False)
    if flat.dtype.kind == "f":
        return _whole(flat, subject)
    raise _unsuitable(subject, array, "integers")


def encode_text(
    array: Flat,
    subject: str,
    encode: Callable[[Text], NumpyArray],
    cache: DictionaryCache,
) -> NumpyArray:
    """A code for each string; missing strings are empty, integers become decimal text.

    Args:
        array: Text or integers.
        subject: The start of the messages of errors.
        encode: Converts text to codes.
        cache: The cache of codes, so that each dictionary is encoded only once.

    Raises:
        ValueError: The array holds other values.
    """
    if isinstance(array, Text):
        return encode(array)
    if is_dictionary_of_text(array):
        return cache.codes(array, encode)
    if is_text(array):
        return encode(Text.of(array))
    if not is_number(array):
        raise _unsuitable(subject, array, "text or integers")
    return encode(Text.of_integers(integers(array, subject)))


def is_text(array: Flat) -> bool:
    """Whether an array holds strings or bytes, with or without a dictionary."""
    if isinstance(array, Text):
        return True
    if isinstance(array, np.ndarray):
        return array.dtype.kind in "SU"
    return is_dictionary_of_text(array) or _is_textual_type(array.type)


def examples(array: Flat) -> list[object]:
    """Distinct values among the first ones, without missing ones."""
    first = array.source if isinstance(array, Text) else array
    values = first[:1000].tolist()
    return list(dict.fromkeys(x for x in values if x not in (None, "", b"", -1) and x == x))  # noqa: PLR0124 - NaN


def is_dictionary_of_text(array: FlatArray) -> bool:
    """Whether an array is an Arrow dictionary array of strings or bytes."""
    if isinstance(array, np.ndarray):
        return False
    import pyarrow as pa

    return pa.types.is_dictionary(array.type) and _is_textual_type(array.type.value_type)


def _is_textual_type(type: pa.DataType) -> bool:
    import pyarrow as pa

    tests = ("string", "large_string", "binary", "large_binary", "fixed_size_binary")
    views = ("string_view", "binary_view")  # not in every release
    return any(getattr(pa.types, f"is_{name}")(type) for name in tests) or any(
        hasattr(pa.types, f"is_{name}") and getattr(pa.types, f"is_{name}")(type) for name in views
    )


def is_number(array: Flat) -> bool:
    """Whether an array holds integers or floats, or only missing values."""
    if isinstance(array, Text):
        return False
    if isinstance(array, np.ndarray):
        return array.dtype.kind in "iuf"
    import pyarrow.types as pt

    kind = array.type.value_type if pt.is_dictionary(array.type) else array.type
    return pt.is_integer(kind) or pt.is_floating(kind) or pt.is_null(kind)


def _cells_of_tensor(tensor: Tensor, subject: str) -> Cells[FlatArray]:
    tensor = tensor.detach().cpu()
    if tensor.layout == torch.strided and not tensor.is_nested:
        return _cells_of_matrix(tensor.numpy(), subject)
    if tensor.ndim != 2:
        raise _wrong_rank(subject, tensor.ndim)
    if tensor.is_nested:
        rows = tensor.unbind()
        values = torch.cat(rows) if rows else torch.empty(0, dtype=tensor.dtype)
        return _ragged(values.numpy(), [len(row) for row in rows])
    if tensor.layout == torch.sparse_coo:
        tensor = tensor.coalesce()
        counts = np.bincount(tensor.indices()[0].numpy(), minlength=len(tensor))
        return _ragged(tensor.values().numpy(), counts)
    tensor = tensor.to_sparse_csr()
    return Cells(tensor.values().numpy(), tensor.crow_indices().numpy())


def _cells_of_matrix(array: NumpyArray, subject: str) -> Cells[FlatArray]:
    if array.ndim == 0 or array.ndim > 2:
        raise _wrong_rank(subject, array.ndim)
    if array.ndim == 1 or array.shape[1] == 1:
        return Cells(array.reshape(-1))
    rows, width = array.shape
    return Cells(array.reshape(-1), np.arange(rows + 1, dtype=np.int64) * width)


def _cells_of_arrow(array: ArrowArray, subject: str) -> Cells[FlatArray]:
    import pyarrow as pa
    import pyarrow.compute

    if not pa.types.is_nested(array.type) or pa.types.is_dictionary(array.type):
        return Cells(array)
    if not hasattr(array, "flatten"):
        raise _unsuitable(subject, array, "text or integers")
    counts = pa.compute.list_value_length(array).fill_null(0)
    flat = array.flatten()  # leaves out what lies under a missing list
    if pa.types.is_nested(flat.type):
        raise _wrong_rank(subject, 3)
    return _ragged(flat, counts.to_numpy(zero_copy_only=False))


def _ragged(values: FlatArray, counts: npt.ArrayLike) -> Cells[FlatArray]:
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return Cells(values, offsets.astype(np.int64))


def _integers_of_arrow(array: ArrowArray) -> NumpyArray:
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_null(array.type):
        return np.full(len(array), -1, np.int64)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    if pa.types.is_integer(array.type) and array.null_count:
        array = array.cast(pa.int64()).fill_null(-1)
    return np.asarray(array.to_numpy(zero_copy_only=False))


def _whole(floats: npt.NDArray[np.floating], subject: str) -> Int64s:
    """Integers of floats, −1 of NaN."""
    filled = np.where(np.isnan(floats), -1, floats)
    exact = 2.0 ** (np.finfo(floats.dtype).nmant + 1)  # beyond it, integers are rounded
    wrong = (filled != np.floor(filled)) | (np.abs(filled) > exact)
    if wrong.any():
        raise ValueError(
            f"{subject} got the float {filled[wrong][0]}: ids and keys are integers or "
            "text. Use numeric_column, or bucketized_column over it, for a quantity."
        )
    return filled.astype(np.int64)


def _wrong_rank(subject: str, rank: int) -> ValueError:
    return ValueError(
        f"{subject} got a feature of {rank} dimensions: give one value for each row "
        "[batch], or several [batch, n]."
    )


_WAYS_OUT = {
    "integers": "convert it to integers first, or use a column of strings.",
    "text or integers": "convert it to text or integers first, or use numeric_column for a quantity.",
}


def _unsuitable(subject: str, array: Flat, expected: str) -> ValueError:
    array = array.source if isinstance(array, Text) else array
    way_out = arrays.numbers_of(array)
    if way_out:
        return ValueError(
            f"{subject} needs {expected}, but its feature holds {arrays.content(array)}{arrays.example(array)}: "
            f"{way_out}."
        )
    kind = array.dtype.name if isinstance(array, np.ndarray) else str(array.type)
    return ValueError(
        f"{subject} needs {expected}, but its feature holds values of type {kind}"
        f"{arrays.example(array)}: {_WAYS_OUT[expected]}"
    )
