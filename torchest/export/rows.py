"""Rows of raw features for exports: neutral rows, and golden rows that exercise the columns of a model.

>>> import torch
>>> from torchest.columns.feature_specs import VarLenFeature
>>> golden_rows({"n": VarLenFeature(torch.int64)}, [], 3)["n"].to_pylist()
[[1], [0, 1], [1, 0, 1]]
"""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import torch

from torchest.columns.categorical import EXAMPLE_WORDS
from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature
from torchest.columns.features import Features
from torchest.errors import MissingFeatureError
from torchest.utils import arrays

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from torchest.columns.base import Example, FeatureColumn
    from torchest.columns.feature_specs import FeatureSpec
    from torchest.columns.features import Column
    from torchest.utils.arrays import ArrowArray, HostArray

NUMBERS = (1, 0, 2, -1.5, 0.25, 40)
INTEGERS = (1, 0, 2)


def spec_of(value: object, key: str) -> FeatureSpec:
    """The spec of a feature, or of an example of it."""
    if isinstance(value, FixedLenFeature | VarLenFeature):
        return value
    array = arrays.to_host(value, key)
    if arrays.is_textual(array):
        dtype: torch.dtype | type = str
    else:
        flat = array.flatten() if hasattr(array, "flatten") and arrays.is_arrow(array) else array
        dtype = arrays.to_tensor(flat, key).dtype
    if arrays.is_ragged(array):
        return VarLenFeature(dtype)
    if isinstance(array, torch.Tensor | np.ndarray):
        return FixedLenFeature(tuple(array.shape[1:]), dtype)
    import pyarrow.types as pt

    kind: pa.DataType = array.type
    return FixedLenFeature((kind.list_size,) if pt.is_fixed_size_list(kind) else (), dtype)


def neutral_rows(specs: Mapping[str, FeatureSpec], count: int) -> dict[str, HostArray]:
    """Rows of zeros and of one word, in lists of one: a single step for every sequence column.

    Args:
        specs: The specs of the features, by key.
        count: The number of rows.
    """
    return {
        key: _column(spec, [("a",)] if _is_text(spec) else [(0,)], [1] * count)
        for key, spec in specs.items()
    }


def golden_rows(
    specs: Mapping[str, FeatureSpec], columns: Iterable[FeatureColumn], count: int
) -> dict[str, HostArray]:
    """Rows with known and unknown words, ids, numbers near boundaries, and lists of several lengths.

    Args:
        specs: The specs of the features, by key.
        columns: The columns that the model reads.
        count: The number of rows.
    """
    wanted: defaultdict[str, list[tuple[Example, ...]]] = defaultdict(list)
    widths: dict[str, int] = {}
    for column in columns:
        widths.update(dict.fromkeys(column.feature_keys, column.step_width))
        for key, values in column.examples().items():
            wanted[key].append(values)
    return {
        key: _column(spec, wanted.get(key, []), _lengths(widths.get(key, 1), count))
        for key, spec in specs.items()
    }


class TrialFeatures(Features):
    """Rows on which an export tests a model; a user's column may refuse them."""

    @contextlib.contextmanager
    def read_by(self, column: Column) -> Iterator[None]:
        """Reads features for a user's column, and names the column in its errors."""
        try:
            with super().read_by(column):
                yield
        except MissingFeatureError:
            raise
        except Exception as error:
            kind = type(column).__name__
            raise ValueError(
                f"Column {column.name!r} ({kind}) refuses values that an export is tried on ({error!r}). They are "
                f"of the receiver's specs and of {kind}.examples(): make both such as the column takes, or give "
                "build_raw_serving_input_receiver_fn arrays of rows."
            ) from error


def _lengths(width: int, count: int) -> list[int]:
    """The lengths of lists of one to three steps; the last step may have fewer than `width` numbers."""
    return [row % 3 * width + row % width + 1 for row in range(count)]


def _column(spec: FeatureSpec, wanted: list[tuple[Example, ...]], lengths: list[int]) -> HostArray:
    """A feature in the form of `parse_example`; `lengths` are the lengths of its rows if they are lists."""
    values = _cast(spec, wanted)
    count = len(lengths)
    if isinstance(spec, FixedLenFeature):
        lengths = [spec.size] * count
    endless = itertools.cycle(values)
    flat = [next(endless) for _ in range(sum(lengths))]
    if isinstance(spec, VarLenFeature) and not isinstance(values[0], float):
        # a sequence ends with the last value that its column knows, and ONNX counts no empty string at the end
        last = next((value for value in values if value not in ("", b"")), values[0])
        for end in np.cumsum(lengths):
            flat[end - 1] = last
    if isinstance(spec, FixedLenFeature) and not _is_text(spec):
        return torch.tensor(flat, dtype=spec.dtype).reshape(count, *spec.shape)
    column: HostArray = _arrow(spec, flat, lengths)
    return column


def _arrow(spec: FeatureSpec, flat: list[Example], lengths: list[int]) -> ArrowArray:
    import pyarrow as pa

    types = {str: pa.large_string(), bytes: pa.large_binary()}
    values: ArrowArray = pa.array(
        flat, types.get(spec.dtype) or str(spec.dtype).removeprefix("torch.")
    )
    if isinstance(spec, VarLenFeature):
        return pa.LargeListArray.from_arrays(pa.array(np.cumsum([0, *lengths])), values)
    for dimension in reversed(spec.shape):
        values = pa.FixedSizeListArray.from_arrays(values, dimension)
    return values


def _cast(spec: FeatureSpec, wanted: list[tuple[Example, ...]]) -> Sequence[Example]:
    """Values of the spec's dtype that all columns of a feature can take."""
    if _is_text(spec):
        words = dict.fromkeys(itertools.chain.from_iterable(wanted or [EXAMPLE_WORDS]))
        text = [
            word.decode(errors="ignore") if isinstance(word, bytes) else str(word) for word in words
        ]
        return [word.encode() for word in text] if spec.dtype is bytes else text
    if not spec.dtype.is_floating_point:
        # what one column knows another may refuse, such as an id out of its range
        integers = [_numbers(values, spec.dtype) for values in wanted]
        return min(filter(None, integers), key=max, default=list(INTEGERS))
    return _numbers(itertools.chain.from_iterable(wanted), spec.dtype) or list(NUMBERS)


def _numbers(values: Iterable[Example], dtype: torch.dtype) -> list[int] | list[float]:
    """The values that are numbers of the dtype; text columns also have words for the integers of their feature."""
    kind = float if dtype.is_floating_point else int
    least, most = (0, 1) if dtype == torch.bool else _limits(dtype)
    numbers = []
    for value in values:
        with contextlib.suppress(ValueError):
            number = kind(value)
            if least <= number <= most:
                numbers.append(number)
    return numbers


def _limits(dtype: torch.dtype) -> tuple[float, float]:
    limits = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    return limits.min, limits.max


def _is_text(spec: FeatureSpec) -> bool:
    return spec.dtype in (str, bytes)
