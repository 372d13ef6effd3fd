"""CSV files as blocks of text columns, read by Arrow's parser."""

from __future__ import annotations

import itertools
from typing import IO, TYPE_CHECKING, Literal, TypeAlias, cast

from torchest.inputs.csv_rows import Block, not_text, row_blocks
from torchest.inputs.table_files import repeated
from torchest.utils.arrays import combined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyarrow import csv

    from torchest.inputs.csv_rows import Dialect
    from torchest.utils.arrays import ArrowArray

    Texts: TypeAlias = dict[str, ArrowArray]  # columns of text, missing cells as null


def names_of(path: str, dialect: Dialect) -> tuple[str, ...]:
    """The names of all columns, from column_names or the header.

    Raises:
        ValueError: Two columns have the same name, or the file is empty.
    """
    names = dialect.names
    if names is None:
        names = _header(path, next(row_blocks(path, dialect), None))[0]
    twice = repeated(names)
    if twice is not None:
        where = "column_names" if dialect.names is not None else f"The header of {path}"
        raise ValueError(
            f"{where} has the column {twice!r} more than once; give column_names that all differ."
        )
    return names


def text_blocks(
    path: str, dialect: Dialect, names: Sequence[str], wanted: Sequence[str]
) -> Iterator[tuple[Block, Texts]]:
    """Blocks of rows, each with the wanted columns as text.

    Raises:
        ValueError: The file has other columns than `names`, or cannot be read.
    """
    blocks = row_blocks(path, dialect)
    if dialect.header:
        header, rest = _header(path, next(blocks, None))
        if dialect.names is None and header != tuple(names):
            raise ValueError(
                f"{path} has the columns {list(header)}, but the first file has {list(names)}; all files must have the "
                "same columns."
            )
        blocks = itertools.chain([rest], blocks)
    parse = _Parser(dialect, names, wanted)
    for block in blocks:
        columns = parse(block)
        if columns is not None:
            yield block, columns


def _header(path: str, block: Block | None) -> tuple[tuple[str, ...], Block]:
    """The names in the first row, and the rows after it."""
    from pyarrow import csv

    if block is None or not block.data.strip(b"\r\n"):
        raise ValueError(f"{path} is empty, but must have a header.")
    first, rest = block.split_header()
    try:
        cells = csv.read_csv(
            _reader(first.data + b"\n"),
            read_options=csv.ReadOptions(use_threads=False, block_size=len(first.data) + 2),
            parse_options=_parse_options(block.dialect, None),
        ).column_names
    except UnicodeDecodeError as error:
        raise ValueError(_not_utf8(first)) from error
    return tuple(name.strip() if block.dialect.strip else name for name in cells), rest


class _Parser:
    """Parses rows.

    Args:
        dialect: The format of the rows.
        names: The names of all columns.
        wanted: The names of the columns to return.
    """

    def __init__(self, dialect: Dialect, names: Sequence[str], wanted: Sequence[str]) -> None:
        import pyarrow as pa
        from pyarrow import csv

        self._dialect = dialect
        self._names = list(names)
        self._wanted = list(wanted)
        self._malformed: list[csv.InvalidRow] = []
        self._parse_options = _parse_options(dialect, self._on_malformed)
        self._convert_options = csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            include_columns=self._wanted,
            strings_can_be_null=not dialect.strip,
            null_values=["", *dialect.na_values],
        )

    def __call__(self, block: Block) -> Texts | None:
        """The columns of a block; None if all lines are empty."""
        import pyarrow as pa
        from pyarrow import csv

        if not block.data:
            return None
        try:
            table = csv.read_csv(
                _reader(block.data),
                read_options=csv.ReadOptions(
                    use_threads=False,  # with threads, Arrow does not tell the number of a malformed row
                    block_size=len(block.data) + 1,
                    column_names=self._names,
                ),
                parse_options=self._parse_options,
                convert_options=self._convert_options,
            )
        except pa.ArrowInvalid as error:
            raise ValueError(self._unreadable(block, error)) from error
        if not table.num_rows:
            return None
        columns = map(combined, table.columns)
        return dict(zip(self._wanted, map(self._stripped, columns), strict=True))

    def _on_malformed(self, row: csv.InvalidRow) -> Literal["skip", "error"]:
        self._malformed.append(row)
        return "skip" if self._dialect.ignore_errors else "error"

    def _stripped(self, column: ArrowArray) -> ArrowArray:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._dialect.strip:
            return column
        column = pc.utf8_trim_whitespace(column)
        texts = pa.array(["", *self._dialect.na_values], pa.string())
        missing = pc.is_in(column, value_set=texts)
        return pc.if_else(missing, pa.scalar(None, pa.string()), column)

    def _unreadable(self, block: Block, error: Exception) -> str:
        if self._malformed:
            row = self._malformed[-1]
            assert row.number is not None
            return (
                f"{block.place(row.number - 1)}: there are {row.actual_columns} cells, but {row.expected_columns} "
                f"columns: {row.text!r:.80}; correct it, or skip such rows with ignore_errors=True."
            )
        return _not_utf8(block) or (
            f"{block.path}, line {block.line} or below, cannot be read as CSV: {str(error).splitlines()[0]}."
        )


def _reader(data: bytes) -> IO[bytes]:
    import pyarrow as pa

    return cast("IO[bytes]", pa.BufferReader(data))


def _parse_options(
    dialect: Dialect, on_malformed: Callable[[csv.InvalidRow], Literal["skip", "error"]] | None
) -> csv.ParseOptions:
    from pyarrow import csv

    return csv.ParseOptions(
        delimiter=dialect.delimiter,
        quote_char=dialect.quote or False,
        newlines_in_values=dialect.quote is not None,
        invalid_row_handler=on_malformed,
    )


def _not_utf8(block: Block) -> str:
    """The error message for a block that is not UTF-8; empty if it is."""
    try:
        block.data.decode()
    except UnicodeDecodeError as error:
        wrong = block.data[error.start : error.end]
        return not_text(block.place_of_byte(error.start), wrong, block.dialect.encoding)
    return ""
