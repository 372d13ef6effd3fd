"""`decode_csv`: the cells of lines of CSV."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, NamedTuple, cast

import numpy as np

from torchest.inputs.csv_columns import Column, convert, declared
from torchest.inputs.csv_rows import checked_delimiter
from torchest.utils import arrays, checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from torchest.inputs.structure import Structure
    from torchest.utils.arrays import ArrowArray, HostArray


def decode_csv(
    records: Structure,
    record_defaults: Sequence[object],
    field_delim: str = ",",
    use_quote_delim: bool = True,
    na_value: str = "",
    select_cols: Sequence[int] | None = None,
) -> list[Structure]:
    """The cells of lines of CSV, column by column.

    After `batch` it is called once for many lines, which takes a small part of the time that it takes line by line.
    `make_csv_dataset` reads whole files.

    Args:
        records: One line, or lines [batch]: a list, or an array as `TextLineDataset(...).batch(...)` gives.
        record_defaults: For each selected column the value of an empty cell, such as 0, 0.5 or "", or a dtype, which
            makes an empty cell an error. Either may stand in a list of its own. Its type is the type of the column:
            int32 or int64, float32 or float64, or text.
        field_delim: The separator of cells, one ASCII character.
        use_quote_delim: Whether " quotes a cell.
        na_value: A text that means a missing value, like an empty cell.
        select_cols: The numbers of the columns to return, ascending; by default all.

    Returns:
        The columns: NumPy arrays or Arrow string arrays [batch], or single values of one line.

    Raises:
        TypeError: The records are not text, or a default is neither a value nor a dtype.
        ValueError: A line has another number of cells, a cell is not of the type of its column, a quote is misplaced,
            or an argument is wrong.

    >>> age, town = decode_csv(["20,Rome", ",Oslo"], record_defaults=[[0], [""]])
    >>> print(age, town.to_pylist())
    [20  0] ['Rome', 'Oslo']
    >>> age, town = decode_csv("20,Rome", [0, ""])
    >>> print(age, town)
    20 Rome
    """
    if isinstance(records, (str, bytes)):
        cells = decode_csv(
            [records], record_defaults, field_delim, use_quote_delim, na_value, select_cols
        )
        return [
            column[0] if isinstance(column, np.ndarray) else column[0].as_py() for column in cells
        ]
    quote = '"' if checks.boolean("use_quote_delim", use_quote_delim) else None
    dialect = _Dialect(
        checked_delimiter(field_delim, quote), quote, checks.text("na_value", na_value, empty=True)
    )
    defaults = checks.listed("record_defaults", record_defaults, "values or dtypes")
    if not defaults:
        raise ValueError(
            f"record_defaults={checks.shown(record_defaults)} must have a value or a dtype for each column."
        )
    numbers = _numbers(select_cols, defaults)
    columns = declared([f"column {number}" for number in numbers], defaults, "record_defaults")
    lines = _lines(records)
    if not len(lines):
        return [_converted(lines, column) for column in columns]
    parser = _Parser(dialect, len(defaults) if select_cols is None else None)
    texts = parser.parse(lines)
    if numbers[-1] >= len(texts):
        raise ValueError(
            f"select_cols has {numbers[-1]}, but records={checks.shown(records)} have the columns 0…{len(texts) - 1}."
        )
    return [_converted(texts[n], column) for n, column in zip(numbers, columns, strict=True)]


class _Dialect(NamedTuple):
    """The format of the lines: the separator, the quote if there is one, and the text of a missing value."""

    delimiter: str
    quote: str | None
    na_value: str


class _Parser:
    """Splits lines into cells of text.

    Args:
        dialect: Their format.
        count: The number of cells of each line; None for that of the first one.
    """

    def __init__(self, dialect: _Dialect, count: int | None) -> None:
        self._dialect = dialect
        self._count = count

    def parse(self, lines: ArrowArray) -> list[ArrowArray]:
        """The columns of at least one line, with null for missing values.

        Raises:
            ValueError: A line is malformed, or has another number of cells.
        """
        if self._count is None:
            self._count = len(self._columns(lines[:1]) or [])
        empty = np.flatnonzero(np.diff(_offsets(lines)) == 0)
        if empty.size and self._count > 1:  # which Arrow takes for a row of missing values
            raise ValueError(f"records[{empty[0]}]='' has 1 cell, but must have {self._count}.")
        columns = self._columns(lines)
        if columns is None or len(columns) != self._count:
            raise ValueError(self._wrong(lines))
        return columns

    def _columns(self, lines: ArrowArray) -> list[ArrowArray] | None:
        """The columns; None if a line is malformed."""
        import pyarrow as pa
        from pyarrow import csv

        data = _joined(lines)
        if not self._has_fine_quotes(data):
            return None
        try:
            table = csv.read_csv(
                cast("IO[bytes]", pa.BufferReader(data)),
                read_options=csv.ReadOptions(
                    use_threads=False, block_size=len(data) + 1, autogenerate_column_names=True
                ),
                parse_options=csv.ParseOptions(
                    delimiter=self._dialect.delimiter,
                    quote_char=self._dialect.quote or False,
                    newlines_in_values=self._dialect.quote is not None,
                    ignore_empty_lines=False,
                ),
                convert_options=csv.ConvertOptions(
                    column_types={f"f{number}": pa.string() for number in range(self._count or 0)},
                    strings_can_be_null=True,
                    null_values=["", self._dialect.na_value],
                ),
            )
        except pa.ArrowInvalid:
            return None
        return list(map(arrays.combined, table.columns)) if len(table) == len(lines) else None

    def _has_fine_quotes(self, data: bytes) -> bool:
        quote = self._dialect.quote
        if quote is None or quote.encode() not in data:
            return True
        from torchest.kernels import csv_quotes

        values = np.frombuffer(data, np.uint8)
        what, *_ = csv_quotes.scan(values, 0, ord(quote), ord(self._dialect.delimiter))
        return what == csv_quotes.FINE

    def _wrong(self, lines: ArrowArray) -> str:
        """The error message for the first wrong line, found by bisection."""
        first, last = 0, len(lines)
        while last - first > 1:
            half = (first + last) // 2
            columns = self._columns(lines[first:half])
            if columns is None or len(columns) != self._count:
                last = half
            else:
                first = half
        columns = self._columns(lines[first:last])
        what = (
            "has a quote that is misplaced or not closed, or a line break out of quotes"
            if columns is None
            else f"has {len(columns)} cell{'s' * (len(columns) > 1)}, but must have {self._count}"
        )
        return f"records[{first}]={checks.shown(lines[first].as_py())} {what}."


def _numbers(select_cols: Sequence[int] | None, defaults: list[object]) -> list[int]:
    """The numbers of the columns to return."""
    if select_cols is None:
        return list(range(len(defaults)))
    listed = checks.listed("select_cols", select_cols, "numbers of columns")
    numbers = [checks.whole_number("select_cols", number, at_least=0) for number in listed]
    if numbers != sorted(set(numbers)) or len(numbers) != len(defaults):
        raise ValueError(
            f"select_cols={checks.shown(select_cols)} must be ascending, with one number for each of record_defaults="
            f"{checks.shown(defaults)}."
        )
    return numbers


def _lines(records: Structure) -> ArrowArray:
    """The lines as an Arrow array of text without nulls."""
    import pyarrow as pa

    array: ArrowArray = arrays.to_host(records, "records")
    if isinstance(array, np.ndarray) and array.dtype.kind == "S":
        array = pa.array(array.astype(object), pa.binary())
    if not arrays.length(array):
        return pa.array([], pa.large_string())
    if not arrays.is_arrow(array) or not arrays.is_textual(array):
        raise TypeError(f"records={checks.shown(records)} must be lines of text.")
    if array.null_count:
        raise TypeError(f"records={checks.shown(records)} has None, which is no line of text.")
    try:
        return array.cast(pa.large_string())
    except pa.ArrowInvalid:
        raise TypeError(
            f"records={checks.shown(records)} has bytes that are not text in UTF-8."
        ) from None


def _offsets(lines: ArrowArray) -> npt.NDArray[np.int64]:
    """Where each line begins in the text, and where the last one ends."""
    ends = np.frombuffer(lines.buffers()[1], np.int64)
    return ends[lines.offset : lines.offset + len(lines) + 1]


def _joined(lines: ArrowArray) -> bytes:
    """The lines, of type large_string, with a line break after each."""
    offsets = _offsets(lines)
    data = np.frombuffer(lines.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    return np.insert(data, offsets[1:] - offsets[0], ord("\n")).tobytes()


def _converted(texts: ArrowArray, column: Column) -> HostArray:
    cells, wrong = convert(texts, column)
    if wrong:
        cell = texts[wrong[0]].as_py()
        if cell is None:
            raise ValueError(
                f"records[{wrong[0]}] has no value in {column.name}, for which record_defaults has only a dtype; give "
                "the value of an empty cell there."
            )
        raise ValueError(
            f"records[{wrong[0]}] has {cell!r:.80} in {column.name}, which is not {column.type}; correct it, or give a "
            "default of another type in record_defaults."
        )
    return arrays.to_host(cells, column.name)
