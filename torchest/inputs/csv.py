"""`make_csv_dataset`: batches from CSV files of any size, with TensorFlow's arguments and types."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from torchest.inputs import seeds
from torchest.inputs.chunks import Chunk, drop
from torchest.inputs.csv_columns import Column, convert, declared, inferred, why_wrong
from torchest.inputs.csv_files import names_of, text_blocks
from torchest.inputs.csv_rows import Dialect, checked_delimiter
from torchest.inputs.file_patterns import matching_files
from torchest.inputs.table_files import (
    Batching,
    FileRows,
    batches,
    chosen_columns,
    selected_columns,
)
from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torchest.inputs.csv_files import Texts
    from torchest.inputs.csv_rows import Block, Compression
    from torchest.inputs.dataset import Dataset
    from torchest.inputs.file_patterns import Paths
    from torchest.inputs.stages import JSON, Epoch
    from torchest.utils.arrays import HostArray

_COMPRESSIONS: dict[str | None, Compression] = {
    None: "detect",
    "": None,
    "GZIP": "gzip",
}  # Arrow's names


def make_csv_dataset(  # noqa: PLR0913
    file_pattern: Paths,
    batch_size: int,
    column_names: Sequence[str] | None = None,
    column_defaults: Sequence[object] | None = None,
    label_name: str | None = None,
    select_columns: Sequence[str | int] | None = None,
    field_delim: str = ",",
    use_quote_delim: bool = True,
    na_value: str | Sequence[str] = "",
    header: bool = True,
    num_epochs: int | None = None,
    shuffle: bool = True,
    shuffle_buffer_size: int = 10000,
    shuffle_seed: int | None = None,
    prefetch_buffer_size: int | None = None,
    num_parallel_reads: int | None = None,
    sloppy: bool = False,
    num_rows_for_inference: int | None = 100,
    compression_type: str | None = None,
    ignore_errors: bool = False,
    encoding: str = "utf-8",
    strip_whitespace: bool = False,
) -> Dataset:
    r"""Batches of the rows of CSV files.

    The files are read in blocks, so that their size does not matter; a row has at most 2 GiB. Quoted line
    breaks, CRLF and a byte order mark are understood, and empty lines are left out.

    A cell of another type than its column is an error, in any row. If the first cells of a column are numbers and texts
    such as NA, NaN, null or ?, set `na_value`, or the column's type in `column_defaults`.

    Args:
        file_pattern: A path or glob pattern, or several. The files are read in the order of their names.
        batch_size: The number of rows in a batch.
        column_names: The names of all columns in order; by default those in the header.
        column_defaults: For each selected column, in the order of the file, either a dtype (int32, int64,
            float32, float64 or str), which makes a missing cell an error, or the value of a missing cell. By
            default the types are inferred, and a missing cell is 0 or "".
        label_name: The column that is the label.
        select_columns: Names or numbers of the columns to read; by default all.
        field_delim: The separator of cells.
        use_quote_delim: Whether " quotes a cell.
        na_value: One or several texts that mean a missing value, like an empty cell.
        header: Whether each file begins with a row of names.
        num_epochs: The number of passes over the files; endless by default.
        shuffle: Whether the files and the rows are in random order, a different one in each epoch.
        shuffle_buffer_size: See `Dataset.shuffle`.
        shuffle_seed: See `Dataset.shuffle`.
        prefetch_buffer_size: The number of batches made ahead; none by default, as the estimator reads ahead.
        num_parallel_reads: Has no effect: the files are read one after the other.
        sloppy: Has no effect: the order depends on nothing but the seed.
        num_rows_for_inference: The number of rows from which the types are inferred; all if None.
            A column is int32, int64, float32 or float64, the first that can hold all its values, else text.
            Codes with leading zeros and integers with plus signs are text.
        compression_type: "GZIP" or "" (none); by default inferred from the file's name.
        ignore_errors: Whether to leave out rows that cannot be read.
        encoding: The files' encoding.
        strip_whitespace: Whether to strip cells and names of blanks before a cell is compared with `na_value`.
            Numbers may always have blanks around them.

    Returns:
        A dataset of (features, labels), or of features without `label_name`: features are a dict from column
        name to numpy array or Arrow string array [batch_size], labels one such array. In an endless dataset, all
        batches have `batch_size` rows.

    Raises:
        ValueError: An argument is wrong, no file matches, the columns do not fit the arguments, or, while
            reading, a file cannot be read, a quote is unclosed or within an unquoted cell, a row has another number of
            cells, or a cell is not of its column's type.
        TypeError: `column_defaults` has an entry that is neither a dtype nor a value.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "data.csv")
    >>> _ = path.write_text("age,town,label\n20,Rome,0\n35,,1\n")
    >>> data = make_csv_dataset(path, 2, label_name="label", num_epochs=1, shuffle=False)
    >>> for features, labels in data:
    ...     print(features["age"], features["town"].to_pylist(), labels)
    [20 35] ['Rome', ''] [0 1]
    """
    batching = Batching(
        batch_size, num_epochs, shuffle, shuffle_buffer_size, shuffle_seed, prefetch_buffer_size
    )
    checks.one_of("compression_type", compression_type, _COMPRESSIONS)
    quote = '"' if checks.boolean("use_quote_delim", use_quote_delim) else None
    dialect = Dialect(
        delimiter=checked_delimiter(field_delim, quote),
        quote=quote,
        na_values=_na_values(na_value),
        strip=checks.boolean("strip_whitespace", strip_whitespace),
        header=checks.boolean("header", header),
        names=_names(column_names, header),
        compression=_COMPRESSIONS[compression_type],
        encoding=_text_encoding(encoding),
        ignore_errors=checks.boolean("ignore_errors", ignore_errors),
    )
    if num_parallel_reads is not None:
        checks.whole_number("num_parallel_reads", num_parallel_reads, at_least=-1)
    checks.boolean("sloppy", sloppy)
    if num_rows_for_inference is not None:
        checks.whole_number("num_rows_for_inference", num_rows_for_inference, at_least=1)
    chosen = chosen_columns(select_columns, label_name)
    defaults = column_defaults
    if defaults is not None:
        defaults = checks.listed("column_defaults", defaults, "dtypes or values")
    files = matching_files(file_pattern)
    names = names_of(files[0], dialect)
    selected = selected_columns(names, chosen, label_name)
    if defaults is None:
        columns = _inferred(files, dialect, names, selected, num_rows_for_inference)
    else:
        columns = declared(selected, defaults)
    order = seeds.entropy(batching.shuffle_seed)
    rows = _CsvRows(files, label_name, batching.shuffle, order, dialect, names, columns)
    return batches(rows, batching)


def _na_values(na_value: str | Sequence[str]) -> tuple[str, ...]:
    texts = (
        [na_value] if isinstance(na_value, str) else checks.listed("na_value", na_value, "texts")
    )
    return tuple(checks.text("na_value", text, empty=True) for text in texts)


def _names(column_names: Sequence[str] | None, header: bool) -> tuple[str, ...] | None:
    if column_names is None:
        if not header:
            raise ValueError("With header=False the columns need names; give column_names.")
        return None
    names = checks.listed("column_names", column_names, "names")
    if not names:
        raise ValueError("column_names=[] must have the name of each column.")
    return tuple(
        checks.text("column_names", name, " Each name is one.", empty=True) for name in names
    )


def _text_encoding(encoding: str) -> str:
    name = checks.text("encoding", encoding)
    try:
        "".encode(name)
    except (LookupError, ValueError):  # unknown, or not an encoding of text, such as hex
        raise ValueError(
            f"encoding={encoding!r} must be a text encoding of Python, such as 'utf-8' or 'latin-1'."
        ) from None
    return name


def _inferred(
    files: tuple[str, ...],
    dialect: Dialect,
    names: tuple[str, ...],
    selected: tuple[str, ...],
    rows: int | None,
) -> tuple[Column, ...]:
    """The columns with types that hold the cells of the first rows, or of all rows if `rows` is None."""
    import pyarrow as pa

    blocks: list[tuple[Block, Texts]] = []
    left = math.inf if rows is None else rows
    for block, texts in _all_blocks(files, dialect, names, selected):
        number = len(texts[selected[0]])
        if number > left:
            texts = {name: cells.slice(0, left) for name, cells in texts.items()}  # noqa: PLW2901
        blocks.append((block, texts))
        left -= number
        if left <= 0:
            break
    columns = []
    for name in selected:
        cells = pa.chunked_array([texts[name] for _, texts in blocks], pa.string())
        column, marker = inferred(name, cells)
        if marker is not None and not dialect.ignore_errors:
            place = _place(blocks, name, marker)
            raise ValueError(f"{place}: {why_wrong(cells[marker].as_py(), column)}")
        columns.append(column)
    return tuple(columns)


def _all_blocks(
    files: tuple[str, ...], dialect: Dialect, names: tuple[str, ...], wanted: tuple[str, ...]
) -> Iterator[tuple[Block, Texts]]:
    for path in files:
        yield from text_blocks(path, dialect, names, wanted)


def _place(blocks: list[tuple[Block, Texts]], name: str, row: int) -> str:
    for block, texts in blocks:
        if row < len(texts[name]):
            return block.place(row)
        row -= len(texts[name])
    raise AssertionError


@dataclasses.dataclass(frozen=True)
class _CsvRows(FileRows):
    """The rows of the files, a block at a time."""

    dialect: Dialect
    names: tuple[str, ...]
    columns: tuple[Column, ...]

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Yields blocks as they are read. Skipped rows are read, as rows have no fixed length, but not converted."""
        if self.dialect.ignore_errors:  # converting a row tells whether it counts
            return drop(self._read(epoch, 0), skip)
        return self._read(epoch, skip)

    def cardinality(self) -> None:
        """Unknown."""
        return

    def description(self) -> dict[str, JSON]:
        """The files, the columns and their types."""
        columns = [[column.name, column.type] for column in self.columns]
        return {**super().description(), "columns": columns}

    def _read(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        wanted = tuple(column.name for column in self.columns)
        files = tuple(self.in_order(epoch))
        for block, texts in _all_blocks(files, self.dialect, self.names, wanted):
            rows = len(texts[wanted[0]])
            if skip >= rows:
                skip -= rows
                continue
            yield from drop(self._converted(block, texts), skip)
            skip = 0

    def _converted(self, block: Block, texts: Texts) -> Iterator[Chunk]:
        columns: dict[str, HostArray] = {}
        unreadable: set[int] = set()
        for column in self.columns:
            columns[column.name], bad = convert(texts[column.name], column)
            if bad and not self.dialect.ignore_errors:
                cell = texts[column.name][bad[0]].as_py()
                raise ValueError(f"{block.place(bad[0])}: {why_wrong(cell, column)}")
            unreadable.update(bad)
        rows = self.rows(columns)
        if unreadable:
            rows = rows.take(np.setdiff1d(np.arange(len(rows)), list(unreadable)))
        if len(rows):
            yield rows
