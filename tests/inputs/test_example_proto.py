"""Serialized examples, written by an encoder of one value at a time, are read back; damaged ones are refused."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest.inputs.example_proto import (
    BYTES,
    FLOATS,
    INT64S,
    Column,
    MalformedError,
    read_examples,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Feature = tuple[int, list[Any]]  # the kind and the values

SINGLE = struct.Struct("<f")

# ---- an encoder of one value after the other


def varint(number: int) -> bytes:
    number %= 1 << 64
    encoded = b""
    while number >= 128:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def delimited(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def encoded_list(feature: Feature, packed: bool) -> bytes:
    kind, values = feature
    if kind == BYTES:
        return b"".join(delimited(1, value) for value in values)
    encode: Callable[[Any], bytes] = SINGLE.pack if kind == FLOATS else varint
    if packed:
        return delimited(1, b"".join(map(encode, values))) if values else b""
    tag = varint(1 << 3 | (5 if kind == FLOATS else 0))
    return b"".join(tag + encode(value) for value in values)


def encoded_example(features: list[tuple[str, Feature | None]], packed: bool = True) -> bytes:
    """An example with its entries in order; a feature that is None has no kind."""
    entries = b""
    for key, feature in features:
        content = b""
        if feature is not None:
            content = delimited(feature[0] >> 3, encoded_list(feature, packed))
        entries += delimited(1, delimited(1, key.encode()) + delimited(2, content))
    return delimited(1, entries)


# ---- properties

SINGLES = st.floats(width=32, allow_nan=False)
FEATURES = st.one_of(
    st.tuples(st.just(BYTES), st.lists(st.binary(max_size=300), max_size=4)),
    st.tuples(st.just(FLOATS), st.lists(SINGLES, max_size=40)),
    st.tuples(st.just(INT64S), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20)),
)
KINDS = {"age": FLOATS, "town": BYTES, "n": INT64S, "": INT64S, "a key of 21 bytes é": FLOATS}
ENTRIES = st.lists(
    st.tuples(st.sampled_from([*KINDS, "other", "age "]), st.none() | FEATURES), max_size=6
)


def expected_column(records: list[dict[str, Feature | None]], key: str) -> tuple[list[int], Any]:
    actual = [record.get(key) for record in records]
    kinds = [0 if feature is None else feature[0] for feature in actual]
    rows = [feature[1] if feature and feature[0] == KINDS[key] else [] for feature in actual]
    return kinds, rows


def rows_of(column: Column) -> list[list[Any]]:
    values = (
        column.values.tolist()
        if isinstance(column.values, np.ndarray)
        else column.values.to_pylist()
    )
    ends = np.cumsum(column.counts)
    return [
        values[end - count : end]
        for end, count in zip(ends.tolist(), column.counts.tolist(), strict=True)
    ]


@settings(max_examples=150, deadline=None)
@given(examples=st.lists(st.tuples(ENTRIES, st.booleans()), max_size=6))
def test_what_was_encoded_is_read(examples: list[Any]):
    records = [encoded_example(entries, packed) for entries, packed in examples]
    of_key = [dict(entries) for entries, _ in examples]  # as in a dict, the last of a key counts

    actual = read_examples(pa.array(records, pa.large_binary()), KINDS)

    for key in KINDS:
        kinds, rows = expected_column(of_key, key)
        assert actual[key].kind.tolist() == kinds
        assert rows_of(actual[key]) == rows


def read_or_refused(records: Any) -> tuple[dict[str, Column] | None, int | None]:
    """The columns, or the number of the record that was refused."""
    try:
        return read_examples(records, KINDS), None
    except MalformedError as error:
        return None, error.record


GOOD = encoded_example(
    [("age", (FLOATS, [1.5])), ("town", (BYTES, [b"Rome", b""])), ("n", (INT64S, [3, -1, 300]))]
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_records_are_refused_or_read_but_never_more(data: st.DataObject):
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    records = pa.array([GOOD, bytes(damaged[:cut]), GOOD], pa.large_binary())
    actual, refused = read_or_refused(records)
    if actual is None:
        assert refused == 1
        return
    for key in KINDS:
        rows = rows_of(actual[key])
        assert rows[0] == rows[2] == rows_of(read_examples(records.slice(0, 1), KINDS)[key])[0]
        assert len(rows[1]) <= len(damaged)


@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=60))
def test_any_bytes_are_refused_or_read(junk: bytes):
    records = pa.array([junk], pa.large_binary())
    actual, refused = read_or_refused(records)
    assert refused == 0 if actual is None else all(len(actual[key].counts) == 1 for key in KINDS)


# ---- cases


@pytest.mark.parametrize("cut", range(1, len(GOOD)))
def test_a_record_that_is_cut_off_is_refused(cut: int):
    with pytest.raises(MalformedError, match="Record 1 "):
        read_examples(pa.array([GOOD, GOOD[:cut], GOOD], pa.large_binary()), KINDS)


def test_entries_may_come_in_any_order():
    forwards = [("age", (FLOATS, [1.0])), ("n", (INT64S, [2])), ("town", (BYTES, [b"x"]))]
    records = [encoded_example(forwards), encoded_example(forwards[::-1])] * 3

    actual = read_examples(pa.array(records, pa.large_binary()), KINDS)

    assert rows_of(actual["age"]) == [[1.0]] * 6
    assert rows_of(actual["n"]) == [[2]] * 6
    assert rows_of(actual["town"]) == [[b"x"]] * 6


def test_unknown_fields_are_passed_over():
    unknown = delimited(9, b"unknown") + varint(8 << 3) + b"\x05" + varint(7 << 3 | 5) + b"1234"
    lists = {
        BYTES: unknown + encoded_list((BYTES, [b"x"]), True),
        FLOATS: unknown + encoded_list((FLOATS, [1.0]), False) + unknown,
        INT64S: encoded_list((INT64S, [2, 3]), True) + unknown + encoded_list((INT64S, [4]), False),
    }
    entries = b""
    for key, kind in KINDS.items():
        feature = unknown + delimited(kind >> 3, lists[kind]) + unknown
        entry = unknown + delimited(1, key.encode()) + unknown + delimited(2, feature)
        entries += unknown + delimited(1, entry)
    record = unknown + delimited(1, entries) + unknown

    actual = read_examples(pa.array([record] * 2, pa.large_binary()), KINDS)

    expected = {BYTES: [b"x"], FLOATS: [1.0], INT64S: [2, 3, 4]}
    for key, kind in KINDS.items():
        assert rows_of(actual[key]) == [expected[kind]] * 2


def test_a_feature_that_is_not_asked_for_is_not_read():
    record = delimited(1, delimited(1, delimited(1, b"other") + delimited(2, b"\xff\xff")))

    actual = read_examples(pa.array([record], pa.large_binary()), {"n": INT64S})

    assert actual["n"].kind.tolist() == [0]


def test_many_values_in_one_record():
    words = [b"w%d" % number for number in range(500)]
    record = encoded_example([("town", (BYTES, words)), ("n", (INT64S, list(range(-500, 500))))])

    actual = read_examples(pa.array([GOOD, record], pa.large_binary()), KINDS)

    assert rows_of(actual["town"]) == [[b"Rome", b""], words]
    assert rows_of(actual["n"]) == [[3, -1, 300], list(range(-500, 500))]
