"""Columns of rows on the host, in one normal form.

Users give features as tensors, numpy arrays, lists, pandas Series or Arrow arrays. `to_host` brings
each of them into one of three forms, which the rest of the library takes:

- `torch.Tensor`, as it came;
- `numpy.ndarray` of numbers, bools, byte strings ("S") or datetimes;
- `pyarrow.Array` for text, bytes, lists of differing length, dictionaries (pandas categories) and
  numbers with missing values. Missing (None, NaN in an object column, pd.NA, NaT) is null there.

Decimals become floats (int64 if an Arrow type has no decimal places), and sparse pandas columns become dense.

The first dimension counts the rows.

>>> to_host([1, 2, 3])
array([1, 2, 3])
>>> to_host(["a", None]).to_pylist()
['a', None]
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import torch

from torchest.utils import arrow_types
from torchest.utils.checks import is_bool

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ArrowArray: TypeAlias = Any  # a pyarrow.Array, whose stubs lack the methods of each kind of array
NumpyArray: TypeAlias = np.ndarray[Any, Any]  # of any shape and dtype
MaskedArray: TypeAlias = "np.ma.MaskedArray[Any, Any]"
HostArray: TypeAlias = "NumpyArray | torch.Tensor | pa.Array[Any]"


class NotUnderstoodError(TypeError, ValueError):
    """A column has rows, but their values are neither numbers nor text, bytes, dates or lists of these.

    Attributes:
        column: The column, as a numpy or Arrow array from which rows can be taken.
    """

    def __init__(self, message: str, column: HostArray) -> None:
        super().__init__(message)
        self.column = column


_NOT_IN_NUMPY = frozenset({torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2})
_WAY_OUT = (
    "give a tensor, a numpy array, a list, a pandas Series or an Arrow array with one entry per row"
)
_TEXT = frozenset({"StringArray", "LargeStringArray", "BinaryArray", "LargeBinaryArray"})
NUMPY_KINDS = frozenset(
    "biufSMm"
)  # what a numpy array may hold and stay; "U" and "O" become Arrow arrays


def to_host(value: object, name: str = "value") -> HostArray:
    """The value in its normal form.

    Args:
        value: A column: tensor, numpy array, list, pandas Series, Index or array, Arrow array. Any number of rows,
            including 0. A tuple of two arrays, values and offsets, has the values `values[offsets[i]:offsets[i + 1]]`
            in row i.
        name: Its name in errors, e.g. the feature's name.

    Returns:
        A tensor, numpy array or Arrow array. Floats of a Python list become float32 and ints int64;
        everything else keeps its dtype. Data is copied only if necessary.

    Raises:
        TypeError: The value is not a column, or holds something other than numbers, text, bytes, dates or lists of
            these.
        ValueError: The value has no rows dimension (rank 0).
    """
    if type(value) is np.ndarray and value.ndim and value.dtype.kind in NUMPY_KINDS:
        return value  # as most are
    if type(value).__name__ in _TEXT and type(value).__module__ == "pyarrow.lib":
        return value  # type: ignore[return-value]
    if type(value) is torch.Tensor and value.ndim:
        return value
    return _normal_form(value, name)


def to_column(value: object, name: str = "value") -> HostArray:
    """Like `to_host`, but returns a column of unsupported values unchanged, as an error only when it is read.

    Args:
        value: A column.
        name: Its name in errors.

    Returns:
        As for `to_host`, or a NumPy array of objects or another dtype, or an Arrow array of another type, which has
        rows but `to_host` refuses.

    Raises:
        TypeError: The value is not a column.
        ValueError: The value has no rows dimension (rank 0).
    """
    try:
        return to_host(value, name)
    except NotUnderstoodError as error:
        return error.column


def is_arrow(value: object) -> TypeGuard[ArrowArray]:
    """Whether the value is an Arrow array; does not import pyarrow."""
    if not type(value).__module__.startswith("pyarrow"):
        return False
    import pyarrow as pa

    return isinstance(value, pa.Array)


def is_understood(array: HostArray) -> bool:
    """Whether `to_host` may return the array; `to_column` returns others, too."""
    if isinstance(array, torch.Tensor):
        return True
    if isinstance(array, np.ndarray):
        return array.dtype.kind in NUMPY_KINDS
    return arrow_types.is_understood(array.type)


def is_textual(array: HostArray) -> bool:
    """Whether the array holds strings or bytes, including those in dictionaries or lists."""
    if isinstance(array, torch.Tensor):
        return False
    if isinstance(array, np.ndarray):
        return array.dtype.kind in "SU"
    import pyarrow.types as pt

    kind = array.type
    while pt.is_dictionary(kind) or arrow_types.is_list(kind):
        kind = kind.value_type
    return arrow_types.is_text(kind)


def is_ragged(array: HostArray) -> bool:
    """Whether the rows of the array are lists that may differ in length."""
    if not is_arrow(array):
        return False
    import pyarrow.types as pt

    kind = array.type
    return arrow_types.is_list(kind) and not pt.is_fixed_size_list(kind)


def length(array: HostArray) -> int:
    """The number of rows."""
    # len() of a nested tensor fails
    return array.size(0) if isinstance(array, torch.Tensor) else len(array)


def check_lengths(columns: Mapping[str, HostArray]) -> int:
    """The number of rows that all columns share.

    Raises:
        ValueError: Two columns differ; the message names both with their lengths.
    """
    if not columns:
        raise ValueError("There are no features; give at least one column.")
    lengths = {name: length(column) for name, column in columns.items()}
    first, rows = next(iter(lengths.items()))
    for name, other in lengths.items():
        if other != rows:
            raise ValueError(
                f"{first!r} has {rows} rows and {name!r} has {other}; all must have the same number of rows."
            )
    return rows


def take(array: HostArray, indices: NumpyArray) -> HostArray:
    """The rows at the indices (int64, each in 0…rows − 1), copied."""
    if isinstance(array, np.ndarray):
        return array.take(indices, axis=0)
    if isinstance(array, torch.Tensor):
        return array[torch.from_numpy(indices)]
    import pyarrow as pa

    # unlike pa.array, this does not import pandas
    rows: Any = np.ascontiguousarray(indices, np.int64)
    buffers = [None, pa.py_buffer(rows)]
    return array.take(pa.Array.from_buffers(pa.int64(), len(rows), buffers))


def slice_rows(array: HostArray, start: int, stop: int) -> HostArray:
    """The rows start…stop − 1, as a view; those of a sparse tensor, which has no views, are copied."""
    if isinstance(array, torch.Tensor) and array.layout == torch.sparse_coo:
        return array.index_select(0, torch.arange(len(array), device=array.device)[start:stop])
    if isinstance(array, (np.ndarray, torch.Tensor)):
        return array[start:stop]
    return array.slice(start, max(stop - start, 0))


def concatenate(parts: Sequence[HostArray]) -> HostArray:
    """The rows of all parts, one part after the other.

    Parts of a column differ in form if only some blocks of a file had missing values: numbers widen, and a part without
    values takes the type of the others.

    Raises:
        ValueError: There are no parts, or their types cannot be joined.
    """
    if not parts:
        raise ValueError("There is nothing to concatenate.")
    if len(parts) == 1:
        return parts[0]
    if _stackable(parts):
        return np.concatenate(parts)
    if any(isinstance(part, np.ndarray) and part.dtype.kind not in NUMPY_KINDS for part in parts):
        return np.concatenate([np.asarray(part, dtype=object) for part in parts])
    if all(isinstance(part, torch.Tensor) for part in parts):
        return torch.cat(parts)  # type: ignore[arg-type]
    if any(isinstance(part, torch.Tensor) for part in parts):
        return torch.cat([to_tensor(part) for part in parts])
    return _concatenate_arrow(parts)


def to_tensor(array: HostArray, name: str = "value") -> torch.Tensor:
    """The numbers as a tensor of the same dtype; shares memory that is writable.

    Missing floats become NaN; ints with missing values become float64 with NaN, bools float32. Lists
    of one length become one more dimension.

    Raises:
        TypeError: The array holds text, bytes or dates.
        ValueError: The array holds lists of differing length.
    """
    if isinstance(array, torch.Tensor):
        return array
    if not isinstance(array, np.ndarray):
        array = _arrow_numbers(array, name)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name!r} holds {content(array)}{example(array)}, but must hold numbers; "
            f"{_NUMBERS_OF.get(array.dtype.kind, _NUMBERS_OF['S'])}."
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.writeable or min(array.strides, default=0) < 0:
        array = array.copy()
    return torch.from_numpy(array)


def in_numpy(array: ArrowArray) -> NumpyArray:
    """Arrow numbers, none of which is missing, as a read-only view.

    Arrow's own conversions import pandas, which takes longer than a small training.
    """
    kind = array.type
    if kind.bit_width < 8:
        return np.asarray(array.to_numpy(zero_copy_only=False))
    if not len(array):
        return np.empty(0, kind.to_pandas_dtype())
    values = np.frombuffer(array.buffers()[1], kind.to_pandas_dtype())
    values.flags.writeable = False
    return values[array.offset : array.offset + len(array)]


def in_numpy_dtype(tensor: torch.Tensor) -> torch.Tensor:
    """Converts floats that NumPy lacks, such as bfloat16, to float32."""
    return tensor.float() if tensor.dtype in _NOT_IN_NUMPY else tensor


def numbers_of(array: HostArray) -> str:
    """Advice for an error on how to convert dates or time differences to numbers or text; empty for other values."""
    kind = array.dtype.kind if isinstance(array, np.ndarray) else ""
    return _NUMBERS_OF[kind] if kind in ("M", "m") else ""


def content(array: NumpyArray) -> str:
    """Describes the values of an array for an error."""
    return {"S": "byte strings", "M": "dates", "m": "time differences"}.get(
        array.dtype.kind, f"values of dtype {array.dtype}"
    )


def example(array: HostArray) -> str:
    """Quotes the first value that is not missing, for an error; empty if there is none.

    >>> example(np.array([b"a", b"b"]))
    " such as b'a'"
    """
    first = array[:100]
    if isinstance(first, np.ndarray) and first.dtype.kind in "mM":
        first = first.astype(str)
    quoted = next((value for value in first.tolist() if value is not None), None)
    return "" if quoted is None else f" such as {quoted!r}"


def comparison_hint(value: object) -> str:
    """The end of an error about a single bool instead of one for each row; empty for other values."""
    if not is_bool(value):
        return ""
    return (
        " (a comparison of an Arrow array with == or != gives one bool for all rows; "
        "pyarrow.compute.equal(column, value) gives one for each row)"
    )


def _normal_form(value: object, name: str) -> HostArray:
    if isinstance(value, torch.Tensor):
        _check_rank(value, name)
        return value
    if isinstance(value, np.ndarray):
        _check_rank(value, name)
        if isinstance(value, np.ma.MaskedArray):
            return _from_masked(value, name)
        return _from_numpy(value, name)
    if _is_pair(value):
        return _from_pair(value[0], value[1], name)
    if isinstance(value, (list, tuple, range)):
        return _from_list(value, name)
    library = type(value).__module__.partition(".")[0]
    if library == "pandas":
        return _from_pandas(value, name)
    if library == "pyarrow":
        return _from_arrow(value, name)
    if np.isscalar(value) or isinstance(value, (str, bytes)):
        raise ValueError(_rank_0(name, value))
    if hasattr(value, "__array__") and not isinstance(value, Mapping):
        return to_host(np.asarray(value), name)
    raise TypeError(f"{name!r} is a {type(value).__name__}, which is not understood; {_WAY_OUT}.")


def _check_rank(value: torch.Tensor | NumpyArray, name: str) -> None:
    if value.ndim == 0:
        raise ValueError(_rank_0(name, value))


def _rank_0(name: str, value: object) -> str:
    shown = value.item() if isinstance(value, (torch.Tensor, np.ndarray, np.generic)) else value
    return (
        f"{name!r} is the single value {shown!r} (rank 0), but one value per row is needed; "
        f"for a batch of one row give [{shown!r}]{comparison_hint(shown)}."
    )


# What makes numbers of each kind of numpy array that holds none.
_NUMBERS_OF = {
    "S": "convert it, or use it through a categorical column",
    "M": arrow_types.WAY_OUT_OF_DATES,
    "m": arrow_types.WAY_OUT_OF_DIFFERENCES,
}


def _from_numpy(array: NumpyArray, name: str) -> HostArray:
    if array.dtype.kind in NUMPY_KINDS:
        return array
    if array.dtype.kind == "T":  # StringDType
        array = array.astype(object)
    if array.dtype.kind not in "UO":
        raise NotUnderstoodError(
            f"{name!r} has the numpy dtype {array.dtype}, which is not understood; "
            f"{_PARTS_OF_NUMPY.get(array.dtype.kind, _WAY_OUT)}.",
            array,
        )
    if array.ndim == 1:
        return _objects_to_arrow(array, name)
    if array.ndim > 2:
        raise NotUnderstoodError(
            f"{name!r} is an array of strings of shape {array.shape}; at most two dimensions, "
            "[rows, values], are understood.",
            array,
        )
    cells = _objects_to_arrow(array.reshape(-1), name)
    if isinstance(cells, np.ndarray):
        return np.reshape(cells, array.shape)
    import pyarrow as pa

    # Lists of a fixed size: a matrix is not the same as rows that happen to be equally long.
    return (
        pa.FixedSizeListArray.from_arrays(cells, array.shape[1])
        if array.shape[1]
        else _lists(cells, len(array))
    )


_PARTS_OF_NUMPY = {
    "c": "give its real and its imaginary part as columns of their own, values.real and values.imag",
    "V": "give its fields as columns of their own, values['field']",
}


def _from_masked(array: MaskedArray, name: str) -> HostArray:
    """The values of a masked array, with NaN, NaT or null for masked ones."""
    mask, values = np.ma.getmaskarray(array), np.asarray(array.data)
    kind = values.dtype.kind
    if not mask.any():
        return _from_numpy(values, name)
    if kind in "SUO":
        cells = values.astype(object)
        cells[mask] = None
        return _from_numpy(cells, name)
    if kind in "fmM":
        missing = np.nan if kind == "f" else "NaT"
        return _from_numpy(np.where(mask, values.dtype.type(missing), values), name)
    if kind not in "biu" or values.ndim > 2:
        return _from_numpy(np.where(mask, np.nan, values), name)
    import pyarrow as pa

    cells = pa.array(values.reshape(-1), mask=mask.reshape(-1))
    return cells if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(cells, values.shape[1])


def _lists(cells: ArrowArray, rows: int) -> pa.Array[Any]:
    """Lists of one length from their cells; Arrow has no second dimension."""
    import pyarrow as pa

    width = len(cells) // max(rows, 1)
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width, pa.int32())
    return pa.ListArray.from_arrays(offsets, cells)


def _is_pair(value: object) -> TypeGuard[tuple[object, object]]:
    """Whether the value is a tuple of values and offsets, from 0 up to the number of values."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    values, offsets = value
    if isinstance(offsets, torch.Tensor):
        offsets = offsets.numpy(force=True)
    return (
        (isinstance(values, (np.ndarray, torch.Tensor)) or is_arrow(values))
        and isinstance(offsets, np.ndarray)
        and (offsets.ndim, offsets.dtype.kind) == (1, "i")
        and bool(len(offsets) and offsets[0] == 0 and offsets[-1] == len(values))
        and bool((np.diff(offsets) >= 0).all())
    )


