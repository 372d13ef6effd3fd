"""Bundles: TensorFlow's checkpoints of version 2.

    model.ckpt-100.index                  a table with the form and the place of each variable
    model.ckpt-100.data-00000-of-00001    the bytes of the variables, in one or several files

A partitioned variable has an entry with its whole shape and the slices that there are; each slice has its own entry.

Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/tensor_bundle.proto
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from torchest.checkpoint.tensorflow.checksum import masked_crc32c
from torchest.checkpoint.tensorflow.slices import Extent, is_key_of_slice, key_of, slice_of
from torchest.checkpoint.tensorflow.sorted_table import read_table
from torchest.checkpoint.tensorflow.strings import read_strings
from torchest.checkpoint.tensorflow.wire_format import Message
from torchest.errors import DamagedCheckpointError, RefusedFileError
from torchest.utils import files
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torchest.checkpoint.tensorflow.slices import Slice

_VERSION = 1  # the newest that this reads
_MOST_DIMENSIONS, _MOST_ELEMENTS = 32, 1 << 60
_STRING = 7
_DTYPES = {
    1: torch.float32,
    2: torch.float64,
    3: torch.int32,
    4: torch.uint8,
    5: torch.int16,
    6: torch.int8,
    8: torch.complex64,
    9: torch.int64,
    10: torch.bool,
    14: torch.bfloat16,
    17: torch.uint16,
    18: torch.complex128,
    19: torch.float16,
    22: torch.uint32,
    23: torch.uint64,
}


@dataclass(frozen=True)
class Entry:
    """The form and the place of a variable, or of a slice of one.

    Attributes:
        dtype: Its number in TensorFlow.
        shape: The shape.
        shard: The number of its file.
        offset: Where its bytes begin.
        size: Their number.
        checksum: Their masked CRC-32C.
        slices: Those of a partitioned variable, which has no bytes of its own.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    slices: tuple[Slice, ...]

    @property
    def elements(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


class _Part(NamedTuple):
    """A slice of a variable, and its place in it."""

    name: str
    entry: Entry
    place: tuple[slice, ...]


class Bundle:
    """A reader of one bundle. The index is read at once, and a variable when it is asked for.

    Args:
        prefix: The path without `.index`.

    Attributes:
        prefix: See above.
        entries: Variables by name, sorted.

    Raises:
        DamagedCheckpointError: The index is not one, or is damaged.
        FileNotFoundError: There is none.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        path = f"{prefix}.index"
        try:
            files.check_link(path)
            table = read_table(files.read_bytes(path))
            self._shards = _shards(table.pop(b"", b""))
            entries = {key: _entry(Message(value)) for key, value in table.items()}
            self.entries = {
                key.decode(): entry for key, entry in entries.items() if not is_key_of_slice(key)
            }
        except RefusedFileError as error:
            raise DamagedCheckpointError(str(error)) from None
        except ValueError as error:
            what = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise self._damaged(f"{path!r} is not an index that TensorFlow wrote: {what}") from None
        self._slices = {key: entry for key, entry in entries.items() if is_key_of_slice(key)}

    def tensor(self, *names: str) -> Tensor:
        """The value of a variable of numbers.

        Args:
            names: One of `entries`; or several, of one shape, if each has only some of the slices.

        Raises:
            DamagedCheckpointError: Its bytes are missing, or are not what was written.
        """
        entry = self.entries[names[0]]
        if entry.dtype not in _DTYPES:
            raise self._damaged(
                f"{names[0]!r} has the type {entry.dtype} of TensorFlow, which is not one of numbers"
            )
        if len(names) == 1 and not entry.slices:
            return self._numbers(names[0], entry)
        return self._joined(entry, [part for name in names for part in self._parts(name, entry)])

    def strings(self, name: str) -> list[bytes]:
        """The value of a variable of strings, flattened."""
        entry = self.entries[name]
        try:
            return read_strings(bytes(self._bytes(name, entry)), entry.elements, entry.checksum)
        except ValueError as error:
            raise self._damaged(f"{name!r}: {error}") from None

    def dtype(self, name: str) -> torch.dtype | type:
        """The type of a variable: bytes if it is of strings, object if it is neither of these nor of numbers."""
        number = self.entries[name].dtype
        return bytes if number == _STRING else _DTYPES.get(number, object)

    def _numbers(self, name: str, entry: Entry) -> Tensor:
        dtype = _DTYPES[entry.dtype]
        if entry.elements * dtype.itemsize != entry.size:
            raise self._damaged(f"{name!r} of shape {list(entry.shape)} has {entry.size:,} bytes")
        data = self._bytes(name, entry)
        if masked_crc32c(data) != entry.checksum:
            raise self._damaged(f"the checksum of {name!r} is wrong")
        if not data:
            return torch.empty(entry.shape, dtype=dtype)
        return torch.frombuffer(data, dtype=dtype).reshape(entry.shape)

    def _joined(self, whole: Entry, parts: list[_Part]) -> Tensor:
        """The slices of a partitioned variable in one tensor."""
        name = parts[0].name if parts else None
        places = sorted((part.entry.shard, part.entry.offset, part.entry.size) for part in parts)
        is_apart = all(
            shard != other or offset + size <= next_offset
            for (shard, offset, size), (other, next_offset, _) in itertools.pairwise(places)
        )
        if not is_apart or sum(part.entry.elements for part in parts) != whole.elements:
            raise self._damaged(f"the slices of {name!r} are not all of it")
        tensors = [self._numbers(part.name, part.entry) for part in parts]
        is_there = torch.zeros(whole.shape, dtype=torch.bool)
        joined = torch.empty(whole.shape, dtype=_DTYPES[whole.dtype])
        for part, tensor in zip(parts, tensors, strict=True):
            joined[part.place] = tensor
            is_there[part.place] = True
        if not is_there.all():
            raise self._damaged(f"the slices of {name!r} overlap")
        return joined

    def _parts(self, name: str, whole: Entry) -> Iterator[_Part]:
        """The slices under one name."""
        for extents in self.entries[name].slices:
            entry = self._slices.get(key_of(name, extents))
            if entry is None or entry.dtype != whole.dtype or len(extents) != len(whole.shape):
                raise self._damaged(f"a slice of {name!r} is missing")
            try:
                place = tuple(map(Extent.within, extents, whole.shape))
            except ValueError as error:
                raise self._damaged(f"{name!r}: {error}") from None
            if entry.shape != tuple(each.stop - each.start for each in place):
                raise self._damaged(f"a slice of {name!r} has the shape {list(entry.shape)}")
            yield _Part(name, entry, place)

    def _bytes(self, name: str, entry: Entry) -> bytearray:
        if entry.shard >= self._shards:
            raise self._damaged(f"{name!r} lies in file {entry.shard} of {self._shards}")
        path = f"{self.prefix}.data-{entry.shard:05d}-of-{self._shards:05d}"
        try:
            data = files.read_part(path, entry.offset, entry.size)
        except FileNotFoundError:
            raise self._damaged(f"{path!r} is missing, which has {name!r}") from None
        except RefusedFileError as error:
            raise self._damaged(str(error).removesuffix(".")) from None
        if len(data) < entry.size:
            raise self._damaged(f"{path!r} ends before the end of {name!r}")
        return data

    def _damaged(self, problem: str) -> DamagedCheckpointError:
        return DamagedCheckpointError(
            f"The TensorFlow checkpoint {self.prefix!r} cannot be read: {problem}. Copy its files again, or use "
            "another checkpoint."
        )


def _shards(data: bytes) -> int:
    """The number of files, of a BundleHeaderProto."""
    header = Message(data)
    if header.number(2):
        raise ValueError("it was written on a big-endian machine")
    needed = max((version.number(2) for version in header.messages(3)), default=0)
    if needed > _VERSION:
        raise ValueError(f"its format has version {needed}, newer than {_VERSION}")
    count = header.number(1)
    if not 1 <= count <= 99999:
        raise ValueError(f"it has {count} files")
    return count


def _entry(message: Message) -> Entry:
    """The entry that a BundleEntryProto stands for."""
    shape = message.messages(2)[-1:]
    sizes = tuple(size.number(1) for each in shape for size in each.messages(2))
    entry = Entry(
        dtype=message.number(1),
        shape=sizes,
        shard=message.number(3),
        offset=message.number(4),
        size=message.number(5),
        checksum=message.number(6),
        slices=tuple(map(slice_of, message.messages(7))),
    )
    if min(*sizes, entry.shard, entry.offset, entry.size, 0) < 0:
        raise ValueError("an entry has a size below 0")
    if len(sizes) > _MOST_DIMENSIONS or math.prod(max(size, 1) for size in sizes) > _MOST_ELEMENTS:
        raise ValueError(f"an entry has the shape {shown(sizes)}")
    return entry
