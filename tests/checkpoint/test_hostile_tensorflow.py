"""Indexes whose checksums are right, but which say what TensorFlow does not write."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torchest
from torchest.checkpoint.tensorflow.checksum import masked_crc32c
from torchest.checkpoint.tensorflow.locate import tensorflow_checkpoint
from torchest.checkpoint.tensorflow.slices import Extent, key_of

FLOAT, STRING, INT64 = 1, 7, 9
MAGIC = bytes.fromhex("57fb808b247547db")


# ---- a writer


def number(value):
    value %= 2**64
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def message(*fields):
    """Fields as pairs: numbers, or bytes."""
    encoded = b""
    for field, value in fields:
        if isinstance(value, bytes):
            encoded += number(field << 3 | 2) + number(len(value)) + value
        else:
            encoded += number(field << 3) + number(value)
    return encoded


def shape(*sizes):
    return message(*((2, message((1, size))) for size in sizes))


def slice_of(*extents):
    return message(*((1, message((1, start), (2, length))) for start, length in extents))


def entry(sizes=(), size=0, offset=0, dtype=FLOAT, shard=0, checksum=0, slices=()):
    return (
        message(
            (1, dtype),
            (2, shape(*sizes)),
            (3, shard),
            (4, offset),
            (5, size),
            *((7, each) for each in slices),
        )
        + number(6 << 3 | 5)
        + checksum.to_bytes(4, "little")
    )


HEADER = message((1, 1), (3, message((1, 1))))


def block(pairs, kind=0):
    """A block of keys that are stored whole, or of (shared, rest of the key)."""
    content = b""
    for key, value in pairs:
        shared, own = key if isinstance(key, tuple) else (0, key)
        content += number(shared) + number(len(own)) + number(len(value)) + own + value
    content += bytes(4) + (1).to_bytes(4, "little") + bytes([kind])
    return content + masked_crc32c(content).to_bytes(4, "little")


def table(*blocks, repeat=1):
    content, places = b"", []
    for each in blocks:
        place = number(len(content)) + number(len(each) - 5)
        places += [(b"%d" % (len(places)), place) for _ in range(repeat)]
        content += each
    index = block(places)
    start = len(content)
    footer = number(0) + number(0) + number(start) + number(len(index) - 5)
    return content + index + footer.ljust(40, b"\0") + MAGIC


def written(folder, entries, data=b"\0" * 64, header=HEADER):
    pairs = sorted({b"": header, **entries}.items())
    (folder / "x.index").write_bytes(table(block(pairs)))
    (folder / "x.data-00000-of-00001").write_bytes(data)
    return folder / "x"


ZEROS = masked_crc32c(bytes(64))


def test_the_writer_writes_what_is_read(tmp_path):
    whole = entry([4, 4], 64, checksum=ZEROS)
    assert torchest.load_variable(written(tmp_path, {b"a": whole}), "a").tolist() == [[0] * 4] * 4


# ---- one wrong thing each

HALVES = [slice_of((0, 2)), slice_of((2, 2))]
HALF = {"size": 8, "checksum": masked_crc32c(bytes(8))}


def halves(*extents, **fields):
    return {
        key_of("a", [Extent(*each)]): entry([each[1]], **{**HALF, "offset": 8 * place, **fields})
        for place, each in enumerate(extents)
    }


ENTRIES = {
    "more bytes than the file has": ({b"a": entry([2**40], 2**42)}, "ends before the end of 'a'"),
    "bytes after the file": ({b"a": entry([1], 4, offset=2**60)}, "ends before the end of 'a'"),
    "fewer bytes than elements": ({b"a": entry([2**40], 4)}, "has 4 bytes"),
    "too many elements": ({b"a": entry([2**40, 2**40], 4)}, "an entry has the shape"),
    "nothing along a long axis": ({b"a": entry([0, 2**62, 2**62], 0)}, "an entry has the shape"),
    "too many dimensions": ({b"a": entry([1] * 40, 4)}, "an entry has the shape"),
    "a negative size": ({b"a": entry([-1], 4)}, "an entry has a size below 0"),
    "a negative offset": ({b"a": entry([1], 4, offset=-4)}, "an entry has a size below 0"),
    "a file too many": ({b"a": entry([1], 4, shard=1)}, "'a' lies in file 1 of 1"),
    "a type of no numbers": ({b"a": entry([1], 4, dtype=21)}, "has the type 21 of TensorFlow"),
    "a name that is no text": ({b"\xff": entry([1], 4)}, "is not UTF-8"),
    "the same slice twice": (
        {b"a": entry([4], slices=[HALVES[0]] * 2), **halves((0, 2))},
        "the slices of 'a' are not all of it",
    ),
    "slices of the same bytes": (
        {b"a": entry([4], slices=HALVES), **halves((0, 2), (2, 2), offset=0)},
        "the slices of 'a' are not all of it",
    ),
    "a slice too few": (
        {b"a": entry([4], slices=HALVES[:1]), **halves((0, 2))},
        "the slices of 'a' are not all of it",
    ),
    "slices that overlap": (
        {
            b"a": entry([4], slices=[HALVES[0], slice_of((1, 2))]),
            **halves((0, 2), (1, 2)),
        },
        "the slices of 'a' overlap",
    ),
    "a slice outside": (
        {b"a": entry([3], slices=HALVES), **halves((0, 2), (2, 2))},
        "a slice lies outside of its variable",
    ),
    "a slice of another shape": (
        {
            b"a": entry([4], slices=[slice_of((0, 4))]),
            key_of("a", [Extent(0, 4)]): entry([2, 2], 16),
        },
        r"a slice of 'a' has the shape \[2, 2\]",
    ),
    "a slice that is not there": ({b"a": entry([4], slices=HALVES)}, "a slice of 'a' is missing"),
    "more strings than bytes": (
        {b"a": entry([2**50], 64, dtype=STRING)},
        "64 bytes are not 1125899906842624 strings",
    ),
    "no message": ({b"a": b"\x0b"}, "a field has the wire type 3"),
    "a message that is cut off": ({b"a": b"\x12\x7f"}, "a field is cut off"),
    "a number in place of a message": ({b"a": message((2, 1))}, "field 2 is not bytes"),
    "a message in place of a number": ({b"a": message((1, b""))}, "field 1 is not a number"),
}


@pytest.mark.parametrize(("entries", "message"), ENTRIES.values(), ids=ENTRIES)
def test_an_entry_that_tensorflow_does_not_write(tmp_path, entries, message):
    with pytest.raises(torchest.DamagedCheckpointError, match=message):
        torchest.load_variable(written(tmp_path, entries), "a")


@pytest.mark.parametrize(
    ("step", "data"),
    [
        (entry([2], 16, dtype=INT64, checksum=masked_crc32c(bytes(16))), bytes(16)),
        (entry([], 8, dtype=INT64, checksum=masked_crc32c(b"\xff" * 8)), b"\xff" * 8),
        (entry([], 4, checksum=masked_crc32c(bytes(4))), bytes(4)),
    ],
    ids=["two", "negative", "a float"],
)
def test_a_step_that_is_none(tmp_path, step, data):
    reader = torchest.load_checkpoint(written(tmp_path, {b"global_step": step}, data))
    with pytest.raises(ValueError, match=r"The global_step of the checkpoint '.*' is "):
        _ = reader.global_step


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (message((1, 1), (2, 1)), "it was written on a big-endian machine"),
        (message((1, 1), (3, message((2, 2)))), "its format has version 2, newer than 1"),
        (message((1, 0)), "it has 0 files"),
        (message((1, -1)), "it has -1 files"),
        (message((1, 10**9)), "it has 1000000000 files"),
    ],
)
def test_a_header_that_is_not_understood(tmp_path, header, message):
    with pytest.raises(torchest.DamagedCheckpointError, match=message):
        torchest.load_checkpoint(written(tmp_path, {}, header=header))


GROWING = [(b"a", b""), *[((at, b"a"), b"") for at in range(1, 4000)]]
TABLES = {
    "keys that grow": (table(block(GROWING)), "its keys are too long"),
    "one block many times": (table(block([(b"", HEADER)]), repeat=3), "its blocks overlap"),
    "a compressed block": (table(block([(b"", HEADER)], kind=1)), "it is compressed"),
    "keys in disorder": (table(block([(b"b", b""), (b"a", b"")])), "its keys are not in order"),
    "a key of which nothing is there": (table(block([((5, b"a"), b"")])), "a key is cut off"),
    "a block outside": (
        (number(0) + number(0) + number(2**60) + number(4)).ljust(40, b"\0") + MAGIC,
        "a block lies outside of it",
    ),
}


@pytest.mark.parametrize(("content", "message"), TABLES.values(), ids=TABLES)
def test_a_table_that_tensorflow_does_not_write(tmp_path, content, message):
    (tmp_path / "x.index").write_bytes(content)
    with pytest.raises(torchest.DamagedCheckpointError, match=message):
        torchest.load_checkpoint(tmp_path / "x")


# ---- anything

NUMBERS = st.one_of(st.integers(-2, 9), st.sampled_from([2**20, 2**31, 2**40, 2**62, 2**63 - 1]))
EXTENTS = st.tuples(NUMBERS, NUMBERS)
ANY_ENTRY = st.builds(
    entry,
    sizes=st.lists(NUMBERS, max_size=4),
    size=NUMBERS,
    offset=NUMBERS,
    dtype=st.sampled_from([FLOAT, STRING, 3, 9, 10, 21]),
    shard=st.sampled_from([0, 0, 0, 1, -1]),
    checksum=st.sampled_from([0, masked_crc32c(b""), ZEROS, HALF["checksum"]]),
    slices=st.lists(
        st.builds(slice_of, EXTENTS, EXTENTS) | st.builds(slice_of, EXTENTS), max_size=3
    ),
)
KEYS = st.sampled_from([b"a", b"b", b"_CHECKPOINTABLE_OBJECT_GRAPH"]) | st.builds(
    lambda *extents: key_of("a", [Extent(*each) for each in extents]), EXTENTS
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(entries=st.dictionaries(KEYS, ANY_ENTRY | st.binary(max_size=40), max_size=4))
def test_anything_is_read_or_is_one_sentence_and_takes_little_memory(entries, tmp_path_factory):
    path = written(tmp_path_factory.mktemp("any"), entries)
    problems = []
    tracemalloc.start()
    try:
        reader = torchest.load_checkpoint(path)
        reader.keys_by_name()
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except ValueError as error:
        problems.append(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 10_000_000
    for problem in problems:
        assert isinstance(problem, torchest.DamagedCheckpointError)
        assert "\n" not in str(problem)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(listed=st.text(alphabet="./\\ab:\0\n\"'0137 é", max_size=12) | st.binary(max_size=12))
def test_a_list_leads_nowhere_but_into_its_directory(listed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("listed")
    inside = folder / "inside"
    inside.mkdir()
    for name in ("a", "b", "ab"):
        (folder / f"{name}.index").touch()
        (inside / f"{name}.index").touch()
    text = listed.encode() if isinstance(listed, str) else listed
    (inside / "checkpoint").write_bytes(b'model_checkpoint_path: "' + text + b'"\n')
    places = []
    try:
        places.append(tensorflow_checkpoint(str(inside)))
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017
    for place in places:
        assert place in (None, *(str(inside / name) for name in ("a", "b", "ab")))
