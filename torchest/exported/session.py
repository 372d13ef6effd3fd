"""Opens sessions of onnxruntime for ONNX files from untrusted sources.

An ONNX file may name other files that hold tensors, and older versions of onnxruntime read any file. So `session`
checks the names first, without a library.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any

from torchest.errors import RefusedFileError
from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import Iterator

# The fields that may hold tensors, by message and number: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_PARTS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}  # fmt: skip
_KEY, _VALUE = 1, 2
_LOCATION = b"location"


def session(directory: str, name: str, threads: int = 0) -> Any:
    """Opens an ONNX file of a directory in onnxruntime, on the CPU.

    Args:
        directory: The directory, on the disk.
        name: The name of the file.
        threads: The number of threads of a run; 0 leaves it to onnxruntime.

    Returns:
        An `onnxruntime.InferenceSession`.

    Raises:
        RefusedFileError: It reads files outside the directory.
    """
    import onnxruntime

    path = os.path.join(directory, name)
    for location in _locations(path):
        if not os.path.isfile(files.inside(directory, location)):
            raise RefusedFileError(
                f"{path!r} has tensors in {location!r:.80}, but there is no such file beside it."
            )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


def _locations(path: str) -> list[str]:
    """The names of the files that hold tensors of an ONNX file."""
    if not os.path.getsize(path):
        return []
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        if content.find(_LOCATION) < 0:  # as in nearly every file
            return []
        return [
            value.decode("utf-8", "replace") for key, value in _entries(content) if key == _LOCATION
        ]


def _entries(content: mmap.mmap) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values that describe the files of a model's tensors."""
    messages = [("model", 0, len(content))]
    while messages:
        kind, start, stop = messages.pop()
        texts: dict[int, bytes] = {}
        for number, first, last in _fields(content, start, stop):
            part = _PARTS[kind].get(number)
            if part is not None:
                messages.append((part, first, last))
            elif kind == "entry":
                texts[number] = content[first:last]
        if kind == "entry":
            yield texts.get(_KEY, b""), texts.get(_VALUE, b"")


def _fields(content: mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The length-delimited fields of a message: number, start and end of the value."""
    while start < stop:
        tag, start = _varint(content, start)
        number, wire_type = (tag & 0xFFFFFFFF) >> 3, tag & 7
        if wire_type == 0:
            _, start = _varint(content, start)
        elif wire_type in (1, 5):
            start += 8 if wire_type == 1 else 4
        elif wire_type == 2:
            size, start = _varint(content, start)
            if start + size > stop:
                break
            yield number, start, start + size
            start += size
        else:
            break
    if start != stop:
        raise ValueError("it is not in the format of Protocol Buffers")


def _varint(content: mmap.mmap, start: int) -> tuple[int, int]:
    """A number, and the place after it."""
    value = 0
    for place, byte in enumerate(content[start : start + 10]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, start + place + 1
    raise ValueError("it is not in the format of Protocol Buffers")
