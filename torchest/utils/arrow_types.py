"""The Arrow types that are supported, and conversions of the others.

>>> import pyarrow as pa
>>> plain_type(pa.list_(pa.decimal128(5, 2)))
ListType(list<item: double>)
>>> print(plain_type(pa.struct([("a", pa.int64())])))
None
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import pyarrow as pa

    _Nested = pa.ListType[pa.DataType] | pa.LargeListType[pa.DataType]

WAY_OUT_OF_DATES = (
    "give a number, such as the days since a date, (dates - start).dt.days, or the month, dates.dt.month; "
    "or text for a categorical column, dates.dt.strftime('%Y-%m-%d')"
)
WAY_OUT_OF_DIFFERENCES = "give a number, such as differences.dt.total_seconds()"

# Types in memory only, of which Arrow's casts are missing or wrong.
_NOT_CAST = ("list_view", "run_end_encoded")


def is_number(kind: pa.DataType) -> bool:
    """Whether the values are integers, floats or bools."""
    import pyarrow.types as pt

    return pt.is_integer(kind) or pt.is_floating(kind) or pt.is_boolean(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether the values are strings or bytes."""
    import pyarrow.types as pt

    strings = pt.is_string(kind) or pt.is_large_string(kind)
    return (
        strings or pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_fixed_size_binary(kind)
    )


def is_list(kind: pa.DataType) -> TypeGuard[_Nested]:
    """Whether the values are lists, of one length or of several."""
    import pyarrow.types as pt

    return pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)


@functools.lru_cache(maxsize=256)  # asked of every array of a batch
def is_understood(kind: pa.DataType) -> bool:
    """Whether columns support the type without conversion: numbers, text, lists and dictionaries of these."""
    import pyarrow.types as pt

    if pt.is_dictionary(kind) or is_list(kind):
        return is_understood(kind.value_type)
    return is_number(kind) or is_text(kind) or pt.is_null(kind)


def plain_type(kind: pa.DataType) -> Any:
    """The supported type that can hold the same values; None if there is none."""
    import pyarrow as pa
    import pyarrow.types as pt

    if is_understood(kind):
        return kind
    if pt.is_decimal(kind):
        return pa.int64() if kind.scale <= 0 and kind.precision - kind.scale <= 18 else pa.float64()
    if _is_view(kind):  # Arrow cannot take rows of views
        return pa.large_binary() if pt.is_binary_view(kind) else pa.large_string()
    inner = plain_type(kind.value_type) if _has_inner(kind) else None
    if inner is None:
        return None
    if str(kind).startswith("run_end_encoded"):
        return inner
    if pt.is_dictionary(kind):
        return pa.dictionary(kind.index_type, inner, kind.ordered)
    if pt.is_fixed_size_list(kind):
        return pa.list_(inner, kind.list_size)
    return pa.large_list(inner) if str(kind).startswith("large") else pa.list_(inner)


def converted(array: pa.Array[Any], kind: pa.DataType) -> pa.Array[Any]:
    """The array, converted to its `plain_type`."""
    import pyarrow as pa

    if any(name in str(array.type) for name in _NOT_CAST):
        return pa.array(array.to_pylist(), kind)
    return array.cast(kind)


def way_out(kind: pa.DataType) -> str:
    """Advice on how to convert an unsupported Arrow type."""
    import pyarrow.types as pt

    while _has_inner(kind):
        kind = kind.value_type
    if pt.is_timestamp(kind) or pt.is_date(kind):
        return WAY_OUT_OF_DATES
    if pt.is_duration(kind):
        return WAY_OUT_OF_DIFFERENCES
    if pt.is_struct(kind) or pt.is_map(kind) or pt.is_union(kind):
        return "give its fields as columns of their own, such as pandas.json_normalize makes"
    if pt.is_time(kind):
        return (
            "give a number, such as the hour, times.map(lambda time: time.hour), or text for a categorical "
            "column, with .astype(str)"
        )
    if "pandas.interval" in str(kind):
        return "give numbers, as pandas.cut(…, labels=False), or text for a categorical column, with .astype(str)"
    if "pandas.period" in str(kind):
        return (
            "give a number, such as .dt.month, or text for a categorical column, with .astype(str)"
        )
    return "make them numbers or text, e.g. with .astype(float) or .astype(str)"


def _has_inner(kind: pa.DataType) -> TypeGuard[_Nested]:
    import pyarrow.types as pt

    return (
        pt.is_dictionary(kind)
        or is_list(kind)
        or str(kind).startswith(("list_view", "large_list_view", "run_end_encoded"))
    )


def _is_view(kind: pa.DataType) -> bool:
    import pyarrow.types as pt

    return hasattr(pt, "is_string_view") and (pt.is_string_view(kind) or pt.is_binary_view(kind))
