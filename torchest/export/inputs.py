"""What clients send: the inputs of an exported model, and their values in the form that it takes.

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

    import numpy.typing as npt

    from torchest.columns.feature_specs import FeatureSpec
    from torchest.utils.arrays import HostArray

REQUIRED, DEFAULT, EMPTY = "required", "default", "empty"


@dataclass(frozen=True)
class Input:
    """One feature that clients send.

    Attributes:
        name: What clients call it.
        key: The key of the feature.
        spec: Its dtype and shape, and what stands for it where it is left out.
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
        """What leaving it out means: it is "required", has a "default", or is "empty"."""
        if isinstance(self.spec, VarLenFeature):
            return EMPTY
        return REQUIRED if self.spec.default_value is None else DEFAULT

    def conform(self, value: Any) -> HostArray:
        """Values of the feature in the form that its spec says.

        Args:
            value: A list, array or tensor with one element or row for each example.

        Returns:
            Numbers of a `FixedLenFeature` are a tensor [batch, *shape], its text is an Arrow array with
            lists of fixed sizes for the dimensions of the shape; a `VarLenFeature` is an Arrow array of lists.

        Raises:
            TypeError: They are of another kind.
            ValueError: They have another shape.
        """
        array = arrays.to_host(value, self.name)
        if arrays.is_textual(array) != self.is_text and _has_values(array):
            found = "text" if arrays.is_textual(array) else "numbers"
            raise TypeError(
                f"Input {self.name!r} has {found}, and takes {_kind(self.spec)}: give {_kind(self.spec)}."
            )
        if isinstance(self.spec, VarLenFeature):
            return self._lists(array)
        if self.is_text:
            return self._fixed_text(array, self.spec)
        return self._fixed_numbers(array, self.spec)

    def absent(self, count: int) -> HostArray:
        """The feature of `count` rows that lack it.

        Raises:
            ValueError: It is required.
        """
        if isinstance(self.spec, VarLenFeature):
            return self._lists(np.empty((count, 0), object if self.is_text else np.int64))
        if self.spec.default_value is None:
            raise ValueError(
                f"Input {self.name!r} is missing, and has no default: give it, with one value or row for each example."
            )
        default = np.asarray(self.spec.default_value, object)
        rows = np.broadcast_to(default, (count, *self.spec.shape))
        return self.conform(rows.tolist()) if count else self.conform(_nothing(self.spec))

    def _fixed_numbers(self, array: HostArray, spec: FixedLenFeature) -> Tensor:
        given = arrays.to_tensor(_without_nulls(array, spec), self.name)
        if given.is_floating_point() and not spec.dtype.is_floating_point and given.numel():
            raise TypeError(
                f"Input {self.name!r} has values of dtype {dtype_name(given.dtype)}, and takes "
                f"{dtype_name(spec.dtype)}: give integers."
            )
        self._check_shape(tuple(given.shape), spec)
        return given.to(spec.dtype).reshape(len(given), *spec.shape)

    def _fixed_text(self, array: Any, spec: FixedLenFeature) -> HostArray:
        import pyarrow as pa

        values, lengths = self._flat_text(array)
        count = arrays.length(array)
        if lengths is not None and (lengths != spec.size).any():
            wrong = int(lengths[lengths != spec.size][0])
            raise ValueError(
                f"Input {self.name!r} has {wrong} strings in a row, and takes {spec.size} (shape {list(spec.shape)})."
            )
        if lengths is None and spec.size != 1 and count:
            self._check_shape((count,), spec)
        sized: Any = pa.FixedSizeListArray
        for dimension in reversed(spec.shape):
            values = sized.from_arrays(values, dimension)
        found: HostArray = values
        return found

    def _flat_text(self, array: Any) -> tuple[Any, Any]:
        """All strings, and how many each row has; None for one each."""
        import pyarrow as pa
        import pyarrow.types as pt

        kind = pa.large_string() if self.spec.dtype is str else pa.large_binary()
        if not arrays.is_arrow(array):
            array = np.asarray(array)
            lengths = None if array.ndim == 1 else np.full(len(array), array[:1].size)
            flat: Any = pa.array(
                array.reshape(-1).astype(object),
                pa.large_binary() if array.dtype.kind == "S" else kind,
            )
        else:
            lengths = None
            flat = array
            while pt.is_nested(flat.type):
                rows = _list_lengths(flat)
                lengths = rows if lengths is None else _sums(rows, lengths)
                flat = flat.flatten()
            if pt.is_dictionary(flat.type):
                flat = flat.dictionary_decode()
        try:
            return flat.cast(kind).fill_null("" if self.spec.dtype is str else b""), lengths
        except pa.ArrowInvalid:
            raise ValueError(
                f"Input {self.name!r} has bytes that are no text in UTF-8: give text."
            ) from None

    def _lists(self, array: Any) -> HostArray:
        import pyarrow as pa

        if self.is_text:
            flat, lengths = self._flat_text(array)
        else:
            flat, lengths = _flat_numbers(array, self.spec.dtype, self.name)
        if lengths is None:
            lengths = np.ones(arrays.length(array), np.int64)
        lists: Any = pa.LargeListArray
        found: HostArray = lists.from_arrays(pa.array(np.cumsum([0, *lengths])), flat)
        return found

    def _check_shape(self, shape: tuple[int, ...], spec: FixedLenFeature) -> None:
        inner = shape[1:]
        if shape[0] and inner != spec.shape and {*inner, *spec.shape} - {1}:
            raise ValueError(
                f"Input {self.name!r} has shape {list(shape)}, and takes {['batch', *spec.shape]}."
            )

    def to_json(self) -> dict[str, Any]:
        """The input as JSON values."""
        lists = isinstance(self.spec, VarLenFeature)
        described: dict[str, Any] = {
            "name": self.name,
            "feature": self.key,
            "dtype": dtype_text(self.spec.dtype),
            "shape": [None, None]
            if isinstance(self.spec, VarLenFeature)
            else [None, *self.spec.shape],
            "lists": lists,
            "missing": {"rule": self.missing},
            "used": self.used,
        }
        if isinstance(self.spec, FixedLenFeature) and self.spec.default_value is not None:
            default = np.asarray(self.spec.default_value, object).tolist()
            described["missing"]["value"] = default
        return described

    @classmethod
    def of_json(cls, described: Mapping[str, Any]) -> Input:
        """The input that was described."""
        dtype = dtype_of(described["dtype"])
        spec: FeatureSpec = (
            VarLenFeature(dtype)
            if described["lists"]
            else FixedLenFeature(described["shape"][1:], dtype, described["missing"].get("value"))
        )
        return cls(described["name"], described["feature"], spec, described["used"])


