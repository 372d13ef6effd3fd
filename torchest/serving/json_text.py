"""JSON as requests and answers have it.

Requests may have `NaN`, `Infinity` and `-Infinity`, as Python's and TensorFlow Serving's JSON does. Answers are
JSON that every parser reads: a number that is not finite is `null`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.serving.limits import RequestError

if TYPE_CHECKING:
    from torchest.serving.values import Array

_PART = 1000  # rows


def parsed(body: bytes) -> Any:
    """What a body holds.

    Raises:
        RequestError: It is no JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"The body is no JSON: {error!s:.200}.") from None


def plain(array: Array) -> list[Any]:
    """An array as nested lists; what is not finite is None."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        finite = np.isfinite(array)
        array = array.astype(object)
        array[~finite] = None
    values: list[Any] = array.tolist()
    return values


def text(value: Any) -> bytes:
    """JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def text_of_list(values: list[Any]) -> bytes:
    """A list as JSON, in parts, between which other threads have their turn."""
    parts = (text(values[start : start + _PART])[1:-1] for start in range(0, len(values), _PART))
    return b"[" + b",".join(parts) + b"]"