def _from_pair(values: object, offsets: object, name: str) -> HostArray:
    import pyarrow as pa

    flat = _normal_form(
        values.numpy(force=True) if isinstance(values, torch.Tensor) else values, name
    )
    starts = pa.array(np.asarray(offsets, np.int64), pa.int64())
    return pa.LargeListArray.from_arrays(starts, _as_arrow(flat))


def _from_list(values: Collection[Any], name: str) -> HostArray:
    leaf: object = values
    while isinstance(leaf, (list, tuple, range)) and len(leaf):
        leaf = leaf[0]
    if isinstance(leaf, torch.Tensor) and all(isinstance(value, torch.Tensor) for value in values):
        if len({value.shape for value in values}) == 1:
            return torch.stack(list(values))
        values = [value.numpy(force=True) for value in values]
    if isinstance(leaf, (np.generic, np.ma.MaskedArray)):
        values = _with_none(values)
    try:
        array = np.array(values)
    except ValueError:  # lists of differing length
        return _objects_to_arrow(values, name)
    if array.dtype.kind in "biufMm":
        ours = array.dtype == np.float64 and not isinstance(leaf, (np.ndarray, np.generic))
        if ours and (np.abs(array) >= 2.0**63).any():  # numpy makes floats of integers so large
            _refuse_large_integers(values, name)
        return array.astype(np.float32) if ours else array
    return _objects_to_arrow(values, name)


