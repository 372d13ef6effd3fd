"""`make_csv_dataset`: batches from CSV files of any size, with TensorFlow's arguments and types."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.inputs import seeds
from torchest.inputs.chunks import Chunk, drop
from torchest.inputs.csv_columns import Column, convert, declared, inferred
from torchest.inputs.csv_files import Dialect, compression_of, names_of, text_blocks
from torchest.inputs.table_files import FileRows, batches, matching_files, selected_columns

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from torchest.inputs.dataset import Dataset
    from torchest.inputs.stages import Epoch


def make_csv_dataset(  # noqa: PLR0913
    file_pattern: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    batch_size: int,
    column_names: Sequence[str] | None = None,
    column_defaults: Sequence[Any] | None = None,
    label_name: str | None = None,
    select_columns: Sequence[str | int] | None = None,
    field_delim: str = ",",
    use_quote_delim: bool = True,
    na_value: str = "",
    header: bool = True,
    num_epochs: int | None = None,
    shuffle: bool = True,
    shuffle_buffer_size: int = 10000,
    shuffle_seed: int | None = None,
    prefetch_buffer_size: int | None = None,
    num_parallel_reads: int | None = None,  # noqa: ARG001
    sloppy: bool = False,  # noqa: ARG001
    num_rows_for_inference: int | None = 100,
    compression_type: str | None = None,
    ignore_errors: bool = False,
    encoding: str = "utf-8",
) -> Dataset:
    r"""Batches of the rows of CSV files.

    The files are read in blocks, so that their size does not matter. Quoted line breaks, CRLF and a byte
    order mark are understood.

    Args:
        file_pattern: A path or glob pattern, or several. The files are read in the order of their names.
        batch_size: The number of rows in a batch.
        column_names: The names of all columns in order; by default those of the header.
        column_defaults: For each selected column, in the order of the file, either a dtype (int32, int64,
            float32, float64 or str), where a missing cell is an error, or the value of a missing cell. By
            default the types are inferred and a missing cell is 0 or "".
        label_name: The column that is the label.
        select_columns: Names or numbers of the columns to read; by default all.
        field_delim: What separates the cells.
        use_quote_delim: Whether " quotes a cell.
        na_value: A text that, like an empty cell, means missing.
        header: Whether each file begins with a row of names.
        num_epochs: How often all rows are read; endless by default.
        shuffle: Whether the order of the files and of the rows is random, another one in each epoch.
        shuffle_buffer_size: See `Dataset.shuffle`.
        shuffle_seed: See `Dataset.shuffle`.
        prefetch_buffer_size: How many batches are made ahead; none by default, as the estimator reads ahead.
        num_parallel_reads: Has no effect: the files are read one after the other.
        sloppy: Has no effect: the order depends on nothing but the seed.
        num_rows_for_inference: How many rows are looked at to find the columns' types; all with None.
            A column is int32, int64, float32 or float64, the first that can hold all its values, else text.
        compression_type: "GZIP" or "" (none); by default known from the file's name.
        ignore_errors: Whether to leave out rows that cannot be read.
        encoding: The files' encoding.

    Returns:
        A dataset of (features, labels), or of features without `label_name`: features a dict from column
        name to numpy array or Arrow string array [batch_size], labels one such array. Without an end there
        is no last, smaller batch.

    Raises:
        ValueError: No file matches, the columns do not fit the arguments, or, while reading, a file cannot
            be read or a cell is not of its column's type.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "data.csv")
    >>> _ = path.write_text("age,town,label\n20,Rome,0\n35,,1\n")
    >>> data = make_csv_dataset(path, 2, label_name="label", num_epochs=1, shuffle=False)
    >>> for features, labels in data:
    ...     print(features["age"], features["town"].to_pylist(), labels)
    [20 35] ['Rome', ''] [0 1]
    """
    files = matching_files(file_pattern)
    dialect = Dialect(
        field_delim,
        '"' if use_quote_delim else None,
        na_value,
        header,
        tuple(column_names) if column_names is not None else None,
        compression_of(compression_type),
        encoding,
        ignore_errors,
    )
    names = names_of(files[0], dialect)
    selected = selected_columns(names, select_columns, label_name)
    if column_defaults is None:
        blocks = (
            texts for path in files for _, texts in text_blocks(path, dialect, names, selected)
        )
        columns = inferred(blocks, selected, num_rows_for_inference)
    else:
        columns = declared(selected, column_defaults)
    order = seeds.entropy(shuffle_seed)
    rows = _CsvRows(files, label_name, shuffle, order, dialect, names, columns)
    return batches(
        rows, batch_size, num_epochs, shuffle_buffer_size, shuffle_seed, prefetch_buffer_size
    )


@dataclasses.dataclass(frozen=True)
class _CsvRows(FileRows):
    """The rows of the files, a block at a time."""

    dialect: Dialect
    names: tuple[str, ...]
    columns: tuple[Column, ...]

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Blocks as they are read; skipped rows are read too, as rows have no fixed length, but not converted."""
        if (
            self.dialect.ignore_errors
        ):  # which rows there are is known when they have been converted
            return drop(self._read(epoch, 0), skip)
        return self._read(epoch, skip)

    def cardinality(self) -> None:
        """Unknown."""
        return

    def description(self) -> dict[str, Any]:
        """Also the columns with their types."""
        columns = [[column.name, column.type] for column in self.columns]
        return {**super().description(), "columns": columns}

    def _read(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        wanted = [column.name for column in self.columns]
        for path in self.in_order(epoch):
            for first_row, texts in text_blocks(path, self.dialect, self.names, wanted):
                rows = len(texts[wanted[0]])
                if skip >= rows:
                    skip -= rows
                    continue
                yield from drop(self._converted(path, first_row, texts), skip)
                skip = 0

    def _converted(self, path: str, first_row: int, texts: Any) -> Iterator[Chunk]:
        columns: dict[str, Any] = {}
        unreadable: set[int] = set()
        for column in self.columns:
            columns[column.name], bad = convert(texts[column.name], column)
            if bad and not self.dialect.ignore_errors:
                raise ValueError(_bad_cell(path, first_row + bad[0], texts, column, bad[0]))
            unreadable.update(bad)
        rows = self.rows(columns)
        if unreadable:
            rows = rows.take(np.setdiff1d(np.arange(len(rows)), list(unreadable)))
        if len(rows):
            yield rows


def _bad_cell(path: str, row: int, texts: Any, column: Column, index: int) -> str:
    cell = texts[column.name][index].as_py()
    if cell is None:
        return (
            f"{path}: the column {column.name!r} has no value in data row {row + 1}, and column_defaults gives "
            "only its dtype; give the value of a missing cell there."
        )
    return (
        f"{path}: the column {column.name!r} has {cell!r} in data row {row + 1}, which is no {column.type}; correct "
        "it, raise num_rows_for_inference, give the type in column_defaults, or leave such rows out with "
        "ignore_errors=True."
    )
