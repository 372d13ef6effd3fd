"""Checks of arguments that several functions share."""

from __future__ import annotations

import numbers
from typing import Any


def checked_count(name: str, value: Any) -> int | None:
    """None, or a whole number above 0, which may be written as 1e6.

    Args:
        name: The argument as the user wrote it.
        value: Its value.

    Raises:
        ValueError: It is something else.

    >>> checked_count("steps", 1e3)
    1000
    """
    if value is None:
        return None
    count: Any = value  # numbers.Real cannot be made an int, to mypy
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or count % 1 != 0:
        raise ValueError(f"{name}={value!r} must be a whole number; None sets no limit.")
    if count <= 0:
        raise ValueError(f"{name}={value} must be above 0; None sets no limit.")
    return int(count)
