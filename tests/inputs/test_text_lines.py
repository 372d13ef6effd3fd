"""Lines of text files: blocks of any size, compression, patterns, and what is refused."""

from __future__ import annotations

import gzip
import re
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchest.inputs import Dataset, TextLineDataset, TFRecordDataset

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines")


@given(
    content=st.text(st.sampled_from("ab\n\r,é€\U0001f600\ufeff"), max_size=40),
    buffer_size=st.sampled_from([1, 2, 5, None]),
    skip=st.integers(0, 4),
)
def test_lines_of_any_text(content: str, buffer_size: int | None, skip: int, folder: Path):
    path = folder / "text.txt"
    path.write_bytes(content.encode())
    lines = content.replace("\r", "").removeprefix("\ufeff").split("\n")
    expected = lines[:-1] if lines[-1] == "" else lines
    data = TextLineDataset(path, buffer_size=buffer_size)
    assert list(data) == expected
    assert list(data.iterate(skip)) == expected[skip:]


@pytest.mark.parametrize(("kind", "compress"), [("GZIP", gzip.compress), ("ZLIB", zlib.compress)])
def test_compressed_lines(kind: str, compress: Any, tmp_path: Path):
    path = tmp_path / "lines"
    path.write_bytes(compress(b"a\nb\n" * 1000))
    assert list(TextLineDataset(path, kind, buffer_size=100)) == ["a", "b"] * 1000
    path.write_bytes(compress(b"a\nb\n" * 1000)[:-6])
    with pytest.raises(ValueError, match=f"ends within its {kind} data: the file is cut off"):
        list(TextLineDataset(path, kind))


def test_patterns_are_read_in_their_order_and_their_files_by_name(tmp_path: Path):
    for name in ("b.txt", "a.txt", "c.log", "[d].txt"):
        (tmp_path / name).write_text(f"{name}\n")
    patterns = [tmp_path / "c*", str(tmp_path / "?.txt"), tmp_path / "[d].txt", tmp_path / "a.txt"]
    expected = ["c.log", "a.txt", "b.txt", "[d].txt", "a.txt"]
    assert list(TextLineDataset(patterns)) == expected
    assert list(TextLineDataset(Dataset.from_tensor_slices(list(map(str, patterns))))) == expected
    with pytest.raises(ValueError, match=r"No file matches filenames '.*d\*' \(in the folder"):
        TextLineDataset([tmp_path / "a.txt", tmp_path / "d*"])
    with pytest.raises(
        ValueError, match=r"filenames '.*' is a folder: give a pattern of the files"
    ):
        TFRecordDataset(tmp_path)


def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"a line of text\n" * 100_000)
    data = TextLineDataset(path, buffer_size=10_000)
    next(iter(data))
    tracemalloc.start()
    count = sum(1 for _ in data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 500_000


def test_other_encodings_are_refused_by_their_line(tmp_path: Path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"a\n" * 10 + "Köln\n".encode("latin-1"))
    message = (
        f"{path}, line 11: b'\\xf6' is not text in UTF-8; convert the file, or read its table with"
    )
    for size in (None, 4):
        with pytest.raises(ValueError, match=re.escape(message)):
            list(TextLineDataset(path, buffer_size=size))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "filenames=[] must have at least one path."),
        ((1,), "filenames=1 must be a list of paths."),
        (("missing.txt",), "No file matches filenames 'missing.txt' (in the folder"),
        (
            (__file__, "gzip"),
            "compression_type='gzip' is not known. Did you mean 'GZIP'? There are: '', 'GZIP'",
        ),
        ((__file__, None, 0), "buffer_size=0 must be a whole number of at least 1."),
        ((__file__, None, 1, 0.5), "num_parallel_reads=0.5 must be a whole number"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[Any, ...], message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        TextLineDataset(*arguments)
