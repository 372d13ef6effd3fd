"""`make_parquet_dataset`: batches of selected columns from Parquet files of any size."""

from __future__ import annotations

import contextlib
import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING

from torchest.errors import suggest
from torchest.inputs import seeds
from torchest.inputs.chunks import BLOCK, Chunk, drop
from torchest.inputs.file_patterns import matching_files
from torchest.inputs.table_files import (
    Batching,
    FileRows,
    batches,
    chosen_columns,
    repeated,
    selected_columns,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from pyarrow import parquet

    from torchest.inputs.dataset import Dataset
    from torchest.inputs.file_patterns import Paths
    from torchest.inputs.stages import Epoch
    from torchest.utils.arrays import ArrowArray

_READ_AHEAD = 1 << 20  # bytes of each column that are read at once, instead of a whole row group


def make_parquet_dataset(  # noqa: PLR0913 - as make_csv_dataset
    file_pattern: Paths,
    batch_size: int,
    label_name: str | None = None,
    select_columns: Sequence[str | int] | None = None,
    num_epochs: int | None = None,
    shuffle: bool = True,
    shuffle_buffer_size: int = 10000,
    shuffle_seed: int | None = None,
    prefetch_buffer_size: int | None = None,
) -> Dataset:
    """Batches of the rows of Parquet files.

    Row groups are read in blocks of rows, so that neither the size of a file nor that of a row group matters.
    Columns that are not selected are not read.

    Args:
        file_pattern: A path or glob pattern, or several. The files are read in the order of their names.
        batch_size: The number of rows in a batch.
        label_name: The column that is the label.
        select_columns: Names or numbers of the columns to read; by default all.
        num_epochs: The number of passes over the files; endless by default.
        shuffle: Whether the files and the rows are in random order, a different one in each epoch.
        shuffle_buffer_size: See `Dataset.shuffle`.
        shuffle_seed: See `Dataset.shuffle`.
        prefetch_buffer_size: The number of batches made ahead; none by default, as the estimator reads ahead.

    Returns:
        A dataset of (features, labels), or of features without `label_name`: features are a dict from column
        name to numpy or Arrow array [batch_size], labels one such array. Missing values, dictionaries and
        lists are kept; see `torchest.utils.arrays`. In an endless dataset, all batches have `batch_size` rows.

    Raises:
        ValueError: No file matches, a column does not exist, a file cannot be read, or a column has
            another type than in the first file.
        TypeError: While reading: a column is of an unknown type.

    >>> import pathlib, tempfile
    >>> import pyarrow as pa
    >>> from pyarrow import parquet
    >>> path = pathlib.Path(tempfile.mkdtemp(), "data.parquet")
    >>> parquet.write_table(pa.table({"age": [20, 35], "town": ["Rome", None], "label": [0, 1]}), path)
    >>> data = make_parquet_dataset(path, 2, label_name="label", num_epochs=1, shuffle=False)
    >>> for features, labels in data:
    ...     print(features["age"], features["town"].to_pylist(), labels)
    [20 35] ['Rome', None] [0 1]
    """
    batching = Batching(
        batch_size, num_epochs, shuffle, shuffle_buffer_size, shuffle_seed, prefetch_buffer_size
    )
    chosen = chosen_columns(select_columns, label_name)
    files = matching_files(file_pattern)
    with _opened(files[0]) as first:
        schema = first.schema_arrow
    names = _unique(files[0], schema.names)
    selected = selected_columns(names, chosen, label_name)
    types = {name: schema.field(name).type for name in selected}
    order = seeds.entropy(batching.shuffle_seed)
    rows = _ParquetRows(files, label_name, batching.shuffle, order, types)
    return batches(rows, batching)


@dataclasses.dataclass(frozen=True)
class _ParquetRows(FileRows):
    """The rows of the files, a block of a row group at a time."""

    types: dict[str, pa.DataType]

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """Yields blocks as they are read; skipped files and row groups are not read."""
        dictionaries = _Dictionaries()
        for path in self.in_order(epoch):
            if skip >= self._lengths[path]:
                skip -= self._lengths[path]
                continue
            yield from self._read(path, skip, dictionaries)
            skip = 0

    def cardinality(self) -> int:
        """The number of rows in the footers of the files."""
        return sum(self._lengths.values())

    @cached_property
    def _lengths(self) -> dict[str, int]:
        lengths = {}
        for path in self.files:
            with _opened(path) as file:
                lengths[path] = file.metadata.num_rows
        return lengths

    def _read(self, path: str, skip: int, dictionaries: _Dictionaries) -> Iterator[Chunk]:
        with _opened(path) as file:
            self._check_columns(path, file.schema_arrow.names)
            for group in range(file.num_row_groups):
                length = file.metadata.row_group(group).num_rows
                if skip >= length:
                    skip -= length
                    continue
                blocks = _blocks(path, file, group, list(self.types))
                rows = (self.rows(self._columns(path, block, dictionaries)) for block in blocks)
                yield from drop(rows, skip)
                skip = 0

    def _columns(
        self, path: str, block: pa.RecordBatch, dictionaries: _Dictionaries
    ) -> dict[str, ArrowArray]:
        """The columns of a block, in the types of the first file."""
        import pyarrow as pa

        columns = {}
        for name, kind in self.types.items():
            column: ArrowArray = block.column(name)
            try:
                converted = column if column.type == kind else column.cast(kind)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise ValueError(
                    f"{path} has {column.type} in the column {name!r}, but the first file has {kind}, and not all "
                    f"values can be converted ({str(error).splitlines()[0]}): write the files with one type."
                ) from error
            columns[name] = dictionaries.shared(name, converted)
        return columns

    def _check_columns(self, path: str, names: list[str]) -> None:
        for name in self.types:
            if names.count(name) != 1:
                raise ValueError(
                    f"{path} has no column {name!r}, unlike the first file.{suggest(name, names)}"
                    if name not in names
                    else f"{path} has the column {name!r} more than once: rename one of them."
                )


class _Dictionaries:
    """The last dictionary of each column.

    Arrow copies the dictionary for each block. Blocks with one dictionary are joined without hashing, and a
    feature column encodes a dictionary once only.
    """

    def __init__(self) -> None:
        self._last: dict[str, ArrowArray] = {}

    def shared(self, name: str, column: ArrowArray) -> ArrowArray:
        """The column, with the dictionary of the previous block if it is equal."""
        import pyarrow as pa

        if not pa.types.is_dictionary(column.type):
            return column
        last = self._last.get(name)
        if last is None or not column.dictionary.equals(last):
            self._last[name] = column.dictionary
            return column
        ordered = column.type.ordered
        return pa.DictionaryArray.from_arrays(column.indices, last, ordered=ordered, safe=False)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[parquet.ParquetFile]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=_READ_AHEAD)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error
    with file:
        yield file


def _blocks(
    path: str, file: parquet.ParquetFile, group: int, names: list[str]
) -> Iterator[pa.RecordBatch]:
    """Blocks of some columns of a row group."""
    import pyarrow as pa

    blocks = file.iter_batches(BLOCK, row_groups=[group], columns=names, use_threads=False)
    while True:
        try:
            block = next(blocks, None)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from error
        if block is None:
            return
        yield block


def _unreadable(path: str, error: Exception) -> ValueError:
    reason = str(error).splitlines()[0].rstrip(".")
    return ValueError(f"{path} cannot be read as a Parquet file: {reason}.")


def _unique(path: str, names: list[str]) -> tuple[str, ...]:
    twice = repeated(names)
    if twice is not None:
        raise ValueError(f"{path} has the column {twice!r} more than once: rename one of them.")
    return tuple(names)
