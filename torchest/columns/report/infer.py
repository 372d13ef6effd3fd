"""`infer`: a first set of columns for a table, which prints as the Python code that makes them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from torchest.columns.base import FeatureColumn
from torchest.columns.categorical import (
    categorical_column_with_hash_bucket,
    categorical_column_with_vocabulary_list,
)
from torchest.columns.numeric import numeric_column
from torchest.columns.report.distinct import bucket_size
from torchest.inputs.structure import columns_of, is_frame
from torchest.utils import arrays

if TYPE_CHECKING:
    import numpy.typing as npt

    from torchest.utils.arrays import ArrowArray, NumpyArray

_WORDS = 50  # of so many texts a vocabulary is made
_INTEGERS = 20  # and of so many integers
_FEW_ROWS = 20  # in which it means nothing that all values differ
_NEARLY_ALL = 0.95
_COLLISIONS = 0.1


@dataclasses.dataclass(frozen=True)
class _Call:
    """A call that makes a column, with a comment."""

    function: Callable[..., FeatureColumn]
    key: str
    arguments: tuple[object, ...]
    options: dict[str, object]
    comment: str

    def column(self) -> FeatureColumn:
        return self.function(self.key, *self.arguments, **self.options)

    def code(self) -> str:
        shown = [
            *map(repr, (self.key, *self.arguments)),
            *(f"{name}={value!r}" for name, value in self.options.items()),
        ]
        comment = f"  # {self.comment}" if self.comment else ""
        return f"columns.{self.function.__name__}({', '.join(shown)}),{comment}"


# The call that makes a column, or why the feature is left out.
_Choice: TypeAlias = "_Call | str"


class InferredColumns(list[FeatureColumn]):
    """A list of columns for a table, which prints as Python code.

    Attributes:
        left_out: Why features have no column, by key.
    """

    def __init__(self, choices: Mapping[str, _Choice]) -> None:
        self.left_out = {key: why for key, why in choices.items() if isinstance(why, str)}
        self._choices = dict(choices)
        super().__init__(
            choice.column() for choice in choices.values() if isinstance(choice, _Call)
        )

    def __str__(self) -> str:
        lines = [
            f"# {key!r} is left out: {choice}" if isinstance(choice, str) else choice.code()
            for key, choice in self._choices.items()
        ]
        return "\n".join(
            ["from torchest import columns", "", "feature_columns = ["]
            + [f"    {line}" for line in lines]
            + ["]"]
        )

    __repr__ = __str__


def infer(dataframe: object) -> InferredColumns:
    """Proposes columns for a table.

    Numbers become numeric columns, with the median as default value if some are missing. Booleans, and
    strings and integers with few distinct values, become vocabulary lists. Strings with many distinct values
    become hash buckets, in which about one in ten values collides. Dates are left out, and so are features
    with a single value or a different one in each row. For a deep model, wrap categorical columns in
    embeddings or indicators.

    Args:
        dataframe: A pandas DataFrame, or a dict of columns, without the label.

    Returns:
        A list of columns, which prints as Python code.

    Raises:
        TypeError: It is not a table.

    >>> print(infer({"age": [22.5, 38.0, None], "class": ["First", "Third", "First"], "row": [7, 7, 7]}))
    from torchest import columns
    <BLANKLINE>
    feature_columns = [
        columns.numeric_column('age', default_value=30.25),  # 33.3% missing
        columns.categorical_column_with_vocabulary_list('class', ['First', 'Third']),
        # 'row' is left out: one value only
    ]
    """
    if not is_frame(dataframe) and not isinstance(dataframe, Mapping):
        raise TypeError(
            f"dataframe is a {type(dataframe).__name__}: give a pandas DataFrame or a dict of columns."
        )
    table = columns_of(dataframe) if is_frame(dataframe) else dataframe
    return InferredColumns({key: _choice(key, column) for key, column in table.items()})


def _choice(key: object, column: object) -> _Choice:
    import pyarrow as pa

    if not isinstance(key, str):
        return "its name is not a string"
    try:
        array = arrays.to_host(column, key)
    except TypeError:
        return "its values do not make one column"
    if isinstance(array, torch.Tensor):
        array = array.numpy(force=True)
    if not isinstance(array, np.ndarray):
        return _of_arrow(key, array)
    if array.dtype.kind in "Mm":
        return "dates; make numbers of them, such as the hour or the weekday"
    if array.ndim > 1 and array.dtype.kind != "S":
        return _matrix(key, array.shape[1:], np.asarray(array, np.float64).reshape(-1))
    if array.dtype.kind == "S":
        return _texts(key, pa.array(array.reshape(-1)), of_rows=array.ndim == 1)
    return _numbers(key, array)


def _of_arrow(key: str, array: ArrowArray) -> _Choice:
    import pyarrow.types as pt

    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pt.is_list(array.type) or pt.is_large_list(array.type) or pt.is_fixed_size_list(array.type):
        return _lists(key, array)
    if arrays.is_textual(array):
        return _texts(key, array, of_rows=True)
    return _numbers(key, arrays.to_tensor(array, key).numpy())


def _lists(key: str, array: ArrowArray) -> _Choice:
    import pyarrow.compute as pc
    import pyarrow.types as pt

    flat = array.flatten()
    if pt.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if arrays.is_textual(flat):
        return _texts(key, flat, of_rows=False)
    if pt.is_integer(flat.type):
        distinct = np.unique(np.asarray(flat.drop_null()))
        if len(distinct) < 2:
            return _too_few(len(distinct))
        return _integers(key, distinct, 0.0) or _hashed(key, len(distinct))
    lengths = pc.unique(pc.list_value_length(array)).to_pylist()
    if len(lengths) == 1 and lengths[0]:
        return _matrix(key, (lengths[0],), arrays.to_tensor(flat, key).double().numpy())
    return "lists of numbers of differing lengths; sequence_numeric_column takes them"


def _texts(key: str, array: ArrowArray, of_rows: bool) -> _Choice:
    """A column for texts, one in each row or several."""
    import pyarrow.compute as pc

    counts = pc.value_counts(array.drop_null())
    values, numbers = counts.field(0), np.asarray(counts.field(1))
    there = np.asarray(pc.binary_length(values)) > 0
    distinct, present = values.filter(there), int(numbers[there].sum())
    if len(distinct) < 2:
        return _too_few(len(distinct))
    if of_rows and present > _FEW_ROWS and len(distinct) >= _NEARLY_ALL * present:
        return "another text in nearly every row"
    if len(distinct) > _WORDS:
        return _hashed(key, len(distinct))
    words = sorted(distinct.to_pylist())
    comment = _missing(1 - present / len(array))
    return _Call(categorical_column_with_vocabulary_list, key, (words,), {}, comment)


def _hashed(key: str, distinct: int) -> _Choice:
    size = bucket_size(distinct, _COLLISIONS)
    comment = f"{distinct:,} distinct values"
    return _Call(categorical_column_with_hash_bucket, key, (size,), {}, comment)


def _numbers(key: str, numbers: NumpyArray) -> _Choice:
    present = numbers[~np.isnan(numbers)] if numbers.dtype.kind == "f" else numbers
    distinct = np.unique(present)
    if len(distinct) < 2:
        return _too_few(len(distinct))
    missing = 1 - len(present) / len(numbers)
    whole = bool((distinct == np.floor(distinct)).all() and np.isfinite(distinct).all())
    if whole and 2 * len(distinct) <= len(present):
        few = _integers(key, distinct, missing)
        if few is not None:
            return few
    if whole and len(distinct) == len(numbers) > _FEW_ROWS and _is_identifier(key, distinct):
        return "another number in every row"
    return _numeric(key, (), present, missing)


def _integers(key: str, distinct: NumpyArray, missing: float) -> _Call | None:
    """A vocabulary of integers, if they are few enough; −1 means missing."""
    words = [int(number) for number in distinct.tolist() if number != -1]
    if not 1 < len(words) <= _INTEGERS:
        return None
    return _Call(categorical_column_with_vocabulary_list, key, (words,), {}, _missing(missing))


def _is_identifier(key: str, distinct: NumpyArray) -> bool:
    consecutive = distinct[-1] - distinct[0] + 1 == len(distinct)
    return bool(consecutive) or re.search(r"(^|_)(?i:id)$|[a-z]I[dD]$", key) is not None


def _matrix(key: str, shape: Iterable[int], numbers: npt.NDArray[np.float64]) -> _Choice:
    present = numbers[~np.isnan(numbers)]
    distinct = len(np.unique(present))
    if distinct < 2:
        return _too_few(distinct)
    return _numeric(key, tuple(shape), present, 1 - len(present) / len(numbers))


def _numeric(key: str, shape: tuple[int, ...], present: NumpyArray, missing: float) -> _Call:
    options: dict[str, object] = {"shape": shape} if shape else {}
    if missing:
        options["default_value"] = float(np.median(present))
    return _Call(numeric_column, key, (), options, _missing(missing))


def _too_few(distinct: int) -> str:
    return "one value only" if distinct else "no values"


def _missing(share: float) -> str:
    return f"{share:.1%} missing" if share else ""
