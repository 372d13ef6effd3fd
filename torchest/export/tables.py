"""Reads tables of features and writes tables of answers, as CSV, JSON lines or Parquet, in batches."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import uuid
from typing import TYPE_CHECKING, Protocol, TextIO, TypeAlias

import numpy as np

from torchest.errors import suggest
from torchest.export.inputs import by_any_name, dtype_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    import pyarrow as pa

    from torchest.export.inputs import Input
    from torchest.exported.golden import Array
    from torchest.utils.arrays import ArrowArray

_Choose: TypeAlias = "Callable[[Sequence[str]], list[str]]"
_FORMATS = (".csv", ".jsonl", ".parquet")


def format_of(path: str) -> str:
    """The ending of a file, which determines its format.

    Raises:
        ValueError: The ending is unknown.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in _FORMATS:
        raise ValueError(f"{path!r} must end with one of {', '.join(_FORMATS)}.")
    return ending


def read_batches(
    path: str, inputs: Sequence[Input], batch_size: int, *, allow_missing: bool = False
) -> Iterator[dict[str, ArrowArray]]:
    """Reads the columns of a table that are inputs, as Arrow arrays by name, in batches.

    Args:
        path: The table. In CSV, a list has a single value.
        inputs: The inputs; other columns are skipped.
        batch_size: The largest number of rows of a batch.
        allow_missing: Whether the table may lack inputs that the model reads.

    Raises:
        ValueError: The ending is unknown, no column is an input, or the table lacks an input that the model reads.
    """
    tables = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}[format_of(path)]

    def choose(columns: Sequence[str]) -> list[str]:
        return _inputs_among(columns, path, inputs, allow_missing=allow_missing)

    with _naming_errors(path):
        for table in tables(path, inputs, choose):
            for batch in table.combine_chunks().to_batches(max_chunksize=batch_size):
                yield dict(zip(batch.schema.names, batch.columns, strict=True))


@contextlib.contextmanager
def _naming_errors(path: str) -> Iterator[None]:
    """Adds the file and, for CSV, the column to errors of Arrow."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowInvalid as error:
        reason = re.sub(r"In CSV column #(\d+)", lambda at: _column(path, int(at[1])), str(error))
        raise ValueError(f"{path!r} cannot be read: {reason}") from error


def _column(path: str, number: int) -> str:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return f"Column {next(csv.reader(file))[number]!r}"


def _inputs_among(
    columns: Sequence[str], path: str, inputs: Sequence[Input], *, allow_missing: bool
) -> list[str]:
    """The columns of a table that are inputs."""
    names = by_any_name(inputs)
    kept = [name for name in columns if name in names]
    twice = next((name for name in kept if kept.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{path!r} has more than one column {twice!r}: keep only one.")
    there = {names[name].name for name in kept}
    lacking = [each.name for each in inputs if each.used and each.name not in there]
    others = [name for name in columns if name not in names]
    if lacking and not allow_missing:
        raise ValueError(
            f"{path!r} has no column {lacking[0]!r}, which the model reads.{suggest(lacking[0], others or columns)} "
            "Rename the column, or give --allow-missing to answer without it."
        )
    if not kept:
        raise ValueError(f"{path!r} has no column that is an input.{suggest(columns[0], names)}")
    return kept


def write_batches(
    path: str, batches: Iterator[Mapping[str, Array]], lists: Collection[str] = ()
) -> int:
    """Writes answers, and returns the number of rows. The file appears when it is complete.

    Args:
        path: The table to write; its ending determines the format.
        batches: Arrays [batch, ...] by name. Several values in a row are columns `name_0`, `name_1` and so on in CSV,
            and a column of lists otherwise.
        lists: The names of arrays whose number of values in a row differs between batches.

    Raises:
        ValueError: The ending is unknown, there are no rows, or the numbers of values differ in CSV.
    """
    ending = format_of(path)
    temporary = os.path.join(
        os.path.dirname(path), f".tmp-{os.path.basename(path)}-{uuid.uuid4().hex[:8]}"
    )
    count = 0
    try:
        with contextlib.ExitStack() as opened:
            writer: _Writer | None = None
            for answers in batches:
                table = _table(answers, lists, flat=ending == ".csv")
                if writer is None:
                    schema = table.schema
                    writer = opened.enter_context(_writer(temporary, ending, schema))
                elif ending == ".csv" and table.schema != schema:
                    raise ValueError(
                        f"The rows of {' and '.join(map(repr, lists))} have differing numbers of values, which a .csv "
                        "cannot hold: write a .jsonl or a .parquet."
                    )
                writer.write_table(table)
                count += len(table)
        if not count:
            raise ValueError("There are no rows to answer, so nothing is written.")
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return count


def _csv(path: str, inputs: Sequence[Input], choose: _Choose) -> Iterator[pa.Table]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    types = {
        name: pa.string() if each.is_text else _type(each)
        for name, each in by_any_name(inputs).items()
    }
    convert = arrow_csv.ConvertOptions(column_types=types, strings_can_be_null=False)
    with arrow_csv.open_csv(path, convert_options=convert) as reader:
        columns = choose(reader.schema.names)
        for batch in reader:
            if batch.num_rows:
                yield pa.Table.from_batches([batch]).select(columns)


def _json_lines(path: str, inputs: Sequence[Input], choose: _Choose) -> Iterator[pa.Table]:  # noqa: ARG001
    from pyarrow import json as arrow_json

    table = arrow_json.read_json(path)
    yield table.select(choose(table.column_names))


def _parquet(path: str, inputs: Sequence[Input], choose: _Choose) -> Iterator[pa.Table]:  # noqa: ARG001
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=choose(file.schema_arrow.names)):
            yield pa.Table.from_batches([batch])


def _type(each: Input) -> pa.DataType:
    import pyarrow as pa

    dtype: pa.DataType = getattr(pa, dtype_text(each.spec.dtype))()
    return dtype


def _table(answers: Mapping[str, Array], lists: Collection[str], *, flat: bool) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, ArrowArray] = {}
    for name, answer in answers.items():
        rows = answer.reshape(len(answer), -1)
        if flat and (name in lists or rows.shape[1] > 1):
            columns |= {f"{name}_{at}": _array(rows[:, at]) for at in range(rows.shape[1])}
        elif name in lists:
            offsets: ArrowArray = pa.array(np.arange(len(rows) + 1) * rows.shape[1])
            columns[name] = pa.LargeListArray.from_arrays(offsets, _array(rows.reshape(-1)))
        elif rows.shape[1] == 1:
            columns[name] = _array(rows[:, 0])
        else:
            columns[name] = pa.FixedSizeListArray.from_arrays(
                _array(rows.reshape(-1)), rows.shape[1]
            )
    return pa.table(columns)


def _array(values: Array) -> ArrowArray:
    import pyarrow as pa

    if values.dtype == object:
        return pa.array(values, pa.binary()).cast(pa.string())
    return pa.array(np.ascontiguousarray(values))


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...


@contextlib.contextmanager
def _writer(path: str, ending: str, schema: pa.Schema) -> Iterator[_Writer]:
    if ending == ".csv":
        from pyarrow import csv as arrow_csv

        with arrow_csv.CSVWriter(path, schema) as writer:
            yield writer
    elif ending == ".parquet":
        from pyarrow import parquet

        with parquet.ParquetWriter(path, schema) as writer:
            yield writer
    else:
        with open(path, "w", encoding="utf-8") as file:
            yield _JsonLines(file)


class _JsonLines:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write_table(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