def conform_all(inputs: Iterable[Input], given: Mapping[str, Any]) -> dict[str, HostArray]:
    """The features of a batch by key, of what a client sent by name.

    Args:
        inputs: The inputs of the model.
        given: Their values, by name; an input that is renamed as an output has its name may be called by the key
            of its feature. What is left out is filled in, if it may be.

    Raises:
        TypeError: An input has values of another kind.
        ValueError: An input is unknown, missing, or of another shape; or they differ in their rows.
    """
    by_name = {each.name: each for each in inputs}
    known = by_any_name(by_name.values())
    found: dict[str, HostArray] = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"There is no input {name!r}.{suggest(name, by_name)}")
        each = known[name]
        if each.key in found:
            raise ValueError(f"Input {each.name!r} is given twice, as {each.key!r} too.")
        found[each.key] = each.conform(value)
    if not found:
        raise ValueError(f"No input is given.{suggest('', by_name)}")
    count = arrays.check_lengths(found)
    for each in by_name.values():
        if each.key not in found:
            found[each.key] = each.absent(count)
    return found


def by_any_name(inputs: Iterable[Input]) -> dict[str, Input]:
    """The inputs of a model by their names, and by the keys of their features where they are renamed."""
    named = list(inputs)
    keys = {each.key: each for each in named if is_renamed(each.name, each.key)}
    return keys | {each.name: each for each in named}


def feed(array: HostArray) -> npt.NDArray[Any]:
    """A conformed feature as numpy, as ONNX takes it: strings as objects, lists as a matrix.

    Shorter lists are filled up with "", −1 or NaN.
    """
    if isinstance(array, Tensor):
        found: npt.NDArray[Any] = array.numpy()
        return found
    any_array: Any = array
    return _matrix(any_array) if _is_list_of_any_length(any_array) else _dense(any_array)