def _refuse_large_integers(values: Collection[object], name: str) -> None:
    """Raises NotUnderstoodError if all values are integers, and one is beyond the range of int64."""
    cells = list(_cells_of(values))
    large = next((cell for cell in cells if _is_large(cell)), None)
    if large is not None and not any(isinstance(cell, float) for cell in cells):
        raise NotUnderstoodError(
            f"{name!r} holds values that do not make one column: the integer {large} is beyond the range of int64; "
            "give it as text for a categorical column, or as float(…) for a quantity.",
            _objects(values),
        )


def _is_large(cell: object) -> bool:
    return isinstance(cell, int) and not -(2**63) <= cell < 2**63


def _cells_of(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, (list, tuple, np.ndarray)):
            yield from _cells_of(value)
        else:
            yield value


def _objects(values: Collection[object]) -> NumpyArray:
    """One Python object for each row."""
    if isinstance(values, np.ndarray):
        return values
    return np.fromiter(values, dtype=object, count=len(values))


def _with_none(values: Collection[object]) -> Collection[object]:
    """The values, with None for masked ones."""
    kinds = set(map(type, values)) if isinstance(values, (list, tuple)) else set()
    if not {np.ma.MaskedArray, np.ma.core.MaskedConstant} & kinds:
        return values
    return [value.tolist() if isinstance(value, np.ma.MaskedArray) else value for value in values]


