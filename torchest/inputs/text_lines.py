"""`TextLineDataset`: the lines of text files."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from torchest.inputs.byte_strings import strings_at
from torchest.inputs.dataset import Dataset
from torchest.inputs.file_blocks import FileBlocks, contents, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torchest.inputs.file_patterns import Paths
    from torchest.utils.arrays import ArrowArray


class TextLineDataset(Dataset):
    r"""The lines of text files, each as a string without its line break.

    The files are read in blocks, so that their size does not matter. As in TensorFlow, no line contains a carriage
    return. A byte order mark is left out. `make_csv_dataset` reads whole tables; `decode_csv` splits lines.

    Args:
        filenames: One or several paths or glob patterns, or a dataset of them. They are read in this order, the files
            of a pattern in the order of their names.
        compression_type: "GZIP", "ZLIB", or None or "" for none.
        buffer_size: The number of bytes that are read at once; 1 MiB by default.
        num_parallel_reads: Has no effect: the files are read one after the other.

    Raises:
        ValueError: A file does not exist, or an argument is wrong; while reading, a file is cut off, or not UTF-8.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "towns.txt")
    >>> _ = path.write_text("Rome\nOslo\n")
    >>> list(TextLineDataset(path))
    ['Rome', 'Oslo']
    """

    def __init__(
        self,
        filenames: Paths | Dataset,
        compression_type: str | None = None,
        buffer_size: int | None = None,
        num_parallel_reads: int | None = None,
    ) -> None:
        super().__init__(
            reading(_Lines, filenames, compression_type, buffer_size, num_parallel_reads)
        )


@dataclass(frozen=True)
class _Lines(FileBlocks):
    """The lines of the files, a block at a time."""

    def read(self, path: str) -> Iterator[ArrowArray]:
        """The lines of a file."""
        number = 0
        parts: list[bytes] = []
        for block in contents(path, self.compression, self.block):
            part = block.replace(b"\r", b"")
            end = part.rfind(b"\n") + 1
            if end:
                lines = _split(path, number, _joined([*parts, part[:end]], number))
                yield lines
                number += len(lines)
                parts = []
            parts.append(part[end:])
        last = _joined(parts, number)
        if last:
            yield _split(path, number, last + b"\n")


def _joined(parts: list[bytes], number: int) -> bytes:
    """The parts of some lines, without a byte order mark if they are the first."""
    data = b"".join(parts)
    return data if number else data.removeprefix(codecs.BOM_UTF8)


def _split(path: str, number: int, data: bytes) -> ArrowArray:
    """The lines of some data that ends with a line break, after `number` lines of the file."""
    import pyarrow as pa

    values = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(values == ord("\n"))
    lines = strings_at(values, np.stack([np.append(0, ends[:-1] + 1), ends], 1))
    try:
        return lines.cast(pa.large_string())
    except pa.ArrowInvalid:
        raise ValueError(_not_text(path, number, data)) from None


def _not_text(path: str, number: int, data: bytes) -> str:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = number + 1 + data.count(b"\n", 0, error.start)
        wrong = data[error.start : error.end]
        return (
            f"{path}, line {line}: {wrong!r} is not text in UTF-8; convert the file, or read its table with "
            "make_csv_dataset(encoding=...)."
        )
    raise AssertionError
