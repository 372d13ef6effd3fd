"""Arguments that several heads take, checked."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def whole_number(argument: str, value: Any, at_least: int, way_out: str = "") -> int:
    """A whole number.

    Raises:
        ValueError: It is no whole number, or too small.
    """
    if not isinstance(value, numbers.Integral) or int(value) < at_least:
        raise ValueError(
            f"{argument}={value!r} must be a whole number of at least {at_least}.{way_out}"
        )
    return int(value)


def probability_thresholds(thresholds: Sequence[float] | None) -> tuple[float, ...]:
    """Thresholds, each between 0 and 1.

    Raises:
        ValueError: One is not.
    """
    found = tuple(thresholds or ())
    for threshold in found:
        if not 0 < threshold < 1:
            raise ValueError(
                f"thresholds={list(found)!r} must lie between 0 and 1; {threshold!r} does not."
            )
    return found
