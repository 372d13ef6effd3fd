"""Event files for TensorBoard.

    writer = SummaryWriter("model")
    writer.add_scalar("loss", 0.5, global_step=100)
    writer.close()

The methods have the names and arguments of `torch.utils.tensorboard.SummaryWriter`, so hooks work with either writer.
"""

from __future__ import annotations

import functools
import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.summary.png import png
from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from torchest.metrics import AUC

    Floats = npt.NDArray[np.float64]

_FLUSH_SECS = 20.0
_BINS = 30
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_own_files: dict[tuple[int, str], str] = {}
_lock = threading.Lock()


class SummaryWriter:
    """Writes events into a directory.

    Successive writers of a process append to the same file of a directory, so a thousand runs do not leave a
    thousand files. No file is open between two writes: if the directory is removed, it is created again.

    Args:
        directory: A path or a URL; created if it does not exist.
        purge_step: TensorBoard hides events of earlier runs from this step on. None: hides none.
    """

    def __init__(self, directory: str | os.PathLike[str], purge_step: int | None = None) -> None:
        self._directory = files.normal(directory)
        self._events: list[bytes] = []
        self._written_at = time.monotonic()
        if purge_step is not None:
            from tensorboard.compat.proto.event_pb2 import SessionLog

            self._add(purge_step, session_log=SessionLog(status=SessionLog.START))

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Writes a number."""
        self._add_value(global_step, tag=tag, simple_value=float(scalar_value))

    def add_histogram(self, tag: str, values: npt.ArrayLike, global_step: int) -> None:
        """Writes a histogram of the finite numbers among values, with 30 buckets of equal width.

        Args:
            tag: Name of the histogram.
            values: A tensor or array of any shape.
            global_step: The step.
        """
        from tensorboard.compat.proto.summary_pb2 import HistogramProto

        numbers = np.asarray(values, np.float64).ravel()
        numbers = numbers[np.isfinite(numbers)]
        if len(numbers) == 0:
            return
        counts, limits = np.histogram(numbers, _BINS)
        histogram = HistogramProto(
            min=numbers.min(),
            max=numbers.max(),
            num=len(numbers),
            sum=numbers.sum(),
            sum_squares=np.square(numbers).sum(),
            # Buckets have upper limits only: an empty first one is the lower limit of the next.
            bucket_limit=limits.tolist(),
            bucket=[0.0, *counts.tolist()],
        )
        self._add_value(global_step, tag=tag, histo=histogram)

    def add_text(self, tag: str, text_string: str, global_step: int) -> None:
        """Writes a text, which TensorBoard renders as Markdown."""
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.plugins.text.metadata import create_summary_metadata

        tensor = TensorProto(dtype="DT_STRING", string_val=[text_string.encode()])
        tensor.tensor_shape.dim.add(size=1)
        self._add_value(
            global_step,
            tag=f"{tag}/text_summary",
            tensor=tensor,
            metadata=create_summary_metadata(display_name="", description=""),
        )

    def add_images(self, tag: str, img_tensor: npt.ArrayLike, global_step: int) -> None:
        """Writes images.

        Args:
            tag: Name of the images.
            img_tensor: Images [images, height, width, channels] of 1, 3 or 4 channels: uint8, or numbers from 0 to 1;
                others are cut off there.
            global_step: The step.
        """
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.plugins.image.metadata import create_summary_metadata

        pixels = np.asarray(img_tensor)
        if pixels.dtype != np.uint8:
            pixels = np.round(np.nan_to_num(pixels.astype(np.float64)).clip(0, 1) * 255).astype(
                np.uint8
            )
        size = [str(pixels.shape[2]).encode(), str(pixels.shape[1]).encode()]
        tensor = TensorProto(dtype="DT_STRING", string_val=[*size, *map(png, pixels)])
        tensor.tensor_shape.dim.add(size=2 + len(pixels))
        metadata = create_summary_metadata(display_name="", description="")
        self._add_value(global_step, tag=tag, tensor=tensor, metadata=metadata)

    def add_tensor(self, tag: str, tensor: npt.ArrayLike, global_step: int) -> None:
        """Writes an array of float32, which TensorBoard does not show."""
        self._add_value(global_step, tag=tag, tensor=_tensor_proto(np.asarray(tensor, np.float32)))

    def add_curve(self, tag: str, metric: AUC, global_step: int) -> None:
        """Writes the precision and the recall at each threshold of a metric.

        Args:
            tag: Name of the curve.
            metric: The metric.
            global_step: The step.
        """
        from tensorboard.plugins.pr_curve.metadata import create_summary_metadata

        counts = metric.confusion().cpu().numpy()
        true_positives, false_positives, _, false_negatives = counts
        precision = _ratio(true_positives, true_positives + false_positives)
        recall = _ratio(true_positives, true_positives + false_negatives)
        rows = np.stack([*counts, precision, recall])
        metadata = create_summary_metadata(
            display_name="", description="", num_thresholds=rows.shape[1]
        )
        self._add_value(global_step, tag=tag, tensor=_tensor_proto(rows), metadata=metadata)

    def flush(self) -> None:
        """Writes pending events."""
        self._written_at = time.monotonic()
        if self._events:
            events, self._events = self._events, []
            _append(self._directory, events)

    def close(self) -> None:
        """Writes pending events."""
        self.flush()

    def _add_value(self, global_step: int, **value: object) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(global_step, summary=Summary(value=[Summary.Value(**value)]))

    def _add(self, global_step: int, **content: object) -> None:
        self._events.append(_event(step=int(global_step), **content))
        if time.monotonic() - self._written_at > _FLUSH_SECS:
            self.flush()


def _tensor_proto(array: npt.NDArray[np.floating[Any]]) -> object:
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

    tensor = TensorProto(dtype="DT_FLOAT", float_val=array.ravel().tolist())
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def _event(**content: object) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event

    serialized: bytes = Event(wall_time=time.time(), **content).SerializeToString()
    return serialized


def _append(directory: str, events: Sequence[bytes]) -> None:
    """Appends events to this process's file, or to a new one if the file was removed or is not the newest.

    TensorBoard reads the files of a directory in the order of their names, each only once.
    """
    with _lock:
        files.make_directory(directory)
        newest = max(
            (name for name in files.names_in(directory) if ".tfevents." in name), default=""
        )
        own = _own_files.get((os.getpid(), directory), "")
        if not own or own != newest:
            own = (
                f"events.out.tfevents.{_moment_after(newest)}.{socket.gethostname()}.{os.getpid()}"
            )
            _own_files[os.getpid(), directory] = own
            events = [_event(file_version="brain.Event:2"), *events]
        files.append_bytes(files.join(directory, own), _framed(events))


def _moment_after(newest: str) -> str:
    """The time for the name of a file that sorts after another file."""
    parts = newest.split(".")
    least = int(parts[3]) + 1 if len(parts) > 3 and parts[3].isdigit() else 0
    return f"{max(int(time.time()), least):010d}"


def _framed(records: Sequence[bytes]) -> bytes:
    """Records in the format of TFRecord files."""
    parts: list[bytes] = []
    for record in records:
        length = _LENGTH.pack(len(record))
        parts += [length, _checksum(length), record, _checksum(record)]
    return b"".join(parts)


def _checksum(data: bytes) -> bytes:
    """The masked CRC-32C. Events are small, so Python is faster than importing Numba."""
    table, state = _crc_table(), 0xFFFFFFFF
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    state ^= 0xFFFFFFFF
    return _CHECKSUM.pack(((state >> 15 | state << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@functools.cache
def _crc_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [number >> 1 ^ (0x82F63B78 if number & 1 else 0) for number in table]
    return table


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)
