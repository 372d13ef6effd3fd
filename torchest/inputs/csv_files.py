"""CSV files as blocks of text columns: dialect, names, and Arrow's block reader."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How the files are written."""

    delimiter: str
    quote: str | None
    na_value: str
    header: bool
    names: tuple[str, ...] | None
    compression: str | None
    encoding: str
    ignore_errors: bool


def compression_of(compression_type: str | None) -> str | None:
    """Arrow's word for TensorFlow's compression type."""
    known = {None: "detect", "": None, "GZIP": "gzip"}
    if compression_type not in known:
        raise ValueError(
            f"compression_type is {compression_type!r}, and must be None, '' or 'GZIP'."
        )
    return known[compression_type]


def names_of(path: str, dialect: Dialect) -> tuple[str, ...]:
    """The names of all columns, given or from the file's header."""
    names = dialect.names
    if names is None:
        if not dialect.header:
            raise ValueError("With header=False the columns need names; give column_names.")
        with _reader(path, dialect, None, None, []) as reader:
            names = tuple(reader.schema.names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        where = "column_names" if dialect.names is not None else f"The header of {path}"
        raise ValueError(
            f"{where} has the column {twice[0]!r} more than once; give column_names that all differ."
        )
    return names


def _reader(
    path: str,
    dialect: Dialect,
    names: Sequence[str] | None,
    wanted: Sequence[str] | None,
    malformed: list[Any],
) -> Any:
    """Arrow's block reader, with every cell as text.

    Args:
        path: The file.
        dialect: How it is written.
        names: Its columns; None to read them from the header.
        wanted: The columns to give.
        malformed: Gets the rows with too few or too many cells.
    """
    import pyarrow as pa
    from pyarrow import csv

    def on_malformed(row: Any) -> Any:
        malformed.append(row)
        return "skip" if dialect.ignore_errors else "error"

    compression: Any = dialect.compression
    try:
        stream: Any = pa.input_stream(path, compression=compression)
        return csv.open_csv(
            stream,
            read_options=csv.ReadOptions(
                use_threads=False,  # only so is the number of a malformed row known
                column_names=list(names) if names is not None else None,
                skip_rows_after_names=1 if dialect.header and names is not None else 0,
                encoding=dialect.encoding,
            ),
            parse_options=csv.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote or False,
                newlines_in_values=dialect.quote is not None,
                invalid_row_handler=on_malformed,
            ),
            convert_options=csv.ConvertOptions(
                column_types={name: pa.string() for name in names or ()},
                include_columns=list(wanted or ()),
                strings_can_be_null=True,
                null_values=["", dialect.na_value],
            ),
        )
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError, LookupError) as error:
        raise _unreadable(path, dialect, malformed, error) from error


def text_blocks(
    path: str, dialect: Dialect, names: Sequence[str], wanted: Sequence[str]
) -> Iterator[tuple[int, Any]]:
    """Blocks of the wanted columns as text, missing cells as null, each with its first row's number.

    Raises:
        ValueError: The file has other columns than `names`, or cannot be read.
    """
    import pyarrow as pa

    own = names_of(path, dialect)
    if own != tuple(names):
        raise ValueError(
            f"{path} has the columns {list(own)}, and the first file has {list(names)}; all files must have the "
            "same columns."
        )
    malformed: list[Any] = []
    row = 0
    with _reader(path, dialect, names, wanted, malformed) as reader:
        while True:
            try:
                block = reader.read_next_batch()
            except StopIteration:
                return
            except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
                raise _unreadable(path, dialect, malformed, error) from error
            yield row, dict(zip(wanted, block.columns, strict=True))
            row += block.num_rows


def _unreadable(path: str, dialect: Dialect, malformed: list[Any], error: Exception) -> ValueError:
    reason = str(error).splitlines()[0]
    if malformed and not dialect.ignore_errors:
        row = malformed[-1]
        where = f"line {row.number} of " if row.number is not None else ""
        return ValueError(
            f"{where}{path} has {row.actual_columns} cells, and there are {row.expected_columns} columns: "
            f"{row.text!r:.80}; correct it, or leave such rows out with ignore_errors=True."
        )
    if "Empty CSV file" in reason:
        return ValueError(f"{path} is empty, and a header was expected.")
    if "UTF8" in reason or isinstance(error, UnicodeDecodeError):
        return ValueError(
            f"{path} is not text in the encoding {dialect.encoding!r}; give its encoding, e.g. encoding='latin-1'."
        )
    return ValueError(f"{path} cannot be read as CSV: {reason}.")
