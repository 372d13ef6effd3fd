"""Arguments that several heads take, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.arguments import is_number, listed, shown

if TYPE_CHECKING:
    from collections.abc import Sequence


def probability_thresholds(thresholds: Sequence[float] | None) -> tuple[float, ...]:
    """Thresholds, each between 0 and 1.

    Raises:
        ValueError: One is not.
    """
    items = listed("thresholds", thresholds, "numbers between 0 and 1, such as [0.25, 0.5]")
    for threshold in items:
        if not is_number(threshold) or not 0 < threshold < 1:
            raise ValueError(
                f"thresholds={shown(items)} must be numbers between 0 and 1; {threshold!r} is not."
            )
    return tuple(items)