def _from_pandas(value: object, name: str) -> HostArray:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        raise TypeError(
            f"{name!r} is a pandas DataFrame, but must be one column; give {name}['column']."
        )
    if value is pd.NA or value is pd.NaT or not hasattr(value, "dtype"):
        raise ValueError(_rank_0(name, value))
    series: pd.Series[Any] = pd.Series(value)
    if isinstance(series.dtype, (np.dtype, pd.SparseDtype)):
        return _from_numpy(series.to_numpy(), name)
    return _objects_to_arrow(series, name)


def _objects_to_arrow(values: Collection[object], name: str) -> ArrowArray | NumpyArray:
    """Converts Python or pandas objects with Arrow."""
    import pyarrow as pa

    try:
        array: ArrowArray = pa.array(values, from_pandas=True)
    except (
        pa.ArrowInvalid,
        pa.ArrowTypeError,
        pa.ArrowNotImplementedError,
        OverflowError,
    ) as error:
        without_masked = _with_none(values)
        if without_masked is not values:
            return _objects_to_arrow(without_masked, name)
        _refuse_large_integers(values, name)
        raise NotUnderstoodError(
            f"{name!r} holds values that do not make one column ({str(error).splitlines()[0]}); "
            "make them all text, or all numbers, with .astype(str) or .astype(float).",
            _objects(values),
        ) from error
    if isinstance(array, pa.ChunkedArray):
        array = combined(array)
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())  # whatever the digits of these values
    return _from_arrow_array(array, name)


