"""`TFRecordDataset`: the records of TFRecord files.

A file is a sequence of records. Each consists of the length (8 bytes), the checksum of the length (4 bytes), the data,
and the checksum of the data (4 bytes). Numbers are little-endian, checksums masked CRC-32C.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from torchest.inputs.byte_strings import strings_at
from torchest.inputs.dataset import Dataset
from torchest.inputs.file_blocks import FileBlocks, contents, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from torchest.inputs.file_patterns import Paths
    from torchest.utils.arrays import ArrowArray

_HEADER, _FOOTER = 12, 4  # bytes around the data of a record


class TFRecordDataset(Dataset):
    """The records of TFRecord files, each as bytes.

    The files are read in blocks, so that their size does not matter. If a file is corrupt or cut off, iterating
    raises a ValueError with the file and the offset (in the decompressed data).

    Args:
        filenames: One or several paths or glob patterns, or a dataset of them. They are read in this order, the files
            of a pattern in the order of their names.
        compression_type: "GZIP", "ZLIB", or None or "" for none.
        buffer_size: The number of bytes that are read at once; 1 MiB by default.
        num_parallel_reads: Has no effect: the files are read one after the other.

    Raises:
        ValueError: A file does not exist, or an argument is wrong.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "data.tfrecord")
    >>> header = bytes.fromhex("01000000000000000175de41")  # the length 1 and its checksum
    >>> path.write_bytes(header + b"a" + bytes.fromhex("786ee428"))
    17
    >>> list(TFRecordDataset(path))
    [b'a']
    """

    def __init__(
        self,
        filenames: Paths | Dataset,
        compression_type: str | None = None,
        buffer_size: int | None = None,
        num_parallel_reads: int | None = None,
    ) -> None:
        super().__init__(
            reading(_Records, filenames, compression_type, buffer_size, num_parallel_reads)
        )


@dataclass(frozen=True)
class _Records(FileBlocks):
    """The records of the files, a block at a time."""

    def read(self, path: str) -> Iterator[ArrowArray]:
        """The records of a file in Arrow arrays. An error is raised after the records before the fault."""
        from torchest.kernels import tfrecords

        offset, needed = 0, _HEADER
        buffer = bytearray()
        for part in contents(path, self.compression, self.block):
            buffer += part
            if len(buffer) < needed:
                continue
            block = np.frombuffer(bytes(buffer), np.uint8)
            starts = np.empty(len(block) // (_HEADER + _FOOTER) + 1, np.int64)
            count, needed, is_intact = tfrecords.follow(block, starts)
            if count:
                places = np.stack([starts[:count] + _HEADER, starts[1 : count + 1] - _FOOTER], 1)
                yield strings_at(block, places)
            end = int(starts[count])
            offset += end
            if not is_intact:
                raise _corrupt(path, offset, self.compression, block)
            del buffer[:end]
        if buffer:
            raise ValueError(
                f"{path} ends within the record at byte {offset}{_decompressed(self.compression)}: the file is cut "
                "off, so write or copy it again."
            )


def _corrupt(
    path: str, offset: int, compression: str | None, block: npt.NDArray[np.uint8]
) -> ValueError:
    if offset == 0 and compression is None and block[:2].tobytes() == b"\x1f\x8b":
        return ValueError(f"{path} is compressed: give compression_type='GZIP'.")
    return ValueError(
        f"{path} is corrupt in the record at byte {offset}{_decompressed(compression)}: a checksum is wrong. Write "
        "or copy the file again, or check that it is a TFRecord file."
    )


def _decompressed(compression: str | None) -> str:
    return " of its decompressed content" if compression else ""
