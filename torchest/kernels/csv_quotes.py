"""Finds the ends of CSV rows, and misplaced quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.kernels.compiling import kernel, part

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FINE, WITHIN_CELL, BEHIND_CELL, OPEN = range(4)
_NEWLINE, _RETURN = 10, 13


@kernel
def scan(  # noqa: C901 - one loop: kernels pass no arrays to each other
    data: npt.NDArray[np.uint8], start: int, quote: int, delimiter: int
) -> tuple[int, int, int]:
    """Follows the cells of rows up to the end of the data, or to a misplaced quote.

    Args:
        data: The bytes.
        start: Position of the beginning of a row.
        quote: The quoting byte; doubled in a quoted cell, it is one quote.
        delimiter: The byte that separates cells.

    Returns:
        The result: FINE; WITHIN_CELL for a quote within an unquoted cell; BEHIND_CELL for text after a quoted cell; or
        OPEN for a quoted cell without an end. Then the end of the last whole row, and the beginning of the last quoted
        cell or of the misplaced quote.
    """
    place, row_end, cell = start, start, start
    while place < len(data):
        if data[place] == quote:
            cell = place
            place += 1
            while place < len(data):
                if data[place] != quote:
                    place += 1
                elif place + 1 < len(data) and data[place + 1] == quote:
                    place += 2
                else:
                    break
            if place == len(data):
                return OPEN, row_end, cell
            place += 1
            if place < len(data) and not _ends_cell(data[place], delimiter):
                return BEHIND_CELL, row_end, cell
        while place < len(data) and not _ends_cell(data[place], delimiter):
            if data[place] == quote:
                return WITHIN_CELL, row_end, place
            place += 1
        place += 1
        if place <= len(data) and data[place - 1] != delimiter:
            row_end = place
    return FINE, row_end, cell


@part
def _ends_cell(byte: int, delimiter: int) -> bool:
    return byte == delimiter or byte == _NEWLINE or byte == _RETURN  # noqa: PLR1714 - fast in Numba
