"""The inputs of an exported model, which convert the values that clients send.

>>> age = Input("age", "age", FixedLenFeature((1,), torch.float32))
>>> age.conform([22, 38])
tensor([[22.],
        [38.]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature, dtype_name
from torchest.errors import suggest
from torchest.exported.golden import is_renamed
from torchest.utils import arrays

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.feature_specs import FeatureSpec
    from torchest.exported.golden import Array
    from torchest.utils.arrays import ArrowArray, HostArray
    from torchest.utils.json_form import JSON

REQUIRED, DEFAULT, EMPTY = "required", "default", "empty"


@dataclass(frozen=True)
class Input:
    """A feature that clients send.

    Attributes:
        name: Its name for clients.
        key: The key of the feature.
        spec: Its dtype, shape and default value.
        used: Whether the model reads it.
    """

    name: str
    key: str
    spec: FeatureSpec
    used: bool = True

    @property
    def is_text(self) -> bool:
        """Whether it holds strings."""
        return self.spec.dtype in (str, bytes)

    @property
    def missing(self) -> str:
        """The rule if a client omits it: "required", "default" or "empty"."""
        if isinstance(self.spec, VarLenFeature):
            return EMPTY
        return REQUIRED if self.spec.default_value is None else DEFAULT

    def conform(self, value: object) -> HostArray:
        """Converts values of the feature to the form of its spec.

        Args:
            value: A list, array or tensor with one element or row for each example.

        Returns:
            For a `FixedLenFeature` of numbers a tensor [batch, *shape]; for one of text an Arrow array with
            lists of fixed sizes for the dimensions of the shape; for a `VarLenFeature` an Arrow array of lists.

        Raises:
            TypeError: The values are of the wrong kind.
            ValueError: They have the wrong shape.
        """
        array = arrays.to_host(value, self.name)
        if arrays.is_textual(array) != self.is_text and _has_values(array):
            has = "text" if arrays.is_textual(array) else "numbers"
            takes = "text" if self.is_text else f"numbers of dtype {dtype_name(self.spec.dtype)}"
            raise TypeError(f"Input {self.name!r} has {has}, but takes {takes}: give {takes}.")
        if isinstance(self.spec, VarLenFeature):
            return self._lists(array)
        if self.is_text:
            return self._fixed_text(array, self.spec)
        return self._fixed_numbers(array, self.spec)

    def absent(self, count: int) -> HostArray:
        """The feature for `count` rows without it: the default, or empty lists.

        Raises:
            ValueError: The feature is required.
        """
        if isinstance(self.spec, VarLenFeature):
            return self._lists(np.empty((count, 0), object if self.is_text else np.int64))
        if self.spec.default_value is None:
            raise ValueError(
                f"Input {self.name!r} is missing, and has no default: give it, with one value or row for each example."
            )
        if not count:
            return self.conform(
                np.empty((0, *self.spec.shape), object if self.is_text else np.int64)
            )
        default = np.asarray(self.spec.default_value, object)
        return self.conform(np.broadcast_to(default, (count, *self.spec.shape)).tolist())

    def _fixed_numbers(self, array: HostArray, spec: FixedLenFeature) -> Tensor:
        numbers = arrays.to_tensor(_without_nulls(array, spec), self.name)
        if numbers.is_floating_point() and not spec.dtype.is_floating_point and numbers.numel():
            raise TypeError(
                f"Input {self.name!r} has values of dtype {dtype_name(numbers.dtype)}, but takes "
                f"{dtype_name(spec.dtype)}: give integers."
            )
        self._check_shape(tuple(numbers.shape), spec)
        return numbers.to(spec.dtype).reshape(len(numbers), *spec.shape)

    def _fixed_text(self, array: HostArray, spec: FixedLenFeature) -> HostArray:
        import pyarrow as pa

        values, lengths = self._flat_text(array)
        count = arrays.length(array)
        if lengths is not None and (lengths != spec.size).any():
            wrong = int(lengths[lengths != spec.size][0])
            raise ValueError(
                f"Input {self.name!r} has {wrong} strings in a row, but takes {spec.size} (shape {list(spec.shape)})."
            )
        if lengths is None and spec.size != 1 and count:
            self._check_shape((count,), spec)
        shaped: ArrowArray = values
        for dimension in reversed(spec.shape):
            shaped = pa.FixedSizeListArray.from_arrays(shaped, dimension)
        rows: HostArray = shaped
        return rows

    def _flat_text(self, array: HostArray) -> tuple[ArrowArray, Int64s | None]:
        """All strings, and the number of strings in each row; None if each row has one."""
        import pyarrow as pa
        import pyarrow.types as pt

        kind = pa.large_string() if self.spec.dtype is str else pa.large_binary()
        if arrays.is_arrow(array):
            flat, lengths = _flattened(array)
            if pt.is_dictionary(flat.type):
                flat = flat.dictionary_decode()
        else:
            array = np.asarray(array)
            lengths = None if array.ndim == 1 else np.full(len(array), array[:1].size)
            read = pa.large_binary() if array.dtype.kind == "S" else kind
            flat = pa.array(array.reshape(-1).astype(object), read)
        try:
            return flat.cast(kind).fill_null("" if self.spec.dtype is str else b""), lengths
        except pa.ArrowInvalid:
            raise ValueError(
                f"Input {self.name!r} has bytes that are not UTF-8 text: give text."
            ) from None

    def _lists(self, array: HostArray) -> HostArray:
        import pyarrow as pa

        if self.is_text:
            flat, lengths = self._flat_text(array)
        else:
            flat, lengths = _flat_numbers(array, self.spec.dtype, self.name)
        if lengths is None:
            lengths = np.ones(arrays.length(array), np.int64)
        return pa.LargeListArray.from_arrays(pa.array(np.cumsum([0, *lengths])), flat)

    def _check_shape(self, shape: tuple[int, ...], spec: FixedLenFeature) -> None:
        inner = shape[1:]
        if shape[0] and inner != spec.shape and {*inner, *spec.shape} - {1}:
            raise ValueError(
                f"Input {self.name!r} has shape {list(shape)}, but takes {['batch', *spec.shape]}."
            )

    def to_json(self) -> JSON:
        """The input as JSON values."""
        spec, missing = self.spec, {"rule": self.missing}
        if isinstance(spec, FixedLenFeature) and spec.default_value is not None:
            missing["value"] = np.asarray(spec.default_value, object).tolist()
        return {
            "name": self.name,
            "feature": self.key,
            "dtype": dtype_text(spec.dtype),
            "shape": [None, None] if isinstance(spec, VarLenFeature) else [None, *spec.shape],
            "lists": isinstance(spec, VarLenFeature),
            "missing": missing,
            "used": self.used,
        }

    @classmethod
    def of_json(cls, described: JSON) -> Input:
        """The input from `to_json`."""
        dtype = dtype_of(described["dtype"])
        spec: FeatureSpec = (
            VarLenFeature(dtype)
            if described["lists"]
            else FixedLenFeature(described["shape"][1:], dtype, described["missing"].get("value"))
        )
        return cls(described["name"], described["feature"], spec, described["used"])


def conform_all(inputs: Iterable[Input], sent: Mapping[str, object]) -> dict[str, HostArray]:
    """The features of a batch by key, from the values that a client sent by name.

    Args:
        inputs: The inputs of the model.
        sent: The values, by the name of the input, or by the key of its feature if the export renamed it. Inputs
            that are not required may be missing.

    Raises:
        TypeError: An input has values of the wrong kind.
        ValueError: An input is unknown, is missing or has the wrong shape, or inputs differ in their number of rows.
    """
    by_name = {each.name: each for each in inputs}
    known = by_any_name(by_name.values())
    features: dict[str, HostArray] = {}
    for name, value in sent.items():
        if name not in known:
            raise ValueError(f"There is no input {name!r}.{suggest(name, by_name)}")
        each = known[name]
        if each.key in features:
            raise ValueError(f"Input {each.name!r} is given twice, as {each.key!r} too.")
        features[each.key] = each.conform(value)
    if not features:
        raise ValueError(f"No input is given.{suggest('', by_name)}")
    count = arrays.check_lengths(features)
    for each in by_name.values():
        if each.key not in features:
            features[each.key] = each.absent(count)
    return features


def by_any_name(inputs: Iterable[Input]) -> dict[str, Input]:
    """The inputs of a model by their names, and by the keys of their features where they are renamed."""
    named = list(inputs)
    keys = {each.key: each for each in named if is_renamed(each.name, each.key)}
    return keys | {each.name: each for each in named}


def feed(array: HostArray) -> Array:
    """A conformed feature as numpy for ONNX: strings are objects, lists a matrix, padded with "", −1 or NaN."""
    if isinstance(array, Tensor):
        return array.numpy()
    return _matrix(array) if arrays.is_ragged(array) else _dense(array)


def dtype_text(dtype: torch.dtype | type | str) -> str:
    """The name of a dtype in JSON, such as "float32" or "string"."""
    names: dict[object, str] = {str: "string", bytes: "bytes"}
    return names.get(dtype) or str(dtype).removeprefix("torch.")


def dtype_of(text: str) -> Any:
    """The dtype of a name from `dtype_text`."""
    dtype = {"string": str, "bytes": bytes}.get(text) or getattr(torch, text, None)
    if dtype not in (str, bytes) and not isinstance(dtype, torch.dtype):
        raise ValueError(f"there is no dtype {text!r}")
    return dtype


def _has_values(array: HostArray) -> bool:
    """Whether an array, or the lists in it, hold any value."""
    if isinstance(array, Tensor | np.ndarray):
        return 0 not in array.shape
    flat, _ = _flattened(array)
    return bool(flat.null_count < len(flat))


def _without_nulls(array: HostArray, spec: FixedLenFeature) -> HostArray:
    """Replaces missing values in an Arrow array of single values by the default."""
    if isinstance(array, Tensor | np.ndarray) or not array.null_count or spec.size != 1:
        return array
    default = np.asarray(spec.default_value, object).reshape(-1)[0]
    if default is None:
        return array
    column: ArrowArray = array
    import pyarrow as pa

    if pa.types.is_null(array.type):  # only missing values
        column = column.cast(getattr(pa, dtype_text(spec.dtype))())
    filled: HostArray = column.fill_null(default)
    return filled


def _flat_numbers(
    array: HostArray, dtype: torch.dtype, name: str
) -> tuple[ArrowArray, Int64s | None]:
    """All numbers, and the count of numbers in each row; None if each row has one."""
    import pyarrow as pa

    kind = getattr(pa, str(dtype).removeprefix("torch."))()
    if arrays.is_arrow(array):
        flat, lengths = _flattened(array)
        floating = pa.types.is_floating(flat.type)
    else:
        tensor = arrays.to_tensor(array, name)
        lengths = None if tensor.ndim == 1 else np.full(len(tensor), tensor[:1].numel())
        floating = tensor.is_floating_point() and tensor.numel() > 0
    if floating and not dtype.is_floating_point:
        raise TypeError(f"Input {name!r} has floating values, but takes {kind}: give integers.")
    if not arrays.is_arrow(array):
        return pa.array(tensor.to(dtype).reshape(-1).numpy()), lengths
    numbers = flat.cast(kind)
    if numbers.null_count and dtype != torch.bool:
        numbers = numbers.fill_null(float("nan") if dtype.is_floating_point else -1)
    return numbers, lengths


def _flattened(array: ArrowArray) -> tuple[ArrowArray, Int64s | None]:
    """The values in Arrow lists of lists, and the number of values in each row; None if rows are not lists."""
    import pyarrow.compute as pc
    import pyarrow.types as pt

    lengths: Int64s | None = None
    while pt.is_nested(array.type):
        inner = np.asarray(pc.list_value_length(array).fill_null(0), np.int64)
        lengths = inner if lengths is None else _sums(inner, lengths)
        array = array.flatten()
    return array, lengths


def _sums(values: Int64s, counts: Int64s) -> Int64s:
    """The sums of the first `counts[0]` values, of the next `counts[1]`, and so on."""
    ends = np.cumsum(counts)
    sums = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(sums[ends] - sums[ends - counts])


def _matrix(lists: ArrowArray) -> Array:
    values, lengths = _flattened(lists)
    assert lengths is not None
    flat = _dense(values)
    width = int(lengths.max()) if len(lengths) else 0
    fill: str | float = "" if flat.dtype == object else np.nan if flat.dtype.kind == "f" else -1
    matrix = np.full((len(lists), width), fill, flat.dtype)
    matrix[np.arange(width) < lengths[:, None]] = flat
    return matrix


def _dense(array: ArrowArray) -> Array:
    import pyarrow as pa

    shape = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        shape.append(array.type.list_size)
        array = array.flatten()
    if pa.types.is_large_binary(array.type):
        array = array.cast(pa.large_string())
    values: Array = array.to_numpy(zero_copy_only=False)
    return values.reshape(shape)
