"""JSON in requests and answers.

Requests may contain `NaN`, `Infinity` and `-Infinity`, as Python's and TensorFlow Serving's JSON does. Answers are
JSON that every parser reads: a number that is not finite is `null`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from torchest.serving.limits import RequestError

if TYPE_CHECKING:
    from torchest.serving.values import JSON, Array

_PART = 1000  # rows


def load(body: bytes) -> JSON:
    """Parses a body.

    Raises:
        RequestError: The body is not JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"The body is not valid JSON: {error!s:.200}.") from None


def nested_lists(array: Array) -> list[JSON]:
    """Converts an array to nested lists, with None for numbers that are not finite."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        finite = np.isfinite(array)
        array = array.astype(object)
        array[~finite] = None
    values: list[JSON] = array.tolist()
    return values


def dump(value: JSON) -> bytes:
    """JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def dump_list(values: list[JSON]) -> bytes:
    """Serialises a list to JSON in parts, so that other threads run in between."""
    parts = (dump(values[start : start + _PART])[1:-1] for start in range(0, len(values), _PART))
    return b"[" + b",".join(parts) + b"]"