def _from_arrow(value: object, name: str) -> HostArray:
    import pyarrow as pa

    if isinstance(value, pa.Scalar):
        raise ValueError(_rank_0(name, value.as_py()))
    if isinstance(value, pa.ChunkedArray):
        value = combined(value)
    if not isinstance(value, pa.Array):
        kind = type(value).__name__
        raise TypeError(
            f"{name!r} is an Arrow {kind} , but must be one column; give a dict of columns, such as "
            "dict(zip(table.column_names, table.columns)) for a Table."
        )
    return _from_arrow_array(value, name)


def _from_arrow_array(value: ArrowArray, name: str) -> ArrowArray | NumpyArray:
    import pyarrow.types as pt

    kind = value.type
    if arrow_types.is_number(kind):
        return value if value.null_count else in_numpy(value)
    if pt.is_dictionary(kind) and pt.is_temporal(kind.value_type):
        return _from_arrow_array(value.dictionary_decode(), name)
    if pt.is_timestamp(kind) or pt.is_date(kind) or pt.is_duration(kind):
        return value.to_numpy(zero_copy_only=False)  # null is NaT there
    if pt.is_fixed_size_list(kind) and arrow_types.is_number(kind.value_type):
        flat = value.flatten()
        if not value.null_count and not flat.null_count:
            return flat.to_numpy(zero_copy_only=False).reshape(len(value), kind.list_size)
    if arrow_types.is_understood(kind):
        return value
    plain = arrow_types.plain_type(kind)
    if plain is not None:
        return _from_arrow_array(arrow_types.converted(value, plain), name)
    raise NotUnderstoodError(
        f"{name!r} holds values of the Arrow type {kind}, which is not understood; {arrow_types.way_out(kind)}.",
        _with_rows(value),
    )


def _with_rows(array: pa.Array[Any]) -> HostArray:
    """The array; one of Python objects if Arrow cannot take rows of its type."""
    import pyarrow as pa

    try:
        array.take(pa.array([], pa.int64()))
    except pa.ArrowNotImplementedError:
        return _objects(array.to_pylist())
    return array


