"""The features in serialized `tf.Example` records, read by compiled loops over all records.

An Example is a map from keys to Features, and a Feature is a list of byte strings, of floats or of int64s.

Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from torchest.inputs.byte_strings import strings_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from torchest.utils.arrays import ArrowArray

    Bytes = npt.NDArray[np.uint8]
    Int64s = npt.NDArray[np.int64]

# The kinds of Features: the tags of their lists.
BYTES, FLOATS, INT64S = 0x0A, 0x12, 0x1A


class MalformedError(ValueError):
    """A record is not an Example.

    Args:
        record: Its number.
    """

    def __init__(self, record: int) -> None:
        super().__init__(f"Record {record} is malformed.")
        self.record = record


@dataclass(frozen=True)
class Column:
    """The values of one feature in some records.

    Attributes:
        values: float32, int64, or an Arrow array of bytes; the values of all records, concatenated.
        counts: The number of values of each record, int64 [records].
        kind: BYTES, FLOATS or INT64S, or 0 if the record lacks the feature, [records]. A record of another kind than
            requested has no values.
    """

    values: ArrowArray
    counts: Int64s
    kind: Int64s


def read_examples(records: ArrowArray, kinds: Mapping[str, int]) -> dict[str, Column]:
    """Features of serialized Examples.

    As in Protocol Buffers, fields may be in any order, unknown fields are skipped, and the last entry of a key counts.

    Args:
        records: An Arrow array of type large_binary without nulls.
        kinds: The kind of each feature to read, by key.

    Raises:
        MalformedError: A record is not an Example.
    """
    from torchest.kernels import examples

    data, starts = _joined(records)
    keys = [key.encode() for key in kinds]
    key_starts = np.cumsum([0, *map(len, keys)])
    features = np.zeros((len(records), len(keys), 2), np.int64)
    # A byte behind the keys, as an empty array has no address.
    joined_keys = np.frombuffer(b"".join(keys) + b"\0", np.uint8)
    _check(examples.find_features(data, starts, joined_keys, key_starts, features))
    return {
        key: _read(data, features[:, number], kind)
        for number, (key, kind) in enumerate(kinds.items())
    }


def _joined(records: ArrowArray) -> tuple[Bytes, Int64s]:
    """The buffer of all records, with the start of each record and the end of the last."""
    count = len(records)
    _, offsets, content = records.buffers()
    if not count or content is None:
        return np.zeros(1, np.uint8), np.zeros(count + 1, np.int64)
    starts = np.frombuffer(offsets, np.int64)[records.offset : records.offset + count + 1]
    return np.frombuffer(content, np.uint8), starts


def _read(data: Bytes, features: Int64s, kind: int) -> Column:
    """The values of a kind in Features, of which `features` has start and stop, [records, 2]."""
    from torchest.kernels import examples

    kinds, counts = np.empty(len(features), np.int64), np.empty(len(features), np.int64)
    lists = np.empty((len(features), 2), np.int64)
    _check(examples.find_lists(data, features, kinds, lists))
    lists[kinds != kind] = 0
    size = int((lists[:, 1] - lists[:, 0]).sum())  # bytes
    if kind == BYTES:
        places = np.empty(
            (size // 2, 2), np.int64
        )  # a string takes two bytes at least, a float four, an integer one
        _check(examples.read_strings(data, lists, places, counts))
        return Column(strings_at(data, places[: counts.sum()]), counts, kinds)
    if kind == FLOATS:
        bits = np.empty(size // 4, np.uint32)
        _check(examples.read_floats(data, lists, bits, counts))
        return Column(bits[: counts.sum()].view(np.float32), counts, kinds)
    numbers = np.empty(size, np.int64)
    _check(examples.read_int64s(data, lists, numbers, counts))
    return Column(numbers[: counts.sum()], counts, kinds)


def _check(malformed: int) -> None:
    if malformed >= 0:
        raise MalformedError(malformed)
