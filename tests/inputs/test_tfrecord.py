"""TFRecord files that TensorFlow wrote are read; corrupt ones are refused at the right place."""

from __future__ import annotations

import base64
import gzip
import re
import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import reference_arrays
import torch

from torchest.columns.feature_specs import FixedLenFeature
from torchest.inputs.example_parsing import parse_example
from torchest.inputs.tfrecord import TFRecordDataset

if TYPE_CHECKING:
    from pathlib import Path

Case = dict[str, Any]

CASES = {case["name"]: case for case in reference_arrays.read("parse_example")["files"]}


def written(case: Case, folder: Path) -> Path:
    path = folder / "data.tfrecord"
    path.write_bytes(base64.b64decode(case["content"]))
    return path


def records_of(case: Case) -> list[bytes]:
    return [base64.b64decode(text) for text in case["records"]]


@pytest.mark.parametrize("buffer_size", [None, 1, 5, 64, 1000])
@pytest.mark.parametrize("case", reference_arrays.params(list(CASES.values())))
def test_files_of_tensorflow_are_read(case: Case, buffer_size: int | None, tmp_path: Path):
    path = written(case, tmp_path)

    data = TFRecordDataset(path, case["compression_type"], buffer_size)

    assert list(data) == records_of(case)
    assert list(data.skip(3)) == records_of(case)[3:]


def test_several_files_are_read_one_after_the_other(tmp_path: Path):
    paths = []
    for name in ("plain", "many records"):
        (tmp_path / name).mkdir()
        paths.append(str(written(CASES[name], tmp_path / name)))

    data = TFRecordDataset([paths[1], paths[0]], num_parallel_reads=4)

    assert list(data) == records_of(CASES["many records"]) + records_of(CASES["plain"])


def test_batches_of_records_are_parsed(tmp_path: Path):
    data = TFRecordDataset(written(CASES["examples"], tmp_path)).batch(8)
    specs = {"n": FixedLenFeature((), torch.int64), "x": FixedLenFeature((), torch.float32)}

    assert all(isinstance(records, pa.Array) for records in data)
    batches = list(data.map(lambda records: parse_example(records, specs)))

    assert [batch["n"].tolist() for batch in batches] == [
        [*range(8)],
        [*range(8, 16)],
        [*range(16, 20)],
    ]
    assert batches[1]["x"].tolist() == [number / 2 for number in range(8, 16)]


def test_members_of_a_gzip_file_follow_each_other(tmp_path: Path):
    content = base64.b64decode(CASES["many records"]["content"])
    path = tmp_path / "data.gz"
    path.write_bytes(
        gzip.compress(content[:100]) + gzip.compress(b"") + gzip.compress(content[100:])
    )

    assert list(TFRecordDataset(path, "GZIP", 37)) == records_of(CASES["many records"])


OFFSETS = [0, 17, 33, 33 + 16 + 9 * 256]  # of the first records of the case "plain"


@pytest.mark.parametrize(
    ("place", "record"),
    [
        (3, 0),
        (9, 0),
        (12, 0),
        (14, 0),
        (17 + 6, 1),
        (33 + 1, 2),
        (33 + 1000, 2),
        (OFFSETS[3] - 1, 2),
    ],
)
@pytest.mark.parametrize("buffer_size", [None, 50])
def test_a_flipped_bit_is_found(place: int, record: int, buffer_size: int | None, tmp_path: Path):
    path = written(CASES["plain"], tmp_path)
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    data = iter(TFRecordDataset(path, buffer_size=buffer_size))

    read = [next(data) for _ in range(record)]  # what comes before the fault

    assert read == records_of(CASES["plain"])[:record]
    expected = f"{path} is corrupt in the record at byte {OFFSETS[record]}: a checksum is wrong."
    with pytest.raises(ValueError, match=re.escape(expected)):
        next(data)


def test_every_flipped_bit_of_a_file_is_found(tmp_path: Path):
    path = tmp_path / "data.tfrecord"
    content = base64.b64decode(CASES["plain"]["content"])[:33]
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=f"in the record at byte {17 * (bit >= 17 * 8)}: a checksum"
        ):
            list(TFRecordDataset(path))


@pytest.mark.parametrize("cut", [1, 11, 12, 15, 18, 30, 40, 100, 2000])
def test_a_file_that_is_cut_off_is_refused(cut: int, tmp_path: Path):
    path = written(CASES["plain"], tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    begun = max(offset for offset in OFFSETS if offset < cut)
    with pytest.raises(
        ValueError, match=f"ends within the record at byte {begun}: the file is cut off"
    ):
        list(TFRecordDataset(path))


@pytest.mark.parametrize("kind", ["gzip", "zlib"])
def test_a_compressed_file_that_is_cut_off_is_refused(kind: str, tmp_path: Path):
    path = written(CASES[kind], tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(
        ValueError, match=f"ends within its {kind.upper()} data: the file is cut off"
    ):
        list(TFRecordDataset(path, kind.upper()))


def test_what_is_wrong_within_a_compressed_file_is_placed_in_its_content(tmp_path: Path):
    path = tmp_path / "data.zlib"
    content = bytearray(base64.b64decode(CASES["plain"]["content"]))
    content[20] ^= 1
    path.write_bytes(zlib.compress(content))
    with pytest.raises(
        ValueError, match="corrupt in the record at byte 17 of its decompressed content"
    ):
        list(TFRecordDataset(path, "ZLIB"))


def test_a_wrong_compression_type_is_named(tmp_path: Path):
    path = written(CASES["gzip"], tmp_path)
    with pytest.raises(ValueError, match=r"is compressed: give compression_type='GZIP'\."):
        list(TFRecordDataset(path))
    with pytest.raises(
        ValueError, match=r"cannot be decompressed as ZLIB \(.*\): give the compression_type"
    ):
        list(TFRecordDataset(path, "ZLIB"))


def test_a_length_that_is_wrong_is_not_waited_for(tmp_path: Path):
    """The checksum of a length is verified before as many bytes are read."""
    path = tmp_path / "data.tfrecord"
    path.write_bytes(struct.pack("<QI", 1 << 60, 0) + bytes(100_000))
    data = TFRecordDataset(path, buffer_size=1000)
    tracemalloc.start()
    with pytest.raises(ValueError, match="corrupt in the record at byte 0"):
        list(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 90_000


def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    path = tmp_path / "data.tfrecord"
    content = base64.b64decode(CASES["plain"]["content"])
    path.write_bytes(content * 200)  # 500 kB
    data = TFRecordDataset(path, buffer_size=10_000)
    next(iter(data))
    tracemalloc.start()
    count = sum(1 for _ in data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 1000
    assert peak < 200_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "filenames=[] must have at least one path."),
        (
            ("missing.tfrecord",),
            "No file matches filenames 'missing.tfrecord' (in the folder",
        ),
        (
            (__file__, "gzip"),
            "compression_type='gzip' is not known. Did you mean 'GZIP'? There are: '', 'GZIP'",
        ),
        ((__file__, None, 0), "buffer_size=0 must be a whole number of at least 1."),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[Any, ...], message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        TFRecordDataset(*arguments)