def combined(chunks: ArrowArray) -> ArrowArray:
    """One Arrow array of a chunked one, whose only chunk is not copied."""
    import pyarrow as pa
    import pyarrow.types as pt

    kind = chunks.type
    if chunks.num_chunks == 1:
        return chunks.chunk(0)
    if pt.is_dictionary(kind):
        chunks = chunks.unify_dictionaries()
    elif arrow_types.is_text(kind) and chunks.nbytes > np.iinfo(np.int32).max:
        # The offsets of `string` end at 2 GiB.
        chunks = chunks.cast(pa.large_string() if pt.is_string(kind) else pa.large_binary())
    return chunks.combine_chunks()


def _concatenate_arrow(parts: Sequence[HostArray]) -> HostArray:
    import pyarrow as pa
    import pyarrow.types as pt

    arrays: list[ArrowArray] = [_as_arrow(part) for part in parts]
    shared = _shared_dictionary(arrays)
    if shared is not None:
        indices = pa.concat_arrays([array.indices for array in arrays])
        ordered = arrays[0].type.ordered
        return pa.DictionaryArray.from_arrays(indices, shared, ordered=ordered, safe=False)
    if len({array.type for array in arrays}) > 1:
        arrays = [a.dictionary_decode() if pt.is_dictionary(a.type) else a for a in arrays]
    else:
        with contextlib.suppress(
            pa.ArrowException
        ):  # such as offsets of `string` that end at 2 GiB
            return to_column(pa.concat_arrays(arrays), "column")
    try:
        joined = pa.concat_tables(
            [pa.table({"column": array}) for array in arrays], promote_options="permissive"
        )
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        kinds = " and ".join(sorted({str(array.type) for array in arrays}))
        raise NotUnderstoodError(
            f"Parts of one column hold {kinds}, which cannot be joined.",
            np.concatenate([_objects(array.to_pylist()) for array in arrays]),
        ) from error
    return to_column(joined["column"], "column")


def _stackable(parts: Sequence[Any]) -> TypeGuard[Sequence[NumpyArray]]:
    return all(
        isinstance(part, np.ndarray) and part.shape[1:] == parts[0].shape[1:] for part in parts
    )


def _shared_dictionary(arrays: Sequence[ArrowArray]) -> ArrowArray | None:
    """The dictionary that all arrays share in memory, if there is one; joining others means hashing them."""
    import pyarrow.types as pt

    if len({array.type for array in arrays}) > 1 or not pt.is_dictionary(arrays[0].type):
        return None
    dictionaries = [array.dictionary for array in arrays]
    places = {
        (len(values), values.offset, *(b.address if b else None for b in values.buffers()))
        for values in dictionaries
    }
    return dictionaries[0] if len(places) == 1 else None


def _as_arrow(array: ArrowArray | NumpyArray) -> ArrowArray:
    import pyarrow as pa

    if isinstance(array, np.ndarray) and array.ndim > 1:
        return _lists(_as_arrow(array.reshape(-1)), len(array))
    return array if is_arrow(array) else pa.array(array)


def _arrow_numbers(array: ArrowArray, name: str) -> NumpyArray:
    import pyarrow as pa
    import pyarrow.types as pt

    kind = array.type
    if pt.is_dictionary(kind):
        return _arrow_numbers(array.dictionary_decode(), name)
    if arrow_types.is_list(kind) and not is_textual(array):
        return _arrow_lists(array, name)
    if pt.is_null(kind):
        return np.full(len(array), np.nan, np.float32)
    if not arrow_types.is_number(kind):
        what = "text" if is_textual(array) else f"values of the Arrow type {kind}"
        raise TypeError(
            f"{name!r} holds {what}{example(array)}, but must hold numbers; convert it, or use it through a "
            "categorical column."
        )
    if array.null_count and not pt.is_floating(kind):
        array = array.cast(pa.float32() if pt.is_boolean(kind) else pa.float64(), safe=False)
    return np.asarray(array.to_numpy(zero_copy_only=False))


def _arrow_lists(array: ArrowArray, name: str) -> NumpyArray:
    import pyarrow.compute as pc

    counts: ArrowArray = pc.list_value_length(array)
    lengths = np.asarray(pc.fill_null(counts, 0))
    if len(lengths) and lengths.min() != lengths.max():
        raise ValueError(
            f"{name!r} holds lists of {lengths.min()} to {lengths.max()} values, and a tensor needs lists "
            "of one length; pad them, or use the feature through a categorical column."
        )
    width = int(lengths[0]) if len(lengths) else 0
    return _arrow_numbers(array.flatten(), name).reshape(len(lengths), width)