def dtype_text(dtype: Any) -> str:
    """A dtype as JSON has it, such as "float32" or "string"."""
    names = {str: "string", bytes: "bytes"}
    return names.get(dtype) or str(dtype).removeprefix("torch.")


def dtype_of(text: str) -> Any:
    """The dtype that a text names."""
    dtype = {"string": str, "bytes": bytes}.get(text) or getattr(torch, text, None)
    if dtype not in (str, bytes) and not isinstance(dtype, torch.dtype):
        raise ValueError(f"there is no dtype {text!r}")
    return dtype


def _kind(spec: FeatureSpec) -> str:
    return "text" if spec.dtype in (str, bytes) else f"numbers of dtype {dtype_name(spec.dtype)}"


def _has_values(array: Any) -> bool:
    """Whether there is anything in an array, or in the lists that it holds."""
    if not arrays.is_arrow(array):
        return 0 not in array.shape
    import pyarrow.types as pt

    while pt.is_nested(array.type):
        array = array.flatten()
    return bool(array.null_count < len(array))


def _without_nulls(array: Any, spec: FixedLenFeature) -> Any:
    """An Arrow array of single values with the default in the place of what is missing."""
    if not arrays.is_arrow(array) or not array.null_count or spec.size != 1:
        return array
    default = np.asarray(spec.default_value, object).reshape(-1)[0]
    if default is None:
        return array
    import pyarrow as pa

    if pa.types.is_null(array.type):  # nothing but missing values, whose dtype nobody knows
        array = array.cast(getattr(pa, dtype_text(spec.dtype))())
    return array.fill_null(default)


def _nothing(spec: FixedLenFeature) -> Any:
    dtype = object if spec.dtype in (str, bytes) else np.int64
    return np.empty((0, *spec.shape), dtype)


def _flat_numbers(array: Any, dtype: torch.dtype, name: str) -> tuple[Any, Any]:
    import pyarrow as pa

    kind = getattr(pa, str(dtype).removeprefix("torch."))()
    if arrays.is_arrow(array):
        nested = pa.types.is_nested(array.type)
        flat = array.flatten() if nested else array
        if pa.types.is_floating(flat.type) and pa.types.is_integer(kind):
            raise TypeError(f"Input {name!r} has floating values, and takes {kind}: give integers.")
        return _filled(flat.cast(kind)), _list_lengths(array) if nested else None
    given = arrays.to_tensor(array, name)
    if given.is_floating_point() and not dtype.is_floating_point and given.numel():
        raise TypeError(f"Input {name!r} has floating values, and takes {kind}: give integers.")
    lengths = None if given.ndim == 1 else np.full(len(given), given[:1].numel())
    return pa.array(given.to(dtype).reshape(-1).numpy()), lengths


def _filled(numbers: Any) -> Any:
    """Numbers of lists, with what stands for missing ones in their place."""
    import pyarrow as pa

    if not numbers.null_count or pa.types.is_boolean(numbers.type):
        return numbers
    return numbers.fill_null(float("nan") if pa.types.is_floating(numbers.type) else -1)


def _list_lengths(array: Any) -> Any:
    import pyarrow.compute as pc

    return np.asarray(pc.list_value_length(array).fill_null(0), np.int64)


def _sums(inner: Any, outer: Any) -> Any:
    """How many values rows have whose parts have `inner` each; `outer` tells how many parts they have."""
    ends = np.cumsum(outer)
    sums = np.concatenate([[0], np.cumsum(inner)])
    return sums[ends] - sums[ends - outer]


def _is_list_of_any_length(array: Any) -> bool:
    import pyarrow.types as pt

    return pt.is_large_list(array.type) or pt.is_list(array.type)


def _matrix(lists: Any) -> npt.NDArray[Any]:
    flat = _dense(lists.flatten())
    lengths = _list_lengths(lists)
    width = int(lengths.max()) if len(lengths) else 0
    fill: Any = "" if flat.dtype == object else np.nan if flat.dtype.kind == "f" else -1
    matrix = np.full((len(lists), width), fill, flat.dtype)
    matrix[np.arange(width) < lengths[:, None]] = flat
    return matrix


def _dense(array: Any) -> npt.NDArray[Any]:
    import pyarrow as pa

    shape = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        shape.append(array.type.list_size)
        array = array.flatten()
    if pa.types.is_large_binary(array.type):
        array = array.cast(pa.large_string())
    found: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return found.reshape(shape)
