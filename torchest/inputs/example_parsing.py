"""`parse_example`: features from serialized `tf.Example` records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature, dtype_name
from torchest.inputs.example_proto import (
    BYTES,
    FLOATS,
    INT64S,
    Column,
    MalformedError,
    read_examples,
)
from torchest.utils import arrays
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from torchest.columns.feature_specs import FeatureSpec
    from torchest.inputs.structure import Structure
    from torchest.utils.arrays import ArrowArray, HostArray

_KINDS = {str: BYTES, bytes: BYTES, torch.float32: FLOATS, torch.int64: INT64S}
_KIND_NAMES = {BYTES: "bytes", FLOATS: "floats", INT64S: "int64s"}
_BLOCK = 4096  # records that are read at once


def parse_example(serialized: Structure, features: Mapping[str, FeatureSpec]) -> dict[str, Any]:
    """The features of serialized `tf.Example` records.

    Args:
        serialized: The records [batch]: a list of bytes, or an Arrow array of them as
            `TFRecordDataset(...).batch(...)` gives. In a `serving_input_receiver_fn` a spec stands for them, such as
            `torchest.export.placeholder` makes.
        features: How each feature to read is stored, by key; see
            `torchest.columns.make_parse_example_spec`.

    Returns:
        The values by key. A `FixedLenFeature` of numbers is a tensor [batch, *shape]; one of text or bytes is
        an Arrow array, with nested lists of fixed sizes for the dimensions of the shape. A `VarLenFeature` is an
        Arrow array of lists, empty where a record lacks the feature. The specs themselves, if `serialized` is one.

    Raises:
        TypeError: `serialized` does not hold bytes, or `features` is not a dict of specs.
        ValueError: A record is malformed, a feature without a default is missing, the kind or number of the values
            of a feature does not match its spec, or text is not UTF-8.

    >>> record = bytes.fromhex("0a0e0a0c0a016112071a050a0300ac02")  # a: the integers 0 and 300
    >>> parse_example([record], {"a": FixedLenFeature((2,), torch.int64)})
    {'a': tensor([[  0, 300]])}
    """
    if isinstance(serialized, FixedLenFeature):  # in a serving_input_receiver_fn
        return dict(checked_specs(features))
    return parse_records("serialized", serialized, features)


def parse_single_example(
    serialized: bytes, features: Mapping[str, FeatureSpec]
) -> dict[str, Structure]:
    """The features of one serialized `tf.Example` record.

    `parse_example` after `batch` takes a small part of the time.

    Args:
        serialized: The record.
        features: As for `parse_example`.

    Returns:
        The values by key. A `FixedLenFeature` of numbers is a tensor [*shape]; one of text or bytes is a single value,
        a NumPy array of objects, or an Arrow array of lists if its shape has several dimensions. A `VarLenFeature` is
        an Arrow array.

    Raises:
        TypeError: As for `parse_example`.
        ValueError: As for `parse_example`.

    >>> record = bytes.fromhex("0a0e0a0c0a016112071a050a0300ac02")  # a: the integers 0 and 300
    >>> parse_single_example(record, {"a": FixedLenFeature((2,), torch.int64)})
    {'a': tensor([  0, 300])}
    """
    if not isinstance(serialized, bytes):
        raise TypeError(
            f"serialized={shown(serialized)} must be the bytes of one tf.Example; parse_example takes several."
        )
    columns = parse_records("serialized", [serialized], features)
    return {key: _first(columns[key], features[key]) for key in columns}


def _first(column: HostArray, spec: FeatureSpec) -> Structure:
    if isinstance(column, torch.Tensor):
        return column[0]
    cell: ArrowArray = column[0]
    if isinstance(spec, VarLenFeature):
        return cell.values
    if len(spec.shape) > 1:
        return cell.values
    return np.array(cell.as_py(), object) if spec.shape else cell.as_py()


def parse_records(
    argument: str, serialized: Structure, features: Mapping[str, FeatureSpec]
) -> dict[str, HostArray]:
    """Like `parse_example`, with `argument` as the name of the records in errors."""
    specs = checked_specs(features)
    records = _as_binary(serialized, argument)
    blocks = [
        _parsed(records.slice(start, _BLOCK), start, specs)
        for start in range(0, max(len(records), 1), _BLOCK)
    ]
    return {key: arrays.concatenate([block[key] for block in blocks]) for key in specs}


def checked_specs(features: object) -> dict[str, FeatureSpec]:
    """Checks that the specs have types that a tf.Example can hold.

    Raises:
        TypeError: They are something else.
    """
    if not isinstance(features, Mapping) or not features:
        raise TypeError(
            f"features={shown(features)} must be a dict from key to FixedLenFeature or VarLenFeature, such as "
            "make_parse_example_spec(columns) makes."
        )
    for key, spec in features.items():
        if not isinstance(spec, FixedLenFeature | VarLenFeature):
            raise TypeError(
                f"features[{key!r}] is {shown(spec)}: give a FixedLenFeature or a VarLenFeature."
            )
        if spec.dtype not in _KINDS:
            near = torch.float32 if spec.dtype.is_floating_point else torch.int64
            raise TypeError(
                f"features[{key!r}] has the dtype {dtype_name(spec.dtype)}: a tf.Example holds torch.float32, "
                f"torch.int64, str and bytes only, so give {dtype_name(near)} and convert the values."
            )
    return dict(features)


def _as_binary(serialized: Structure, argument: str) -> ArrowArray:
    """The records as an Arrow array of bytes without nulls."""
    import pyarrow as pa

    if isinstance(serialized, np.ndarray) and serialized.dtype.kind == "S":
        raise TypeError(
            f"{argument} is a numpy array of fixed-width bytes, which loses zeros at the end of a record: give a list "
            "of bytes, or a numpy array with dtype=object."
        )
    if isinstance(serialized, list | tuple):
        serialized = _of_list(serialized, argument)
    array: ArrowArray = arrays.to_host(serialized, argument)
    if not arrays.is_arrow(array) or not (arrays.is_textual(array) or pa.types.is_null(array.type)):
        raise TypeError(
            f"{argument} holds values of type {array.type if arrays.is_arrow(array) else array.dtype}: give the "
            "bytes of one tf.Example in each row."
        )
    if array.null_count:
        missing = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f"Record {missing} of {argument} is missing (None): leave it out.")
    return array.cast(pa.large_binary())


def _of_list(records: list[object] | tuple[object, ...], argument: str) -> ArrowArray:
    import pyarrow as pa

    try:
        return pa.array(records, pa.large_binary())
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise TypeError(
            f"{argument} does not hold bytes ({str(error).splitlines()[0]}): give a list with the bytes of one "
            "tf.Example in each row."
        ) from None


def _parsed(records: ArrowArray, first: int, specs: dict[str, FeatureSpec]) -> dict[str, HostArray]:
    """The features of a block of records; `first` is the number of the first record in errors."""
    try:
        columns = read_examples(records, {key: _KINDS[spec.dtype] for key, spec in specs.items()})
    except MalformedError as error:
        raise ValueError(
            f"Record {first + error.record} of the batch is not a serialized tf.Example: a field in it is malformed "
            f"or cut off. It is {shown(records[error.record].as_py())}. Give the result of SerializeToString() of a "
            "tf.train.Example."
        ) from None
    return {key: _built(key, spec, columns[key], first) for key, spec in specs.items()}


def _built(key: str, spec: FeatureSpec, column: Column, first: int) -> HostArray:
    """Builds a feature in the form of its spec."""
    _check_kind(key, spec, column, first)
    values = _as_text(key, column, first) if spec.dtype is str else column.values
    if isinstance(spec, VarLenFeature):
        lists: HostArray = _lists(values, column)
        return lists
    _check_counts(key, spec, column, first)
    is_text = arrays.is_arrow(values)
    dense: HostArray = (_dense_text if is_text else _dense_numbers)(values, spec, column)
    return dense


def _check_kind(key: str, spec: FeatureSpec, column: Column, first: int) -> None:
    wrong = np.flatnonzero((column.kind != _KINDS[spec.dtype]) & (column.kind != 0))
    if wrong.size:
        raise ValueError(
            f"Feature {key!r} holds {_KIND_NAMES[int(column.kind[wrong[0]])]} in record {first + wrong[0]} of the "
            f"batch, but its spec has the dtype {dtype_name(spec.dtype)}: give the dtype that was written."
        )


def _check_counts(key: str, spec: FixedLenFeature, column: Column, first: int) -> None:
    missing = np.flatnonzero(column.kind == 0)
    if missing.size and spec.default_value is None:
        raise ValueError(
            f"Feature {key!r} is missing in {len(missing)} of {len(column.kind)} records, first in record "
            f"{first + missing[0]} of the batch, but its spec has no default: give FixedLenFeature (or the "
            "numeric_column that made it) a default_value, or use a VarLenFeature."
        )
    wrong = np.flatnonzero((column.kind != 0) & (column.counts != spec.size))
    if wrong.size:
        count = int(column.counts[wrong[0]])
        raise ValueError(
            f"Feature {key!r} has {count} value{'s' * (count != 1)} in record {first + wrong[0]} of the batch, but "
            f"its spec has the shape {spec.shape}: give the shape that was written, or use a VarLenFeature."
        )


def _as_text(key: str, column: Column, first: int) -> ArrowArray:
    import pyarrow as pa

    try:
        return column.values.cast(pa.large_string())
    except pa.ArrowInvalid:
        values = column.values.to_pylist()
        wrong = next(number for number, value in enumerate(values) if not _is_utf8(value))
        record = first + int(np.searchsorted(np.cumsum(column.counts), wrong, side="right"))
        raise ValueError(
            f"Feature {key!r} holds {values[wrong]!r:.80} in record {record} of the batch, which is not text in "
            "UTF-8: give its spec the dtype bytes."
        ) from None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lists(values: ArrowArray, column: Column) -> ArrowArray:
    import pyarrow as pa

    lists: ArrowArray = pa.LargeListArray
    offsets = np.concatenate([[0], np.cumsum(column.counts)])
    return lists.from_arrays(pa.array(offsets), pa.array(values))


def _dense_numbers(values: ArrowArray, spec: FixedLenFeature, column: Column) -> torch.Tensor:
    shape = (len(column.kind), *spec.shape)
    present = column.kind != 0
    if present.all():
        return torch.from_numpy(values.reshape(shape))
    filled = np.empty(shape, values.dtype)
    filled[...] = spec.default_value
    filled[present] = values.reshape(-1, *spec.shape)
    return torch.from_numpy(filled)


def _dense_text(values: ArrowArray, spec: FixedLenFeature, column: Column) -> ArrowArray:
    import pyarrow as pa

    present = column.kind != 0
    if not present.all():
        default = np.broadcast_to(np.asarray(spec.default_value, object), spec.shape).reshape(-1)
        places = np.tile(np.arange(len(values), len(values) + spec.size), (len(present), 1))
        places[present] = np.arange(len(values)).reshape(-1, spec.size)
        with_default = pa.concat_arrays([values, pa.array(default, values.type)])
        values = with_default.take(pa.array(places.reshape(-1)))
    sized: ArrowArray = pa.FixedSizeListArray
    for dimension in reversed(spec.shape):
        values = sized.from_arrays(values, dimension)
    return values
