"""The bytes of files, decompressed, a block at a time."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from torchest.inputs.chunks import Chunk, Rows, drop
from torchest.inputs.dataset import Dataset
from torchest.inputs.file_identity import identities
from torchest.inputs.file_patterns import files_in_order
from torchest.inputs.stages import JSON, Epoch, Stage
from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torchest.inputs.file_patterns import Paths
    from torchest.utils.arrays import ArrowArray

_WINDOW_BITS = {"GZIP": 31, "ZLIB": 15}  # which header zlib expects
_READ = 1 << 20


@dataclass(frozen=True)
class FileBlocks(Stage):
    """Values that a file has one after the other, such as lines.

    Args:
        files: The paths.
        compression: "GZIP", "ZLIB" or None.
        block: The number of bytes that are read at once.
    """

    files: tuple[str, ...]
    compression: str | None
    block: int

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:  # noqa: ARG002
        """Yields blocks as they are read. Skipped values are read, as they have no fixed length."""
        return drop((Rows.of(part) for path in self.files for part in self.read(path)), skip)

    def cardinality(self) -> None:
        """Unknown."""
        return

    def description(self) -> dict[str, JSON]:
        """The compression, and the identities of the files."""
        return {"compression": self.compression, "files": identities(self.files)}

    @abstractmethod
    def read(self, path: str) -> Iterator[ArrowArray]:
        """The values of a file in nonempty Arrow arrays."""


def reading(
    blocks: type[FileBlocks],
    filenames: Paths | Dataset,
    compression_type: str | None,
    buffer_size: int | None,
    num_parallel_reads: int | None,
) -> Stage:
    """A stage that reads files, from the arguments that TensorFlow's readers take.

    Raises:
        ValueError: A file does not exist, or an argument is wrong.
    """
    checks.one_of("compression_type", compression_type, (None, "", *_WINDOW_BITS))
    if buffer_size is not None:
        checks.whole_number("buffer_size", buffer_size, at_least=1)
    if num_parallel_reads is not None:
        checks.whole_number("num_parallel_reads", num_parallel_reads, at_least=-1)

    def of_files(names: Paths) -> Stage:
        return blocks(files_in_order(names), compression_type or None, buffer_size or _READ)

    if isinstance(filenames, Dataset):
        return filenames.flat_map(lambda name: Dataset(of_files(name)))._stage
    return of_files(filenames)


def contents(path: str, compression: str | None, block: int) -> Iterator[bytes]:
    """The file's bytes, decompressed, in parts of at most a block."""
    with open(path, "rb") as file:
        if compression is not None:
            yield from _inflated(file, path, compression, block)
            return
        while part := file.read(block):
            yield part


def _inflated(file: BinaryIO, path: str, compression: str, block: int) -> Iterator[bytes]:
    data, is_complete = b"", True
    inflate = zlib.decompressobj(_WINDOW_BITS[compression])
    while True:
        data = data or file.read(block)
        is_complete = is_complete and not data
        try:
            part = inflate.decompress(data, block)
        except zlib.error as error:
            raise ValueError(
                f"{path} cannot be decompressed as {compression} ({error}): give the compression_type that it was "
                "written with, or write or copy it again."
            ) from None
        if part:
            yield part
        elif not data:
            break
        data = inflate.unconsumed_tail
        if inflate.eof:  # another compressed stream may follow
            data, is_complete = inflate.unused_data, True
            inflate = zlib.decompressobj(_WINDOW_BITS[compression])
    if not is_complete:
        raise ValueError(
            f"{path} ends within its {compression} data: the file is cut off, so write or copy it again."
        )
