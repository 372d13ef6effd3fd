"""Arguments that several heads take, checked."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def whole_number(argument: str, value: Any, at_least: int, way_out: str = "") -> int:
    """A whole number.

    Raises:
        ValueError: It is no whole number, or too small.
    """
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or int(value) < at_least:
        raise ValueError(
            f"{argument}={value!r} must be a whole number of at least {at_least}.{way_out}"
        )
    return int(value)


def probability_thresholds(thresholds: Sequence[float] | None) -> tuple[float, ...]:
    """Thresholds, each between 0 and 1.

    Raises:
        ValueError: One is not.
    """
    found = listed("thresholds", thresholds, "numbers between 0 and 1, such as [0.25, 0.5]")
    for threshold in found:
        if not isinstance(threshold, numbers.Real) or not 0 < float(threshold) < 1:
            raise ValueError(
                f"thresholds={found!r} must be numbers between 0 and 1; {threshold!r} is not."
            )
    return tuple(found)


def listed(argument: str, value: Any, what: str) -> list[Any]:
    """The items of a list; none for None.

    Raises:
        ValueError: It is a single value, a string or a dict.
    """
    if value is None:
        return []
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise ValueError(f"{argument}={value!r} must be a list of {what}.")
    return list(value)
