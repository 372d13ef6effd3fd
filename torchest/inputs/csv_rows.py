"""CSV files as blocks of whole rows, with text in UTF-8 and no misplaced quotes.

A line break within a quoted cell does not end a row. A block grows to hold its longest row.
"""

from __future__ import annotations

import codecs
import dataclasses
import re
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import numpy as np

from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Compression: TypeAlias = Literal["detect", "gzip"] | None

_BLOCK = 1 << 20
_LONGEST = 2**31 - 1 - _BLOCK  # bytes of a row; Arrow's parser counts in int32
_NEWLINE, _RETURN = b"\n\r"
_FORMATS = {
    b"\x1f\x8b": "compressed by gzip: give compression_type='GZIP'",
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it, or let its name end in .zst",
    b"BZh91AY&SY": "compressed by bzip2: unpack it, or let its name end in .bz2",
    b"PAR1\x15": "a Parquet file: read it with make_parquet_dataset",
    codecs.BOM_UTF16_LE: "text in UTF-16, as its byte order mark says: give encoding='utf-16'",
    codecs.BOM_UTF16_BE: "text in UTF-16, as its byte order mark says: give encoding='utf-16'",
}


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The format of the files.

    Args:
        delimiter: The ASCII character between cells.
        quote: The character that quotes cells; None for none.
        na_values: The texts of a missing cell, besides an empty one.
        strip: Whether to strip cells of blanks.
        header: Whether each file begins with a row of names.
        names: The names of all columns; None for those in the header.
        compression: Arrow's name of the compression.
        encoding: A text encoding of Python.
        ignore_errors: Whether to skip rows that cannot be read.
    """

    delimiter: str
    quote: str | None
    na_values: tuple[str, ...]
    strip: bool
    header: bool
    names: tuple[str, ...] | None
    compression: Compression
    encoding: str
    ignore_errors: bool


@dataclasses.dataclass(frozen=True)
class Block:
    """Whole rows of a file.

    Args:
        path: The file.
        line: The number of the first line, counted from 1.
        data: The rows, in UTF-8.
        dialect: The format of the file.
    """

    path: str
    line: int
    data: bytes
    dialect: Dialect

    def place(self, row: int) -> str:
        """File and line of a row, for messages. Empty lines do not count as rows."""
        return self.place_of_byte(int(self._row_starts()[row]))

    def place_of_byte(self, position: int) -> str:
        """File and line of a byte, for messages."""
        return f"{self.path}, line {self.line + lines_in(self.data[:position])}"

    def split_header(self) -> tuple[Block, Block]:
        """The first row, and the others."""
        starts = self._row_starts()
        end = int(starts[1]) if len(starts) > 1 else len(self.data)
        rest_line = self.line + lines_in(self.data[:end])
        first = dataclasses.replace(self, data=self.data[int(starts[0]) : end])
        return first, dataclasses.replace(self, data=self.data[end:], line=rest_line)

    def _row_starts(self) -> npt.NDArray[np.int64]:
        """The position of the first byte of each row."""
        data = np.frombuffer(self.data, np.uint8)
        ends = np.flatnonzero((data == _NEWLINE) | (data == _RETURN))
        if self.dialect.quote is not None:
            quotes = np.flatnonzero(data == ord(self.dialect.quote))
            ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
        starts = np.concatenate([[0], ends + 1])
        starts = starts[starts < len(data)]
        filled = (data[starts] != _NEWLINE) & (data[starts] != _RETURN)
        return np.asarray(starts[filled])


def checked_delimiter(field_delim: str, quote: str | None) -> str:
    """The user's separator of cells, if it is one.

    Raises:
        ValueError: It is not one ASCII character.
    """
    if (
        not isinstance(field_delim, str)
        or len(field_delim.encode(errors="replace")) != 1
        or field_delim in (quote, "\n", "\r", "\0")
    ):
        raise ValueError(
            f"field_delim={checks.shown(field_delim)} must be one ASCII character, such as ',', ';' or '\\t'."
        )
    return field_delim


def row_blocks(path: str, dialect: Dialect) -> Iterator[Block]:
    """The file in blocks of whole rows.

    With `ignore_errors`, rows with misplaced quotes become empty lines.

    Raises:
        ValueError: The file is not text, or a quote is misplaced.
    """
    import pyarrow as pa

    is_utf8 = codecs.lookup(dialect.encoding).name in ("utf-8", "utf-8-sig")
    decoder = None if is_utf8 else codecs.getincrementaldecoder(dialect.encoding)()
    line, rest, first, final = 1, b"", True, False
    try:
        with pa.input_stream(
            path, compression=cast("Literal['detect']", dialect.compression)
        ) as stream:
            while not final:
                new = stream.read(max(_BLOCK, len(rest)))
                final = not new
                if first:
                    _check_format(path, new, decoder)
                if decoder is not None:
                    new = _decoded(decoder, new, path, line + lines_in(rest), dialect.encoding)
                data = rest + new
                data = data.removeprefix(codecs.BOM_UTF8) if first else data
                first = False
                _check_text(path, line, data)
                whole, rest = _split(Block(path, line, data, dialect), final)
                if whole:
                    yield Block(path, line, whole, dialect)
                    line += lines_in(whole)
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read: {str(error).splitlines()[0].rstrip('.')}; it may be damaged, or compressed in "
            "another way than compression_type or the end of its name says."
        ) from error


def lines_in(data: bytes) -> int:
    """The number of line breaks in the data."""
    values = np.frombuffer(data, np.uint8)
    return int(np.count_nonzero(values == _NEWLINE) or np.count_nonzero(values == _RETURN))


def _check_format(path: str, data: bytes, decoder: codecs.IncrementalDecoder | None) -> None:
    for start, what in _FORMATS.items():
        if data.startswith(start) and not (decoder is not None and "UTF-16" in what):
            raise ValueError(f"{path} is {what}.")


def _decoded(
    decoder: codecs.IncrementalDecoder, data: bytes, path: str, line: int, encoding: str
) -> bytes:
    try:
        return decoder.decode(data, final=not data).encode()
    except UnicodeDecodeError as error:
        line += error.object[: error.start].decode(encoding, errors="replace").count("\n")
        wrong = error.object[error.start : error.end]
        raise ValueError(not_text(f"{path}, line {line}", wrong, encoding)) from error


def not_text(place: str, wrong: bytes, encoding: str) -> str:
    """The error message for bytes that are not text in an encoding."""
    return (
        f"{place}: {wrong!r} is not text in the encoding {encoding!r}; give the encoding of the file, "
        "e.g. encoding='latin-1'."
    )


def _check_text(path: str, line: int, data: bytes) -> None:
    nul = data.find(0)
    if nul >= 0:
        begin = max(data.rfind(b"\n", 0, nul) + 1, nul - 20)
        raise ValueError(
            f"{path}, line {line + lines_in(data[:nul])}: there is a NUL byte in {data[begin : nul + 20]!r}, but text "
            "has none; the file may be damaged, or be in another encoding, such as encoding='utf-16'."
        )
    if len(data) > _LONGEST:
        raise ValueError(
            f"{path}, line {line}: a row is longer than {_LONGEST} bytes; probably a quote is not closed."
        )


def _split(block: Block, final: bool) -> tuple[bytes, bytes]:
    """The whole rows, and the rest, which is empty at the end of the file."""
    data, dialect = block.data, block.dialect
    if dialect.quote is None or dialect.quote.encode() not in data:
        end = len(data) if final else max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        return data[:end], data[end:]
    from torchest.kernels import csv_quotes

    values = np.frombuffer(data, np.uint8)
    parts: list[bytes] = []
    start = 0
    while True:
        what, end, cell = csv_quotes.scan(values, start, ord(dialect.quote), ord(dialect.delimiter))
        if what == csv_quotes.FINE or (what == csv_quotes.OPEN and not final):
            end = len(data) if final else end
            return b"".join([*parts, data[start:end]]), data[end:]
        is_header = (
            dialect.header and block.line == 1 and not parts and not data[:end].strip(b"\r\n")
        )
        if is_header or not dialect.ignore_errors:
            raise ValueError(_misplaced(block, cell, what == csv_quotes.WITHIN_CELL))
        parts.append(data[start:end])
        start = _next_line(data, cell)
        if start == len(data) and not final:
            return b"".join(parts), data[end:]
        parts.append(b"\n" * max(lines_in(data[end:start]), 1))


def _next_line(data: bytes, position: int) -> int:
    end = data.find(b"\n", position)
    if end < 0:
        end = data.find(b"\r", position)
    return len(data) if end < 0 else end + 1


def _misplaced(block: Block, position: int, within: bool) -> str:
    delimiter = block.dialect.delimiter
    place = block.place_of_byte(position)
    ways_out = (
        "read quotes as text with use_quote_delim=False, or skip such rows with ignore_errors=True."
    )
    if not within:
        cell = block.data[position : position + 40].decode(errors="replace")
        return (
            f"{place}: the quoted cell {cell!r} does not end with a quote before a delimiter or the end of a line; "
            f"close it, write quotes within it twice, {ways_out}"
        )
    line = re.split(r"[\n\r]", block.data[:position].decode(errors="replace"))[-1]
    behind = block.data[position : position + 40].decode(errors="replace")
    cell = line.split(delimiter)[-1] + re.split(rf"[\n\r{re.escape(delimiter)}]", behind)[0]
    return (
        f"{place}: the cell {cell!r} has a quote but does not begin with one; quote the whole cell and write its "
        f"quotes twice, {ways_out}"
    )
